//! `handler doctor`, the real executable, against the emulator: in good order, and in set-ups that are each broken in one
//! way. The reports are in `snapshots/`: each must name the cause and what mends it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use axum::Router;
use emulator::{
    API_CLIENT_ID, Emulator, Endpoint, Fault, GRAPH_APP_ID, IDENTITY_CLIENT_ID, IDENTITY_PRINCIPAL_ID,
    TOKEN_EXCHANGE_URI, User,
};
use http::StatusCode;
use serde_json::Value;
use shared::config::Limits;
use shared::process::Process;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::executable::handler;
use crate::world;

/// An Entra, and a server that clients reach.
struct Clinic {
    emulator: Emulator,
    server: String,
}

/// What a run said.
struct Visit {
    exit: i32,
    report: String,
    errors: String,
}

impl Clinic {
    async fn open() -> Self {
        Self::with(|base| vec![("RESOURCE_SERVER_URL", base.to_owned())]).await
    }

    /// The server runs with these settings, which may depend on where it listens.
    async fn with(settings: impl FnOnce(&str) -> Vec<(&'static str, String)>) -> Self {
        let emulator = Emulator::start().await;
        let (listener, server) = listener().await;
        let settings = settings(&server);
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let process = Process::new(world::config(&emulator.base_url(), &settings)).unwrap().leaked();
        tokio::spawn(shared::host::serve::until_stopped(
            listener,
            handler::app(process),
            Limits::default(),
            std::future::pending(),
        ));
        Self { emulator, server }
    }

    /// Something else stands where the server should.
    async fn behind(front: Router) -> Self {
        let emulator = Emulator::start().await;
        let (listener, server) = listener().await;
        tokio::spawn(shared::host::serve::until_stopped(listener, front, Limits::default(), std::future::pending()));
        Self { emulator, server }
    }

    async fn doctor(&self, arguments: &[&str], changes: &[(&str, &str)], token: Option<&str>) -> Visit {
        let mut settings = world::settings_for(&self.emulator.base_url(), &[("RESOURCE_SERVER_URL", &self.server)]);
        settings.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut command = tokio::process::Command::new(handler());
        command.arg("doctor").args(arguments).env_clear().envs(settings).kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(token.unwrap_or_default().as_bytes()).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let report = String::from_utf8(output.stdout).unwrap();
        assert!(token.is_none_or(|token| !report.contains(token)), "the report shows the token");
        Visit {
            exit: output.status.code().unwrap(),
            report: self.nameless(&report),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The report of a healthy machine is the same everywhere but for ports.
    fn nameless(&self, report: &str) -> String {
        let kid = self.emulator.signing_key();
        report
            .replace(&self.emulator.base_url(), "<entra>")
            .replace(&self.server, "<server>")
            .replace(kid.kid(), "<kid>")
    }

    fn identity(&self) -> [(&'static str, String); 4] {
        let (endpoint, header) = self.emulator.identity_endpoint();
        [
            ("CLIENT_SECRET", String::new()),
            ("MANAGED_IDENTITY_CLIENT_ID", IDENTITY_CLIENT_ID.to_owned()),
            ("IDENTITY_ENDPOINT", endpoint),
            ("IDENTITY_HEADER", header),
        ]
    }

    /// A run whose credential is the managed identity.
    async fn doctor_on_a_host(&self) -> Visit {
        // A host of Azure's has a public name, where nothing is deployed yet.
        let settings = self.identity();
        let changes: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut changes = changes;
        changes.push(("RESOURCE_SERVER_URL", "https://mcp.contoso.invalid"));
        self.doctor(&["--before-deploy"], &changes, None).await
    }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    (listener, base)
}

/// The lines that ask for attention, with their fixes, and the exit code.
fn complaints(title: &str, visit: &Visit) -> String {
    assert_eq!(visit.errors, "", "{title}");
    let mut text = format!("## {title}: exit {}\n", visit.exit);
    for line in visit.report.lines() {
        if line.starts_with("ERROR") || line.starts_with("warning") || line.trim_start().starts_with("fix: ") {
            writeln!(text, "{line}").unwrap();
        }
    }
    text.push('\n');
    text
}

#[tokio::test]
async fn in_good_order_everything_is_proven() {
    let clinic = Clinic::open().await;
    let visit = clinic.doctor(&[], &[], None).await;
    assert_eq!((visit.exit, visit.errors.as_str()), (0, ""));
    insta::assert_snapshot!("doctor in good order", visit.report);
}

#[tokio::test]
async fn a_token_is_walked_through_every_check_and_exchanged() {
    let clinic = Clinic::open().await;
    // Half a minute away from every number of minutes that is shown, however slow the machine is.
    let token = clinic.emulator.token(User::Alice).times(330, 4470).build();
    // As it is copied from a browser's tools.
    let visit = clinic.doctor(&["--token", "-", "--obo"], &[], Some(&format!(" bearer {token}\n"))).await;
    assert_eq!(visit.exit, 0, "{}", visit.report);
    let walked: String =
        visit.report.lines().skip_while(|line| !line.contains("token.shape")).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!("doctor walks a token", walked);
    assert_eq!(clinic.emulator.counters().token_obo, 1);
    for personal in [User::Alice.oid(), User::Alice.upn(), User::Alice.name()] {
        assert!(!visit.report.contains(personal), "{}", visit.report);
    }
}

#[tokio::test]
async fn settings_that_are_broken_are_named_with_their_fix() {
    let clinic = Clinic::open().await;
    let mut text = String::new();
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("no tenant, and a client ID that is none", &[("TENANT_ID", ""), ("CLIENT_ID", "my-app")]),
        ("the secret's ID instead of its value", &[("CLIENT_SECRET", "aaaa0a0a-bb1b-cc2c-dd3d-eeeeee4e4e4e")]),
        ("a base URL with a path", &[("RESOURCE_SERVER_URL", "https://mcp.contoso.example/mcp/")]),
        (
            "Graph of another cloud",
            &[
                ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us"),
                ("GRAPH_BASE_URL", "https://graph.microsoft.com"),
            ],
        ),
        ("an audience that nothing compares with", &[("AUDIENCE", "api://mine")]),
        ("scopes of another application", &[("SCOPE_URI", "api://22223333-cccc-4444-dddd-5555eeee6666")]),
        ("another name than the app's own", &[("WEBSITE_HOSTNAME", "mine-abc.azurewebsites.net")]),
    ];
    for (title, changes) in cases {
        text.push_str(&complaints(title, &clinic.doctor(&["--offline"], changes, None).await));
    }
    insta::assert_snapshot!("doctor on broken settings", text);
}

#[tokio::test]
async fn an_authority_that_is_broken_is_named_with_its_fix() {
    let mut text = String::new();
    let mut add = |title: &str, visit: &Visit| text.push_str(&complaints(title, visit));

    let clinic = Clinic::open().await;
    let another = [("TENANT_ID", "99998888-0000-cccc-1111-dddd2222eeee")];
    add("another tenant", &clinic.doctor(&[], &another, None).await);

    let clinic = Clinic::open().await;
    clinic.emulator.faults().discovery_member("issuer", Value::from("https://evil.example/v2.0"));
    add("discovery of another issuer", &clinic.doctor(&[], &[], None).await);

    let clinic = Clinic::open().await;
    clinic.emulator.faults().set(Endpoint::Keys, Fault::Garbage);
    add("a captive portal in place of the keys", &clinic.doctor(&[], &[], None).await);

    let clinic = Clinic::open().await;
    let base = clinic.emulator.base_url();
    let discovery = serde_json::json!({
        "issuer": clinic.emulator.issuer(),
        "jwks_uri": format!("{base}/{}/discovery/v2.0/keys", emulator::TENANT_ID),
    });
    let date = ("date".to_owned(), "Mon, 02 Nov 2026 08:00:00 GMT".to_owned());
    clinic.emulator.faults().document(Endpoint::Discovery, 200, vec![date], discovery.to_string());
    let visit = clinic.doctor(&[], &[], None).await;
    let clock = visit.report.lines().find(|line| line.contains("clock")).unwrap_or_default();
    assert!(clock.starts_with("ERROR") && clock.contains("the authority's"), "{}", visit.report);
    let clinic = Clinic::open().await;
    clinic.emulator.stop().await;
    let visit = clinic.doctor(&[], &[], None).await;
    add("nothing answers at the authority", &visit);
    insta::assert_snapshot!("doctor on a broken authority", text);
}

#[tokio::test]
async fn a_credential_that_is_broken_is_named_with_its_fix() {
    let mut text = String::new();
    let mut add = |title: &str, visit: &Visit| text.push_str(&complaints(title, visit));

    let clinic = Clinic::open().await;
    add("a wrong secret", &clinic.doctor(&[], &[("CLIENT_SECRET", "Xx~not-the-secret")], None).await);
    let other = [("CLIENT_ID", "22223333-cccc-4444-dddd-5555eeee6666")];
    add("an application that is not there", &clinic.doctor(&[], &other, None).await);

    let missing = [("CLIENT_SECRET", ""), ("AZURE_FEDERATED_TOKEN_FILE", "/nowhere/token")];
    add("a token file that is not there", &clinic.doctor(&[], &missing, None).await);
    let certificate = certificate();
    let unknown = [("CLIENT_SECRET", ""), ("CLIENT_CERTIFICATE_PATH", certificate.to_str().unwrap())];
    add("a certificate that is not registered", &clinic.doctor(&[], &unknown, None).await);
    std::fs::remove_file(&certificate).unwrap();

    let clinic = Clinic::open().await;
    clinic.emulator.faults().set(Endpoint::ManagedIdentity, Fault::Status { status: 500, retry_after: None });
    add("a managed-identity endpoint that fails", &clinic.doctor_on_a_host().await);
    clinic.emulator.faults().clear();
    clinic.emulator.no_federated_credential();
    add("no federated credential", &clinic.doctor_on_a_host().await);
    let issuer = clinic.emulator.issuer();
    clinic.emulator.federated_credential(&issuer, IDENTITY_CLIENT_ID, TOKEN_EXCHANGE_URI);
    add("the identity's client ID as subject", &clinic.doctor_on_a_host().await);
    clinic.emulator.federated_credential(&format!("{issuer}/"), IDENTITY_PRINCIPAL_ID, TOKEN_EXCHANGE_URI);
    add("an issuer with a slash at its end", &clinic.doctor_on_a_host().await);
    clinic.emulator.federated_credential(&issuer, IDENTITY_PRINCIPAL_ID, "api://AzureADTokenExchangeUSGov");
    add("another cloud's audience", &clinic.doctor_on_a_host().await);
    insta::assert_snapshot!("doctor on a broken credential", text);
}

#[tokio::test]
async fn a_server_that_clients_cannot_use_is_named_with_its_fix() {
    let mut text = String::new();
    let mut add = |title: &str, visit: &Visit| text.push_str(&complaints(title, visit));

    let other = |_: &str| vec![("RESOURCE_SERVER_URL", "https://old.contoso.example".to_owned())];
    let clinic = Clinic::with(other).await;
    add("a deployment with other settings", &clinic.doctor(&[], &[], None).await);

    let challenge = [("www-authenticate", "Bearer realm=\"easy\"")];
    let easy_auth = Router::new().fallback(async move || (StatusCode::UNAUTHORIZED, challenge));
    add("Easy Auth in front", &Clinic::behind(easy_auth).await.doctor(&[], &[], None).await);
    add("routes that do not reach the server", &Clinic::behind(Router::new()).await.doctor(&[], &[], None).await);
    let another = Router::new().fallback(async || "<html>Hello</html>");
    add("another site", &Clinic::behind(another).await.doctor(&[], &[], None).await);

    let clinic = Clinic::open().await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{gone}");
    let visit = clinic.doctor(&[], &[("RESOURCE_SERVER_URL", &url)], None).await;
    add("not started yet", &Visit { report: visit.report.replace(&url, "<nowhere>"), ..visit });
    insta::assert_snapshot!("doctor on a server that clients cannot use", text);
}

#[tokio::test]
async fn a_token_that_is_refused_is_told_why_and_every_other_check_goes_on() {
    let clinic = Clinic::open().await;
    let mut text = String::new();
    let token = || clinic.emulator.token(User::Alice);
    let v1 = format!("https://sts.windows.net/{}/", emulator::TENANT_ID);
    let cases = [
        ("no token at all", "hello there".to_owned()),
        ("expired", token().times(7230, -3630).build()),
        ("for Graph", token().header("nonce", "x").claim("aud", GRAPH_APP_ID).build()),
        ("for another application", token().claim("aud", "api://other").build()),
        ("a v1.0 token", token().claim("ver", "1.0").claim("iss", v1).claim("aud", API_CLIENT_ID).build()),
        ("bound to a device", token().claim("cnf", serde_json::json!({ "kid": "x" })).build()),
        ("an ID token, say", token().without_claim("scp").without_claim("oid").build()),
        (
            "changed on the way",
            format!("{}AAAA", token().build().rsplit_once('.').unwrap().0.to_owned() + "." + &"A".repeat(338)),
        ),
        ("another tenant's", token().claim("tid", API_CLIENT_ID).claim("iss", "https://login.example/x/v2.0").build()),
        ("terminal controls in a claim", token().claim("aud", "\u{1b}[2J\u{7}evil").build()),
    ];
    for (title, token) in cases {
        let visit = clinic.doctor(&["--token", "-"], &[], Some(&token)).await;
        assert!(!visit.report.contains(|character: char| character.is_control() && character != '\n'), "{title}");
        text.push_str(&complaints(title, &visit));
    }
    insta::assert_snapshot!("doctor on refused tokens", text);
}

#[tokio::test]
async fn an_exchange_that_fails_says_what_an_administrator_must_do() {
    let clinic = Clinic::open().await;
    // Carol has not consented to Graph.
    let token = clinic.emulator.token(User::Carol).build();
    let visit = clinic.doctor(&["--token", "-", "--obo"], &[], Some(&token)).await;
    let mut text = complaints("consent is missing", &visit);
    let app_only = clinic.emulator.app_only_token().build();
    let visit = clinic.doctor(&["--token", "-", "--obo"], &[], Some(&app_only)).await;
    text.push_str(&complaints("an application's own token", &visit));
    insta::assert_snapshot!("doctor on a failing exchange", text);
}

#[tokio::test]
async fn the_report_is_json_where_a_program_reads_it() {
    let clinic = Clinic::open().await;
    let visit = clinic.doctor(&["--json"], &[("CLIENT_SECRET", "Xx~not-the-secret")], None).await;
    assert_eq!(visit.exit, 1);
    let report: Value = serde_json::from_str(&visit.report).unwrap();
    assert_eq!(report["ok"], false);
    let checks = report["checks"].as_array().unwrap();
    let credential = checks.iter().find(|check| check["name"] == "credential").unwrap();
    assert_eq!(credential["status"], "error");
    assert!(credential["detail"].as_str().unwrap().contains("AADSTS7000215"), "{credential}");
    assert!(credential["fix"].is_string());
    assert!(!visit.report.contains("not-the-secret"));
}

#[tokio::test]
async fn as_a_client_it_needs_no_credential() {
    let clinic = Clinic::open().await;
    let identity = [("CLIENT_SECRET", ""), ("MANAGED_IDENTITY_CLIENT_ID", IDENTITY_CLIENT_ID)];
    let visit = clinic.doctor(&["--as-client"], &identity, None).await;
    assert_eq!(visit.exit, 0, "{}", visit.report);
    assert!(visit.report.contains("ok       challenge") && !visit.report.contains("  identity  "), "{}", visit.report);
    assert_eq!(clinic.emulator.counters().managed_identity, 0);
}

#[tokio::test]
async fn offline_asks_nobody() {
    let clinic = Clinic::open().await;
    let token = clinic.emulator.token(User::Alice).build();
    let visit = clinic.doctor(&["--offline", "--token", "-"], &[], Some(&token)).await;
    assert_eq!(visit.exit, 0, "{}", visit.report);
    let counters = clinic.emulator.counters();
    assert_eq!((counters.discovery, counters.keys, counters.token_client_credentials), (0, 0, 0));
    assert!(visit.report.contains("skipped  token.signature"), "{}", visit.report);
}

#[tokio::test]
async fn settings_come_from_a_file_where_one_is_named() {
    let clinic = Clinic::open().await;
    let path = temporary("local.settings.json");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../local.settings.json.example"), &path).unwrap();
    // The file wins over the environment, which would be at fault.
    let file = ["--settings", path.to_str().unwrap(), "--offline"];
    let visit = clinic.doctor(&file, &[("TENANT_ID", "nonsense")], None).await;
    assert_eq!(visit.exit, 0, "{}", visit.report);
    std::fs::write(&path, r#"{"Values":{"PORT":9000}}"#).unwrap();
    let visit = clinic.doctor(&file, &[], None).await;
    assert_eq!(visit.exit, 2);
    assert!(visit.errors.contains("a value is no text"), "{}", visit.errors);
    std::fs::remove_file(&path).unwrap();
    let visit = clinic.doctor(&file, &[], None).await;
    assert_eq!(visit.exit, 2);
    assert!(visit.errors.contains("cannot be read"), "{}", visit.errors);
}

fn temporary(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{:x}-{name}", std::process::id(), rand::random::<u32>()))
}

/// A certificate that nobody has registered.
fn certificate() -> PathBuf {
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    let path = temporary("client.pem");
    std::fs::write(&path, format!("{}{}", certificate.pem(), key.serialize_pem())).unwrap();
    path
}
