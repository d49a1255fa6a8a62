//! The hooks, run against stand-ins for az, azd, func and cargo that write down how they were called.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests: helpers stop them too")]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A copy of what the hooks need, with stand-ins first on `PATH`.
struct Stage(TempDir);

/// Names and values.
type Pairs<'a> = &'a [(&'a str, &'a str)];

/// How a hook ended.
struct Outcome {
    ok: bool,
    text: String,
    calls: Vec<String>,
}

/// Everything in order: signed in, all providers registered, the region offers Flex Consumption.
const GOOD: &[(&str, &str)] = &[
    ("func --version", "echo 4.15.1"),
    ("az provider show*", "echo Registered"),
    ("az cloud show --query endpoints*", "echo https://login.microsoftonline.com"),
    ("az functionapp list-flexconsumption-locations*", "echo westeurope; echo northeurope"),
];

impl Stage {
    fn set(answers: &[(&str, &str)]) -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        let root = stage.0.path();
        for folder in ["bin", "infra/hooks", "target/package/stage"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let infra = infra::folder();
        fs::copy(infra.join("scopes.json"), root.join("infra/scopes.json")).unwrap();
        // Links, never copies: a program that has just been written is "busy" for as long as any process that another test
        // started meanwhile has not become a program of its own.
        for entry in fs::read_dir(infra.join("hooks")).unwrap().flatten() {
            symlink(entry.path(), root.join("infra/hooks").join(entry.file_name())).unwrap();
        }
        let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand-in.sh");
        for name in ["az", "azd", "func", "cargo"] {
            symlink(&stand_in, root.join("bin").join(name)).unwrap();
        }
        // The first that fits counts: what a test says comes before what is usual.
        let mut cases = String::new();
        for (call, answer) in answers.iter().chain(GOOD) {
            writeln!(cases, "{}) {answer} ;;", quoted(call)).unwrap();
        }
        fs::write(root.join("answers"), format!("case \"$call\" in\n{cases}esac\n")).unwrap();
        stage
    }

