//! Signing in: the page, the redirect, PKCE, scopes, `resource`, and what each user consents to.

use emulator::{MCP_TOOLS, PUBLIC_CLIENT_ID, TENANT_ID, User};
use reqwest::StatusCode;

use super::{CALLBACK, MCP, World, member, part, sent_back, world};

#[tokio::test]
async fn code_flow_with_pkce() {
    let world = world().await;
    let back = sent_back(&world.authorize(&[("nonce", "n-1")]).await);
    assert_eq!(member(&back, "state").as_deref(), Some("a state & more"));
    assert_eq!(member(&back, "iss"), Some(world.emulator.issuer()));
    assert!(member(&back, "session_state").is_some());
    let (status, answer) = world.redeem(&member(&back, "code").unwrap(), &[("resource", MCP)]).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 4500);
    assert_eq!(answer["scope"], format!("{MCP}/MCP.Tools {MCP}/access_as_user"));
    assert!(answer["refresh_token"].is_string());
    let claims = part(&answer["access_token"], 1);
    assert_eq!(claims["scp"], "MCP.Tools access_as_user");
    assert_eq!(claims["iss"], world.emulator.issuer());
    assert_eq!(claims["aud"], emulator::API_CLIENT_ID);
    assert_eq!(claims["azp"], PUBLIC_CLIENT_ID);
    assert_eq!(claims["oid"], User::Alice.oid());
    assert_eq!(claims["tid"], TENANT_ID);
    let id = part(&answer["id_token"], 1);
    assert_eq!((&id["aud"], &id["nonce"]), (&PUBLIC_CLIENT_ID.into(), &"n-1".into()));
    assert_ne!(id["sub"], claims["sub"], "pairwise");
    assert!(id.get("scp").is_none());
}

#[tokio::test]
async fn the_page_lists_everybody_and_escapes() {
    let world = world().await;
    let hostile = "\"><script>alert(1)</script>";
    let response = world.authorize(&[("login_hint", "nobody@contoso.example"), ("state", hostile)]).await;
    assert_eq!(response.status(), StatusCode::OK);
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("script-src"), "{policy}");
    let html = response.text().await.unwrap();
    assert!(html.contains("LOCAL EMULATOR – not Microsoft"));
    assert!(!html.contains("<script"), "{html}");
    let links: Vec<&str> = html.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(links.len(), 3);
    // The link is the same request, and picking it signs that person in.
    let path = format!("/{TENANT_ID}/oauth2/v2.0/authorize{}", links[1].replace("&amp;", "&"));
    let back = sent_back(&world.get(&path).await);
    assert_eq!(member(&back, "state").as_deref(), Some(hostile));
    let (_, answer) = world.redeem(&member(&back, "code").unwrap(), &[]).await;
    assert_eq!(part(&answer["access_token"], 1)["oid"], User::Bob.oid());
}

/// A refusal that the client is told about: its OAuth code and its AADSTS number.
async fn refused(changes: &[(&str, &str)], error: &str, code: u32) {
    let world = world().await;
    let back = sent_back(&world.authorize(changes).await);
    let description = member(&back, "error_description").unwrap_or_default();
    assert_eq!(member(&back, "error").as_deref(), Some(error), "{description}");
    assert!(description.starts_with(&format!("AADSTS{code}: ")), "{description}");
    assert_eq!(member(&back, "state").as_deref(), Some("a state & more"));
    assert!(member(&back, "code").is_none());
}

#[tokio::test]
async fn bad_requests_are_redirected() {
    let mine = format!("{MCP}/access_as_user");
    let slash = format!("{MCP}/");
    let unknown = format!("{MCP}/No.Such");
    let two = format!("{MCP}/access_as_user User.Read");
    refused(&[("response_type", "token")], "unsupported_response_type", 700_051).await;
    refused(&[("code_challenge", "")], "invalid_request", 9_002_325).await;
    refused(&[("code_challenge_method", "plain")], "invalid_request", 50_147).await;
    refused(&[("code_challenge", "short")], "invalid_request", 501_491).await;
    refused(&[("scope", "")], "invalid_request", 900_144).await;
    refused(&[("scope", "access_as_user")], "invalid_client", 650_053).await;
    refused(&[("scope", &unknown)], "invalid_scope", 70_011).await;
    refused(&[("scope", "https://elsewhere.example/x")], "invalid_resource", 500_011).await;
    refused(&[("scope", &two)], "invalid_request", 28_000).await;
    refused(&[("scope", &mine), ("resource", &slash)], "invalid_target", 9_010_010).await;
    refused(&[("scope", "User.Read")], "invalid_target", 9_010_010).await;
    refused(&[("login_hint", ""), ("prompt", "none")], "login_required", 50_058).await;
}

#[tokio::test]
async fn a_redirect_uri_that_is_not_registered_is_never_redirected_to() {
    let world = world().await;
    let cases = [
        ("redirect_uri", "https://evil.example/", "AADSTS50011"),
        ("client_id", "99999999-0000-0000-0000-000000000000", "AADSTS700016"),
    ];
    for (name, value, code) in cases {
        let response = world.authorize(&[(name, value)]).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(response.headers().get("location").is_none());
        assert!(response.text().await.unwrap().contains(code));
    }
}

async fn scopes_of(world: &World, user: User, scope: &str) -> String {
    let code = world.code(&[("login_hint", user.upn()), ("scope", scope)]).await;
    let (status, answer) = world.redeem(&code, &[]).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    part(&answer["access_token"], 1)["scp"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn bob_steps_up() {
    let world = world().await;
    let both = format!("{MCP}/access_as_user {MCP}/MCP.Tools");
    assert_eq!(scopes_of(&world, User::Bob, &both).await, "access_as_user");
    assert_eq!(scopes_of(&world, User::Bob, &format!("{MCP}/MCP.Tools")).await, "MCP.Tools access_as_user");
}

#[tokio::test]
async fn carol_waits_for_an_administrator() {
    let world = world().await;
    let (tools, both) = (format!("{MCP}/MCP.Tools"), format!("{MCP}/access_as_user {MCP}/MCP.Tools"));
    assert_eq!(scopes_of(&world, User::Carol, &both).await, "access_as_user");
    let back = sent_back(&world.authorize(&[("login_hint", User::Carol.upn()), ("scope", &tools)]).await);
    assert_eq!(member(&back, "error").as_deref(), Some("access_denied"));
    assert!(member(&back, "error_description").unwrap().starts_with("AADSTS90094: "));
    world.emulator.grant(User::Carol, MCP_TOOLS);
    assert_eq!(scopes_of(&world, User::Carol, &tools).await, "MCP.Tools access_as_user");
}

#[tokio::test]
async fn the_fragment_mode_answers_in_the_fragment() {
    let world = world().await;
    let back = sent_back(&world.authorize(&[("response_mode", "fragment")]).await);
    assert!(back.as_str().starts_with(&format!("{CALLBACK}#code=")), "{back}");
}
