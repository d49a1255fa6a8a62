//! Without a secret: the real executable, the real `azure_identity`, and an emulated managed-identity endpoint.

use std::path::Path;
use std::time::Duration;

use emulator::{Emulator, Endpoint, Fault, IDENTITY_CLIENT_ID, IDENTITY_PRINCIPAL_ID, User};
use futures::future::join_all;
use rcgen::PublicKeyData as _;

use crate::executable::Handler;
use crate::world::{self, Reply, World};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_my_profile"}}"#;

/// A handler that has no secret but this identity.
async fn start(emulator: &Emulator, variable: &str, id: &str) -> Handler {
    let (endpoint, header) = emulator.identity_endpoint();
    let settings =
        [("CLIENT_SECRET", ""), ("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", &header), (variable, id)];
    Handler::start(world::settings_for(&emulator.base_url(), &settings)).await
}

async fn call(handler: &Handler, emulator: &Emulator) -> Reply {
    handler.post(&emulator.token(User::Alice).claim("uti", format!("{:x}", rand::random::<u64>())).build(), CALL).await
}

fn told(reply: &Reply) -> bool {
    reply.json()["result"]["isError"] == true
}

#[tokio::test]
async fn a_managed_identity_stands_in_for_the_secret() {
    let emulator = Emulator::start().await;
    for (variable, id) in [
        ("MANAGED_IDENTITY_CLIENT_ID", IDENTITY_CLIENT_ID),
        ("FEDERATED_CREDENTIAL_OID", IDENTITY_PRINCIPAL_ID),
        // What the name says is not what everybody puts there: the client ID works too, with a warning.
        ("FEDERATED_CREDENTIAL_OID", IDENTITY_CLIENT_ID),
    ] {
        let handler = start(&emulator, variable, id).await;
        assert_eq!(call(&handler, &emulator).await.structured()["id"], User::Alice.oid(), "{variable}");
        assert_eq!(handler.get("/health/ready").await.label(), "200");
        handler.terminate();
        let (log, errors) = handler.output().await;
        assert_eq!(errors, "");
        let warned = log.contains("trying it as client ID");
        assert_eq!(warned, variable == "FEDERATED_CREDENTIAL_OID" && id == IDENTITY_CLIENT_ID, "{variable}");
        assert!(log.contains(IDENTITY_PRINCIPAL_ID), "the subject to register is logged");
    }
}

#[tokio::test]
async fn many_first_calls_ask_for_the_identity_once_and_it_is_kept() {
    let emulator = Emulator::start().await;
    let handler = start(&emulator, "MANAGED_IDENTITY_CLIENT_ID", IDENTITY_CLIENT_ID).await;
    let replies = join_all((0..20).map(|_| call(&handler, &emulator))).await;
    assert!(replies.iter().all(|reply| reply.label() == "200" && !told(reply)));
    assert_eq!(emulator.counters().managed_identity, 1);
    assert_eq!(emulator.counters().token_obo, 20);
}

#[tokio::test]
async fn a_failing_identity_endpoint_is_asked_three_times_at_most_and_recovers() {
    let emulator = Emulator::start().await;
    for fault in [
        Fault::Status { status: 500, retry_after: None },
        Fault::Status { status: 429, retry_after: Some("1".to_owned()) },
        Fault::Reset,
        Fault::Hang,
    ] {
        let label = format!("{fault:?}");
        emulator.faults().set(Endpoint::ManagedIdentity, fault);
        let handler = start(&emulator, "MANAGED_IDENTITY_CLIENT_ID", IDENTITY_CLIENT_ID).await;
        let before = emulator.counters().managed_identity;
        let reply = tokio::time::timeout(Duration::from_secs(12), call(&handler, &emulator)).await.expect("an answer");
        assert!(told(&reply), "{label}: {}", reply.body);
        let asked = emulator.counters().managed_identity - before;
        assert!((1..=3).contains(&asked), "{label}: asked {asked} times");
        assert_eq!(handler.get("/health/ready").await.label(), "503", "{label}");
        emulator.faults().clear();
        assert!(!told(&call(&handler, &emulator).await), "{label}: recovers without a restart");
    }
}

