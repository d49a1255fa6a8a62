//! `GET /v1.0/me`.

use emulator::User;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use super::{World, world};

async fn me(world: &World, token: &str, select: &str) -> Response {
    let url = format!("{}/v1.0/me{select}", world.emulator.base_url());
    world.http.get(url).bearer_auth(token).send().await.unwrap()
}

#[tokio::test]
async fn only_the_selected_properties() {
    let world = world().await;
    let token = world.graph_token(&[]).await;
    let response = me(&world, &token, "?$select=displayName,userPrincipalName").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().contains_key("request-id"));
    let context = format!("{}/v1.0/$metadata#users(displayName,userPrincipalName)/$entity", world.emulator.base_url());
    assert_eq!(
        response.json::<Value>().await.unwrap(),
        json!({
            "@odata.context": context,
            "displayName": "Alice Example",
            "userPrincipalName": "alice@contoso.example"
        })
    );
    let all = me(&world, &token, "").await.json::<Value>().await.unwrap();
    assert_eq!(all["id"], User::Alice.oid());
    assert_eq!(all.as_object().unwrap().len(), 12);
    assert_eq!(me(&world, &token, "?$select=shoeSize").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(world.emulator.counters().graph_me, 3);
}

#[track_caller]
fn assert_challenged(response: &Response) -> String {
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert!(challenge.starts_with("Bearer realm=\"\", authorization_uri="), "{challenge}");
    challenge
}

#[tokio::test]
async fn what_is_not_a_living_graph_token_is_refused() {
    let world = world().await;
    assert_challenged(&world.get("/v1.0/me").await);
    assert_challenged(&me(&world, "nonsense", "").await);
    assert_challenged(&me(&world, &world.emulator.token(User::Alice).build(), "").await);
    let good = world.graph_token(&[]).await;
    let cut = good.rsplit_once('.').unwrap().0;
    assert_challenged(&me(&world, &format!("{cut}.AAAA"), "").await);
    world.emulator.set_downstream_lifetime(-1);
    assert_challenged(&me(&world, &world.graph_token(&[]).await, "").await);
    assert_eq!(me(&world, &good, "").await.status(), StatusCode::OK);
    world.emulator.revoke_downstream_tokens();
    let revoked = me(&world, &good, "").await;
    assert_challenged(&revoked);
    let body: Value = revoked.json().await.unwrap();
    assert_eq!(body["error"]["code"], "InvalidAuthenticationToken");
}

#[tokio::test]
async fn nobody_else_can_check_the_signature() {
    let world = world().await;
    let token = world.graph_token(&[]).await;
    let (input, signature) = token.rsplit_once('.').unwrap();
    let expected = world.emulator.signing_key().sign(support::keys::Signing::Rs256, input.as_bytes());
    assert_ne!(support::base64url(expected), signature);
}

#[tokio::test]
async fn a_token_without_the_scope_is_forbidden() {
    let world = world().await;
    world.emulator.grant(User::Carol, "Mail.Read");
    let assertion = world.emulator.token(User::Carol).build();
    let scope = ("scope", "https://graph.microsoft.com/.default");
    let (_, answer) = world.on_behalf_of(&assertion, &[scope]).await;
    let response = me(&world, answer["access_token"].as_str().unwrap(), "").await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], "Authorization_RequestDenied");
}

#[tokio::test]
async fn a_claims_challenge_is_answered_by_a_token_for_those_claims() {
    use base64::Engine as _;
    let world = world().await;
    let token = world.graph_token(&[]).await;
    world.emulator.graph_claims_challenge(true);
    let challenge = assert_challenged(&me(&world, &token, "").await);
    assert!(challenge.contains("error=\"insufficient_claims\""), "{challenge}");
    let claims = challenge.split("claims=\"").nth(1).unwrap().trim_end_matches('"');
    let claims = base64::engine::general_purpose::STANDARD.decode(claims).unwrap();
    let claims = String::from_utf8(claims).unwrap();
    let token = world.graph_token(&[("claims", &claims)]).await;
    assert_eq!(me(&world, &token, "").await.status(), StatusCode::OK);
}