    fn run(&self, hook: &str, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Outcome {
        let root = self.0.path();
        let calls = root.join("calls");
        drop(fs::remove_file(&calls));
        let path = format!("{}:/usr/bin:/bin:/usr/local/bin", root.join("bin").display());
        let mut command = Command::new(root.join("infra/hooks").join(hook));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", path)
            .env("CALLS", &calls)
            .env("ANSWERS", root.join("answers"))
            .env("DOCTOR_PAUSE", "0");
        for (name, value) in [
            ("AZURE_ENV_NAME", "test"),
            ("AZURE_LOCATION", "West Europe"),
            ("AZURE_RESOURCE_GROUP", "rg-test"),
            ("AZURE_FUNCTION_APP_NAME", "func-test"),
            ("TENANT_ID", "aaaabbbb-0000-cccc-1111-dddd2222eeee"),
            ("CLIENT_ID", "00001111-aaaa-2222-bbbb-3333cccc4444"),
            ("PUBLIC_CLIENT_ID", "11112222-bbbb-3333-cccc-4444dddd5555"),
            ("MANAGED_IDENTITY_CLIENT_ID", "44445555-eeee-6666-ffff-7777aaaa8888"),
            ("MANAGED_IDENTITY_PRINCIPAL_ID", "55556666-ffff-7777-aaaa-8888bbbb9999"),
            ("RESOURCE_SERVER_URL", "https://func-test.azurewebsites.net"),
        ] {
            command.env(name, value);
        }
        command.envs(environment.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A hook that asks nothing may have gone.
        drop(std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let calls = fs::read_to_string(&calls).unwrap_or_default().lines().map(str::to_owned).collect();
        Outcome { ok: output.status.success(), text, calls }
    }
}

impl Outcome {
    fn called(&self, call: &str) -> Option<usize> {
        self.calls.iter().position(|made| made.contains(call))
    }
}

/// A pattern for `case`: only a star at the end is one.
fn quoted(call: &str) -> String {
    match call.strip_suffix('*') {
        Some(start) => format!("'{start}'*"),
        None => format!("'{call}'"),
    }
}

#[test]
fn before_provisioning_all_is_well_or_the_cause_is_named() {
    let good = Stage::set(&[]).run("preprovision.sh", &[], &[], "");
    assert!(good.ok, "{}", good.text);
    assert!(good.called("az provider register").is_none());

    let existing = ("ENTRA_APP_MODE", "existing");
    let cases: &[(Pairs<'_>, Pairs<'_>, &str)] = &[
        (&[("func --version", "echo 4.0.7030")], &[], "4.5 or newer is needed"),
        (&[("az account show*", "exit 1")], &[], "run az login"),
        (
            &[("az functionapp list-flexconsumption-locations*", "echo northeurope")],
            &[],
            "does not offer Flex Consumption",
        ),
        (
            &[("az provider show*", "echo NotRegistered"), ("az provider register*", "exit 1")],
            &[],
            "ask a subscription owner",
        ),
        (&[], &[existing, ("CLIENT_ID", "")], "needs CLIENT_ID"),
        (&[], &[("ENTRA_APP_MODE", "magic")], "must be bicep, existing or script"),
    ];
    for (answers, environment, said) in cases {
        let outcome = Stage::set(answers).run("preprovision.sh", &[], environment, "");
        assert!(!outcome.ok && outcome.text.contains(said), "{said}: {}", outcome.text);
    }
}

#[test]
fn a_missing_provider_is_registered() {
    let outcome = Stage::set(&[("az provider show --namespace Microsoft.App *", "echo NotRegistered")]).run(
        "preprovision.sh",
        &[],
        &[],
        "",
    );
    assert!(outcome.ok, "{}", outcome.text);
    assert!(outcome.called("az provider register --namespace Microsoft.App --wait").is_some());
}

#[test]
fn the_package_is_published_and_the_deployment_proven() {
    let outcome = Stage::set(&[]).run("postprovision.sh", &[], &[], "");
    assert!(outcome.ok, "{}", outcome.text);
    let order = [
        "cargo package-function",
        "func azure functionapp publish func-test --custom --no-build",
        "doctor --as-client",
    ];
    let at: Vec<Option<usize>> = order.iter().map(|call| outcome.called(call)).collect();
    assert!(at.is_sorted() && at.iter().all(Option::is_some), "{:?}", outcome.calls);
    assert!(outcome.text.contains("https://func-test.azurewebsites.net/mcp"));
    assert!(outcome.text.contains("/adminconsent?client_id=00001111-aaaa-2222-bbbb-3333cccc4444"));
}

#[test]
fn where_func_cannot_publish_the_zip_goes_up_itself() {
    let outcome = Stage::set(&[("func azure*", "exit 1")]).run("postprovision.sh", &[], &[], "");
    assert!(outcome.ok, "{}", outcome.text);
    assert!(outcome.called("az functionapp deployment source config-zip").is_some(), "{:?}", outcome.calls);

    let both = Stage::set(&[("func azure*", "exit 1"), ("az functionapp deployment*", "exit 1")]).run(
        "postprovision.sh",
        &[],
        &[],
        "",
    );
    assert!(!both.ok, "nothing was published: {}", both.text);
}

#[test]
fn a_deployment_that_is_not_in_order_is_said_so_after_three_looks() {
    let outcome = Stage::set(&[("cargo run*", "exit 1")]).run("postprovision.sh", &[], &[], "");
    assert_eq!(outcome.calls.iter().filter(|call| call.contains("doctor")).count(), 3, "{:?}", outcome.calls);
    assert!(outcome.text.contains("not in order yet"), "{}", outcome.text);
}

#[test]
fn applications_are_deleted_only_by_a_yes() {
    let stage = Stage::set(&[]);
    let kept = stage.run("predown.sh", &[], &[], "\n\n");
    assert!(kept.ok && kept.called("az ad app delete").is_none(), "{}", kept.text);
    let one = stage.run("predown.sh", &[], &[], "n\ny\n");
    assert_eq!(one.calls, ["az ad app delete --id 11112222-bbbb-3333-cccc-4444dddd5555"]);
    let existing = stage.run("predown.sh", &[], &[("ENTRA_APP_MODE", "existing")], "y\ny\n");
    assert!(existing.calls.is_empty(), "{:?}", existing.calls);
}

/// What `az ad app show` says of an application in order.
const IN_ORDER: &str = r#"echo '{"appId":"x","identifierUris":["https://func-test.azurewebsites.net/mcp","https://func-test.azurewebsites.net","api://00001111-aaaa-2222-bbbb-3333cccc4444"],"api":{"requestedAccessTokenVersion":2,"oauth2PermissionScopes":[{"value":"access_as_user"},{"value":"MCP.Tools"}]}}'"#;

const TRUSTED: (&str, &str) = ("az ad app federated-credential list*", "echo 55556666-ffff-7777-aaaa-8888bbbb9999");

#[test]
fn the_script_makes_an_application_once() {
    let new =
        Stage::set(&[("az ad app create*", "echo new-id")]).run("entra-app.sh", &["create"], &[("CLIENT_ID", "")], "");
    assert!(new.ok, "{}", new.text);
    assert!(new.called("azd env set CLIENT_ID new-id").is_some(), "{:?}", new.calls);
    let again =
        Stage::set(&[("az ad app list*", "echo old-id")]).run("entra-app.sh", &["create"], &[("CLIENT_ID", "")], "");
    assert!(again.called("az ad app create").is_none() && again.called("azd env set CLIENT_ID old-id").is_some());
    let refused =
        Stage::set(&[("az ad app create*", "exit 1")]).run("entra-app.sh", &["create"], &[("CLIENT_ID", "")], "");
    assert!(!refused.ok && refused.called("azd env set").is_none(), "no permission: {:?}", refused.calls);
}

#[test]
fn the_script_changes_what_differs_and_the_token_version_first() {
    let in_order = Stage::set(&[("az ad app show*", IN_ORDER), TRUSTED]).run("entra-app.sh", &["complete"], &[], "");
    assert!(in_order.ok && in_order.text.contains("as it shall be"), "{}", in_order.text);
    assert!(in_order.called("az rest").is_none() && in_order.called("update").is_none(), "{:?}", in_order.calls);

    let bare = r#"echo '{"appId":"x","identifierUris":[],"api":{"requestedAccessTokenVersion":null,"oauth2PermissionScopes":[]}}'"#;
    let stage = Stage::set(&[("az ad app show*", bare)]);
    let outcome = stage.run("entra-app.sh", &["complete"], &[], "");
    assert!(outcome.ok, "{}", outcome.text);
    let version = outcome.called(r#"{"api":{"requestedAccessTokenVersion":2}}"#).unwrap();
    let uris = outcome.called("--identifier-uris https://func-test.azurewebsites.net/mcp").unwrap();
    assert!(version < uris, "{:?}", outcome.calls);
    assert!(outcome.called("federated-credential create").is_some());
    let issuer = "https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0";
    assert!(outcome.called(issuer).is_some() && outcome.called("api://AzureADTokenExchange\"").is_some());
    let diff = stage.run("entra-app.sh", &["diff"], &[], "");
    assert!(
        diff.text.contains("+ scope=MCP.Tools") && diff.text.contains("- requestedAccessTokenVersion=None"),
        "{}",
        diff.text
    );
    assert!(diff.called("az rest").is_none(), "diff changes nothing");
}