#[tokio::test]
async fn an_identity_the_host_does_not_know_is_not_asked_for_again_and_again() {
    let emulator = Emulator::start().await;
    let handler = start(&emulator, "MANAGED_IDENTITY_CLIENT_ID", "99999999-1111-2222-3333-444444444444").await;
    assert!(told(&call(&handler, &emulator).await));
    assert_eq!(emulator.counters().managed_identity, 1);
    let ready = handler.get("/health/ready").await;
    assert_eq!(ready.label(), "503");
    assert!(ready.body.contains("knows no such identity"), "{}", ready.body);
}

#[tokio::test]
async fn what_to_register_is_said_to_the_letter() {
    let emulator = Emulator::start().await;
    emulator.no_federated_credential();
    let handler = start(&emulator, "MANAGED_IDENTITY_CLIENT_ID", IDENTITY_CLIENT_ID).await;
    assert!(told(&call(&handler, &emulator).await));
    // One assertion, and one more that is new: then the set-up is at fault.
    assert_eq!(emulator.counters().token_obo, 2);
    let (issuer, base) = (emulator.issuer(), emulator.base_url());
    handler.terminate();
    let (log, _) = handler.output().await;
    let advice = log.lines().find(|line| line.contains("register exactly this")).unwrap_or_else(|| panic!("{log}"));
    for part in [&issuer, IDENTITY_PRINCIPAL_ID, "api://AzureADTokenExchange"] {
        assert!(advice.contains(part), "{part} missing: {advice} ({base})");
    }
}

#[tokio::test]
async fn a_certificate_stands_in_for_the_secret() {
    let emulator = Emulator::start().await;
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    let thumbprint = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.der());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("client-{}.pem", std::process::id()));
    std::fs::write(&path, format!("{}{}", certificate.pem(), key.serialize_pem())).unwrap();
    let settings = [("CLIENT_SECRET", ""), ("CLIENT_CERTIFICATE_PATH", path.to_str().unwrap())];
    let world = World::with_on(emulator.clone(), &settings).await;
    // Not registered: the application does not know this certificate.
    let token = |uti: &str| emulator.token(User::Alice).claim("uti", uti).build();
    assert!(told(&world.call_tool(&token("one"), "get_my_profile").await));

    emulator.register_certificate(&key.subject_public_key_info(), &support::base64url(thumbprint));
    let world = World::with_on(emulator.clone(), &settings).await;
    assert_eq!(world.call_tool(&token("two"), "get_my_profile").await.structured()["id"], User::Alice.oid());
    std::fs::remove_file(&path).unwrap();

    let world = World::with_on(emulator.clone(), &settings).await;
    assert!(told(&world.call_tool(&token("three"), "get_my_profile").await));
    let ready = world.get("/health/ready").await;
    assert!(ready.body.contains("CLIENT_CERTIFICATE_PATH: the file cannot be read"), "{}", ready.body);
}

#[tokio::test]
async fn a_token_file_stands_in_for_the_secret_and_is_read_anew() {
    let emulator = Emulator::start().await;
    emulator.federated_credential(&emulator.issuer(), IDENTITY_PRINCIPAL_ID, emulator::TOKEN_EXCHANGE_URI);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("token-{}", std::process::id()));
    std::fs::write(&path, "no token").unwrap();
    let settings = [("CLIENT_SECRET", ""), ("AZURE_FEDERATED_TOKEN_FILE", path.to_str().unwrap())];
    let world = World::with_on(emulator.clone(), &settings).await;
    assert_eq!(world.get("/health/ready").await.label(), "503");
    std::fs::write(&path, format!("{}\n", emulator.identity_token().build())).unwrap();
    assert_eq!(world.get("/health/ready").await.label(), "200");
    let reply = world.call_tool(&emulator.token(User::Alice).build(), "get_my_profile").await;
    assert_eq!(reply.structured()["id"], User::Alice.oid());
    std::fs::remove_file(&path).unwrap();
}
