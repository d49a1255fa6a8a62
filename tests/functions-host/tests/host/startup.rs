//! How the handler is started: file, folder, arguments, environment, port, readiness.

use std::collections::BTreeSet;
use std::time::Duration;

use functions_host::{FunctionsHost, HostError, HostOptions};
use serde_json::{Value, json};

use crate::fixture::{
    HANDLER, any_process_has, echoed, host_json, logged, on_flex, options, own_port, refusal, start, status, until,
    until_refused,
};

/// What the handler of such a host was started with.
async fn seen(options: HostOptions) -> (Value, FunctionsHost) {
    let host = FunctionsHost::start(options).await.unwrap();
    let echo = echoed(&host, "GET /mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    (echo, host)
}

fn names(environment: &Value) -> BTreeSet<String> {
    environment.as_object().unwrap().keys().filter(|name| *name != "HOME").cloned().collect()
}

#[tokio::test]
async fn core_tools_add_eight_variables_to_the_settings() {
    let options = options(&host_json(), &[("TENANT_ID", "t")]);
    let root = options.script_root.to_str().unwrap().to_owned();
    let (echo, host) = seen(options).await;
    let environment = &echo["environment"];
    let expected = [
        "AZURE_FUNCTIONS_ENVIRONMENT",
        "AzureWebJobsScriptRoot",
        "FUNCTIONS_APP_ROOT_PATH",
        "FUNCTIONS_CUSTOMHANDLER_PORT",
        "FUNCTIONS_CUSTOMHANDLER_WORKER_ID",
        "FUNCTIONS_HTTPWORKER_ID",
        "FUNCTIONS_HTTPWORKER_PORT",
        "FUNCTIONS_WORKER_RUNTIME",
        "PATH",
        "TENANT_ID",
        "WEBSITE_HOSTNAME",
    ];
    assert_eq!(names(environment), expected.map(str::to_owned).into());
    let port = host.handler_port().to_string();
    assert_eq!(environment["FUNCTIONS_CUSTOMHANDLER_PORT"], port.as_str());
    assert_eq!(environment["FUNCTIONS_HTTPWORKER_PORT"], port.as_str());
    assert_eq!(environment["FUNCTIONS_HTTPWORKER_ID"], environment["FUNCTIONS_CUSTOMHANDLER_WORKER_ID"]);
    assert_eq!(environment["AZURE_FUNCTIONS_ENVIRONMENT"], "Development");
    assert_eq!(environment["WEBSITE_HOSTNAME"], host.base_url().replace("http://127.0.0.1", "localhost").as_str());
    for name in ["FUNCTIONS_APP_ROOT_PATH", "AzureWebJobsScriptRoot"] {
        assert_eq!(environment[name], root.as_str());
    }
    assert_eq!(echo["directory"], std::fs::canonicalize(&root).unwrap().to_str().unwrap());
    assert_eq!(echo["arguments"], json!([]));
}

#[tokio::test]
async fn flex_looks_like_azure_and_settings_win() {
    let (echo, _host) = seen(on_flex(&host_json(), &[("IDENTITY_ENDPOINT", "http://127.0.0.1:9/token")])).await;
    let environment = &echo["environment"];
    assert_eq!(environment["WEBSITE_HOSTNAME"], "emulated-app.azurewebsites.net");
    assert_eq!(environment["FUNCTIONS_WORKER_RUNTIME"], "custom");
    assert_eq!(environment["AZURE_FUNCTIONS_ENVIRONMENT"], "Production");
    assert_eq!(environment["IDENTITY_ENDPOINT"], "http://127.0.0.1:9/token");
    for name in ["IDENTITY_HEADER", "WEBSITE_INSTANCE_ID"] {
        assert!(environment[name].as_str().is_some_and(|value| !value.is_empty()), "{name}");
    }
    assert!(environment.get("AzureWebJobsScriptRoot").is_none());
}

#[tokio::test]
async fn nobody_overrides_the_hosts_five_and_the_shell_wins_over_local_settings() {
    let mut inherited = options(
        &host_json(),
        &[("FUNCTIONS_CUSTOMHANDLER_PORT", "1"), ("PATH", "from settings"), ("ONLY_SET", "here")],
    );
    inherited.clear_env = false;
    let (echo, host) = seen(inherited).await;
    assert_eq!(echo["environment"]["FUNCTIONS_CUSTOMHANDLER_PORT"], host.handler_port().to_string().as_str());
    assert_ne!(echo["environment"]["PATH"], "from settings");
    assert_eq!(echo["environment"]["ONLY_SET"], "here");
}

#[tokio::test]
async fn arguments_and_working_directory_come_from_the_description() {
    let mut changed = host_json();
    changed["customHandler"]["description"] = json!({
        "defaultExecutablePath": "%HANDLER_FOLDER%/test-handler",
        "workingDirectory": "work",
        "arguments": ["--name", "%NAME%", "%UNKNOWN%"],
    });
    let folder = std::path::Path::new(HANDLER).parent().unwrap().to_str().unwrap();
    let options = options(&changed, &[("HANDLER_FOLDER", folder), ("NAME", "a b")]);
    let work = options.script_root.join("work");
    std::fs::create_dir(&work).unwrap();
    let (echo, _host) = seen(options).await;
    assert_eq!(echo["arguments"], json!(["--name", "a b", "%UNKNOWN%"]));
    assert_eq!(echo["directory"], std::fs::canonicalize(work).unwrap().to_str().unwrap());
}

#[tokio::test]
async fn the_executable_is_looked_for_below_the_root_and_then_on_path() {
    let mut changed = host_json();
    changed["customHandler"]["description"]["defaultExecutablePath"] = json!("test-handler");
    let folder = std::path::Path::new(HANDLER).parent().unwrap().to_str().unwrap();
    let on_path = on_flex(&changed, &[("PATH", folder)]);
    FunctionsHost::start(on_path.clone()).await.unwrap();

    // The root's own comes first, even if it does not run.
    std::fs::write(on_path.script_root.join("test-handler"), "no program").unwrap();
    let error = refusal(on_path).await.to_string();
    assert!(error.contains("test-handler: has no execute permission") && error.contains("0755"), "{error}");

    let error = refusal(on_flex(&changed, &[("PATH", "/nowhere")])).await.to_string();
    assert!(error.contains("is not there, nor on PATH"), "{error}");
}

#[tokio::test]
async fn a_fixed_port_is_used_if_it_can_be_bound() {
    let (_own, port) = own_port();
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    for spelled in [json!(port), json!(port.to_string())] {
        let mut changed = host_json();
        changed["customHandler"]["port"] = spelled;
        let error = refusal(options(&changed, &[])).await.to_string();
        assert!(error.contains("customHandler.port") && error.contains("cannot be bound"), "{error}");
    }
    drop(taken);
    until_refused(port).await;
    let mut changed = host_json();
    changed["customHandler"]["port"] = json!(port.to_string());
    assert_eq!(FunctionsHost::start(options(&changed, &[])).await.unwrap().handler_port(), port);
}

#[tokio::test]
async fn requests_wait_for_a_handler_that_listens_late() {
    let reservation = FunctionsHost::reserve(0).await.unwrap();
    let address = reservation.base_url().replace("http://", "");
    let early = async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let late = FunctionsHost::start_on(reservation, options(&host_json(), &[("LISTEN_AFTER", "100")]));
    // The host stays until the answer is there.
    let (answer, host) = tokio::join!(early, late);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(host.unwrap());
}

#[tokio::test]
async fn a_handler_that_never_answers_is_given_up_and_killed() {
    for how in [("LISTEN_AFTER", "60000"), ("MUTE", "1")] {
        let mut changed = host_json();
        changed["customHandler"]["initializationTimeout"] = json!("00:00:00.3");
        let options = options(&changed, &[how]);
        let root = format!("FUNCTIONS_APP_ROOT_PATH={}", options.script_root.display());
        let error = refusal(options).await;
        let limit = Duration::from_millis(300);
        assert!(matches!(&error, HostError::NotReady { limit: named, .. } if *named == limit), "{error}");
        assert!(error.to_string().contains("FUNCTIONS_CUSTOMHANDLER_PORT"), "{error}");
        until("no handler of that folder", || !any_process_has(&root)).await;
    }
}

#[tokio::test]
async fn a_handler_that_ends_at_once_is_quoted() {
    let error = refusal(options(&host_json(), &[("EXIT_AT_START", "78")])).await;
    assert!(
        matches!(&error, HostError::Ended { last_words, .. } if last_words == "one | two | cannot go on"),
        "{error}"
    );
    assert!(error.to_string().contains("78"), "{error}");
}

#[tokio::test]
async fn a_program_the_system_cannot_run_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut changed = host_json();
    changed["customHandler"]["description"]["defaultExecutablePath"] = json!("handler");
    let options = options(&changed, &[]);
    let path = options.script_root.join("handler");
    std::fs::write(&path, "\u{7f}ELF no program").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = refusal(options).await.to_string();
    assert!(error.contains("handler: cannot be started in"), "{error}");
}

#[tokio::test]
async fn readiness_takes_any_status_and_the_port_is_known_before() {
    let reservation = FunctionsHost::reserve(0).await.unwrap();
    let base_url = reservation.base_url();
    // The fixture answers 404 to `GET /`.
    let host = FunctionsHost::start_on(reservation, options(&host_json(), &[])).await.unwrap();
    assert_eq!(host.base_url(), base_url);
    assert_ne!(base_url, format!("http://127.0.0.1:{}", host.handler_port()));
    assert!(!logged(&host, "request /"));
    // A reserved port is taken.
    let port = base_url.rsplit(':').next().unwrap().parse().unwrap();
    assert!(FunctionsHost::reserve(port).await.is_err());
}

#[tokio::test]
async fn a_broken_answer_is_ready_enough() {
    start(&[("HANG_UP", "1")]).await;
}

#[tokio::test]
async fn two_hosts_have_nothing_in_common() {
    let (one, two) = tokio::join!(start(&[]), start(&[]));
    assert_ne!(one.handler_port(), two.handler_port());
    one.shutdown();
    assert_eq!(status(&two, "/mcp").await, "200");
}
