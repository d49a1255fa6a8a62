//! Lines, exit codes, restarts, and the end of the host.

use functions_host::{FunctionsHost, HostState, Level, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fixture::{
    any_process_has, ask, connect, get, host_json, on_flex, options, own_port, read_until, start, status, until,
    until_logged, until_refused,
};

#[tokio::test]
async fn log_lines_have_the_severity_the_host_gives_them() {
    let host = start(&[]).await;
    for (stream, level, text) in [
        (Stream::Stdout, Level::Information, "listening"),
        (Stream::Stdout, Level::Information, "not \u{fffd} UTF-8"),
        (Stream::Stderr, Level::Warning, "I WARN you: only a test"),
        (Stream::Stderr, Level::Error, "an error: only a test"),
    ] {
        until_logged(&host, text).await;
        let line = host.log_lines().into_iter().find(|line| line.text == text).unwrap();
        assert_eq!((line.stream, line.level), (stream, level), "{text}");
    }
}

/// A host whose handler has ended with `code` so many times, each time on a request.
async fn after(code: &str, times: usize) -> FunctionsHost {
    let host = start(&[("EXIT_ON", "/health/leave"), ("EXIT_CODE", code)]).await;
    for _ in 0..times {
        let pid = host.handler_pid();
        assert!(get(&host, "/health/leave").await.starts_with("HTTP/1.1 500"));
        until("another handler, or none for good", || {
            host.state() != HostState::Running || (host.handler_pid().is_some() && host.handler_pid() != pid)
        })
        .await;
    }
    host
}

#[tokio::test]
async fn exit_0_leaves_the_app_dead_without_a_word() {
    let host = after("0", 1).await;
    assert_eq!((host.state(), host.restarts(), host.handler_pid()), (HostState::HandlerExitedZero, 0, None));
    // The host itself still answers, after it has tried ten times to connect.
    assert_eq!((status(&host, "/other").await, status(&host, "/mcp").await), ("404".into(), "500".into()));
}

#[tokio::test]
async fn exit_200_is_a_restart_and_no_error() {
    let host = after("200", 4).await;
    assert_eq!((host.state(), host.restarts()), (HostState::Running, 4));
    assert_eq!(status(&host, "/mcp").await, "200");
}

#[tokio::test]
async fn two_errors_are_two_restarts() {
    let host = after("1", 2).await;
    assert_eq!((host.state(), host.restarts()), (HostState::Running, 2));
    assert_eq!(status(&host, "/mcp").await, "200");
}

#[tokio::test]
async fn the_third_error_stops_the_host() {
    let (_own, port) = own_port();
    let reservation = FunctionsHost::reserve(port).await.unwrap();
    let options = options(&host_json(), &[("EXIT_ON", "/health/leave"), ("EXIT_CODE", "78")]);
    let host = FunctionsHost::start_on(reservation, options).await.unwrap();
    let address = host.base_url().replace("http://", "");
    while host.state() == HostState::Running {
        let pid = host.handler_pid();
        // The third connection may be cut off by the host's end: any answer will do.
        if let Ok(mut stream) = tokio::net::TcpStream::connect(&address).await {
            drop(stream.write_all(b"GET /health/leave HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await);
            drop(stream.read_to_end(&mut Vec::new()).await);
        }
        until("the next life", || host.state() != HostState::Running || host.handler_pid() != pid).await;
    }
    assert_eq!(host.restarts(), 2);
    let HostState::Stopped { reason } = host.state() else { panic!("{:?}", host.state()) };
    assert!(reason.contains("Exceeded http worker restart retry count") && reason.contains("78"), "{reason}");
    // It listens no more.
    until_refused(port).await;
}

#[tokio::test]
async fn a_killed_handler_is_an_error_like_any_other() {
    let host = start(&[]).await;
    let pid = host.handler_pid().unwrap();
    kill(pid);
    until("a restart", || host.handler_pid().is_some_and(|next| next != pid)).await;
    assert_eq!((host.state(), host.restarts()), (HostState::Running, 1));
}

#[tokio::test]
async fn requests_during_a_restart_wait_for_the_next_handler() {
    let host = start(&[("LISTEN_AFTER", "200")]).await;
    kill(host.handler_pid().unwrap());
    until("the end", || host.restarts() == 1).await;
    // Nobody listens now: the host keeps trying to connect.
    assert_eq!(status(&host, "/mcp").await, "200");
}

#[tokio::test]
async fn a_body_is_sent_at_most_once() {
    let host = start(&[("EXIT_ON", "/health/leave"), ("EXIT_CODE", "200")]).await;
    let post = "POST /health/leave HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
    assert!(ask(&host, post).await.starts_with("HTTP/1.1 500"));
    until("a restart", || host.restarts() == 1 && host.handler_pid().is_some()).await;
    let seen = host.log_lines().iter().filter(|line| line.text == "request /health/leave").count();
    assert_eq!((seen, host.restarts()), (1, 1));
}

#[tokio::test]
async fn shutdown_kills_the_handler_and_closes_every_connection() {
    let (_own, port) = own_port();
    let reservation = FunctionsHost::reserve(port).await.unwrap();
    let host = FunctionsHost::start_on(reservation, on_flex(&host_json(), &[])).await.unwrap();
    let pid = host.handler_pid().unwrap();
    let mut stream = connect(&host, "GET /health/stuck HTTP/1.1\r\nHost: x\r\n\r\n").await;
    read_until(&mut stream, "one").await;
    host.shutdown();
    // Without an await: the kill must not depend on a runtime that may be about to end.
    assert!((0..2000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        !runs(pid)
    }));
    drop(stream.read_to_end(&mut Vec::new()).await);
    until_refused(port).await;
}

#[tokio::test]
async fn a_host_that_is_dropped_while_its_handler_restarts_leaves_none_behind() {
    let host = start(&[("LISTEN_AFTER", "100"), ("EXIT_ON", "/health/leave"), ("EXIT_CODE", "200")]).await;
    let root = format!("FUNCTIONS_CUSTOMHANDLER_PORT={}", host.handler_port());
    get(&host, "/health/leave").await;
    until("a restart", || host.restarts() == 1).await;
    drop(host);
    until("no handler with that port", || !any_process_has(&root)).await;
}

fn kill(pid: u32) {
    let status = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// A process that ended but was not waited for is no longer running.
fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// A host whose invocations may take this long.
async fn with_function_timeout(timeout: &str) -> FunctionsHost {
    let mut document = host_json();
    document["functionTimeout"] = timeout.into();
    FunctionsHost::start(options(&document, &[])).await.unwrap()
}

#[tokio::test]
async fn an_invocation_that_takes_too_long_costs_the_whole_handler_its_life() {
    for path in ["/health/silent", "/health/stuck"] {
        let host = with_function_timeout("00:00:01").await;
        let pid = host.handler_pid();
        let answer = get(&host, path).await;
        assert!(answer.starts_with("HTTP/1.1 500") || !answer.ends_with("0\r\n\r\n"), "cut off: {answer}");
        until("another handler", || host.handler_pid().is_some() && host.handler_pid() != pid).await;
        // The host's own doing is no error of the handler's.
        assert_eq!((host.state(), host.restarts()), (HostState::Running, 1), "{path}");
        assert_eq!(status(&host, "/mcp").await, "200", "{path}");
    }
}

#[tokio::test]
async fn an_invocation_that_ends_in_time_costs_nothing() {
    let host = with_function_timeout("00:00:20").await;
    let pid = host.handler_pid();
    assert!(get(&host, "/health/ticks").await.contains("done"));
    assert_eq!((host.handler_pid(), host.restarts()), (pid, 0));
}

#[tokio::test]
async fn an_invocation_that_takes_too_long_takes_every_other_with_it() {
    let host = with_function_timeout("00:00:01").await;
    let silent = get(&host, "/health/silent");
    let ticking = async {
        until_logged(&host, "request /health/silent").await;
        get(&host, "/health/ticks").await
    };
    let (silent, ticking) = tokio::join!(silent, ticking);
    assert!(silent.starts_with("HTTP/1.1 500"), "{silent}");
    // It would have gone on for another second.
    assert!(!ticking.contains("done"), "{ticking}");
}

#[tokio::test]
async fn what_was_in_flight_is_lost_when_the_handler_is_killed_and_nothing_else() {
    const LATER: usize = 20;
    let post =
        |path: &str| format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}");
    let host = start(&[("LISTEN_AFTER", "100")]).await;
    let (kept, again) = (ask(&host, &post("/health/kept")).await, ask(&host, &post("/health/kept")).await);
    assert_eq!(kept[kept.len() - 8..], again[again.len() - 8..], "the host keeps its connection to the handler");
    let mut stuck = connect(&host, "GET /health/stuck HTTP/1.1\r\nHost: x\r\n\r\n").await;
    read_until(&mut stuck, "one").await;
    let mut silent = connect(&host, &post("/health/silent")).await;
    until_logged(&host, "request /health/silent").await;

    let pid = host.handler_pid().unwrap();
    kill(pid);
    until("the end", || host.handler_pid() != Some(pid)).await;
    // Nobody listens yet, and the connection that was kept is dead.
    let request = post("/health/kept");
    let (one, two) = tokio::join!(ask(&host, &request), ask(&host, &request));
    let mut later = vec![one, two];
    while later.len() < LATER {
        later.push(ask(&host, &request).await);
    }
    for answer in later {
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    let mut rest = Vec::new();
    let end = stuck.read_to_end(&mut rest).await;
    assert!(end.is_err() || !rest.ends_with(b"0\r\n\r\n"), "broken off, not ended");
    read_until(&mut silent, "HTTP/1.1 500").await;
    let seen = |line: &str| host.log_lines().iter().filter(|seen| seen.text == line).count();
    assert_eq!((seen("request /health/silent"), seen("request /health/kept")), (1, 2 + LATER), "each at most once");
    assert_eq!((host.state(), host.restarts()), (HostState::Running, 1));
}
