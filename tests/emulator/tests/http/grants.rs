//! The token endpoint: each grant, and each of its refusals.

use std::sync::Arc;

use emulator::{API_CLIENT_ID, CLIENT_SECRET, PUBLIC_CLIENT_ID, TENANT_ID, User};
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::keys::SigningKey;

use super::{MCP, USER_READ, part, world};

#[track_caller]
pub(super) fn assert_refused((status, answer): &(StatusCode, Value), expect: (u16, &str, u32)) {
    assert_eq!(
        (status.as_u16(), answer["error"].as_str(), &answer["error_codes"]),
        (expect.0, Some(expect.1), &json!([expect.2]))
    );
    let description = answer["error_description"].as_str().unwrap();
    assert!(description.starts_with(&format!("AADSTS{}: ", expect.2)), "{description}");
    for part in ["Trace ID: ", "Correlation ID: ", "Timestamp: "] {
        assert!(description.contains(part), "{description}");
    }
    for member in ["timestamp", "trace_id", "correlation_id", "error_uri"] {
        assert!(answer[member].is_string(), "{member}");
    }
}

#[tokio::test]
async fn a_code_needs_its_verifier_its_client_and_its_resource() {
    let world = world().await;
    let wrong = "wrong-verifier-wrong-verifier-wrong-verifier";
    let cases: [(&[(&str, &str)], _); 6] = [
        (&[("code_verifier", wrong)], (400, "invalid_grant", 501_481)),
        (&[("redirect_uri", "http://127.0.0.1:1/")], (400, "invalid_grant", 500_112)),
        (&[("client_secret", CLIENT_SECRET)], (401, "invalid_client", 700_025)),
        (&[("client_id", API_CLIENT_ID)], (401, "invalid_client", 7_000_218)),
        (&[("client_id", API_CLIENT_ID), ("client_secret", CLIENT_SECRET)], (400, "invalid_grant", 70_000)),
        (&[("resource", "http://127.0.0.1:7071/mcp/")], (400, "invalid_target", 9_010_010)),
    ];
    for (changes, expect) in cases {
        let code = world.code(&[]).await;
        assert_refused(&world.redeem(&code, changes).await, expect);
    }
    let code = world.code(&[]).await;
    assert_eq!(world.redeem(&code, &[]).await.0, StatusCode::OK);
    assert_refused(&world.redeem(&code, &[]).await, (400, "invalid_grant", 54_005));
}

#[tokio::test]
async fn the_api_application_may_sign_users_in_with_its_secret() {
    let world = world().await;
    let code = world.code(&[("client_id", API_CLIENT_ID)]).await;
    let proof = [("client_id", API_CLIENT_ID), ("client_secret", CLIENT_SECRET)];
    let (status, answer) = world.redeem(&code, &proof).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(part(&answer["access_token"], 1)["azpacr"], "1");
}

#[tokio::test]
async fn refresh_tokens_rotate() {
    let world = world().await;
    let scope = format!("{MCP}/access_as_user");
    let (_, without) = world.redeem(&world.code(&[("scope", &scope)]).await, &[]).await;
    assert!(without.get("refresh_token").is_none(), "only offline_access gives one");
    let (_, first) = world.redeem(&world.code(&[]).await, &[]).await;
    let form = |token: &Value| token["refresh_token"].as_str().unwrap().to_owned();
    let refresh = async |token: &str| {
        let form = [("grant_type", "refresh_token"), ("client_id", PUBLIC_CLIENT_ID), ("refresh_token", token)];
        world.token(&form).await
    };
    let (status, second) = refresh(&form(&first)).await;
    assert_eq!(status, StatusCode::OK, "{second}");
    assert_ne!(part(&first["access_token"], 1)["uti"], part(&second["access_token"], 1)["uti"]);
    assert_refused(&refresh(&form(&first)).await, (400, "invalid_grant", 70_000));
    assert_eq!(refresh(&form(&second)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn on_behalf_of_gives_a_graph_token() {
    let world = world().await;
    let assertion = world.emulator.token(User::Bob).build();
    let claims = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;
    let (status, answer) = world.on_behalf_of(&assertion, &[("claims", claims)]).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["scope"], USER_READ);
    assert!(answer.get("refresh_token").is_none());
    assert!(part(&answer["access_token"], 0)["nonce"].is_string());
    let token = part(&answer["access_token"], 1);
    assert_eq!(token["aud"], "00000003-0000-0000-c000-000000000000");
    assert_eq!(token["oid"], User::Bob.oid());
    assert_eq!(token["xms_cc"], json!(["cp1"]));
    let seen = world.emulator.obo_requests();
    assert_eq!((seen.len(), seen[0].oid.as_deref()), (1, Some(User::Bob.oid())));
    assert_eq!((seen[0].scope.as_deref(), seen[0].had_claims()), (Some(USER_READ), true));
    assert_eq!(world.emulator.counters().token_obo, 1);
}

#[tokio::test]
async fn on_behalf_of_refuses() {
    let world = world().await;
    let (alice, carol) = (world.emulator.token(User::Alice), world.emulator.token(User::Carol));
    let good = alice.build();
    let mcp = format!("{MCP}/access_as_user");
    let cases: [(&str, &[(&str, &str)], _); 11] = [
        (&good, &[("client_secret", "wrong")], (401, "invalid_client", 7_000_215)),
        (&good, &[("client_secret", "")], (401, "invalid_client", 7_000_218)),
        (&good, &[("requested_token_use", "")], (400, "invalid_request", 900_144)),
        (&good, &[("scope", &mcp)], (400, "invalid_scope", 70_011)),
        (&good, &[("scope", "https://graph.microsoft.com/Mail.Read")], (400, "invalid_grant", 65_001)),
        (&alice.clone().times(7200, -1).build(), &[], (400, "invalid_grant", 500_133)),
        (&alice.clone().claim("aud", "other").build(), &[], (400, "invalid_grant", 500_131)),
        (&alice.clone().key(&SigningKey::generate("stranger")).build(), &[], (400, "invalid_grant", 50_013)),
        (&alice.without_claim("scp").build(), &[], (400, "invalid_grant", 240_002)),
        (&world.emulator.app_only_token().build(), &[], (400, "invalid_grant", 7_000_114)),
        (&carol.build(), &[], (400, "invalid_grant", 65_001)),
    ];
    for (assertion, changes, expect) in cases {
        assert_refused(&world.on_behalf_of(assertion, changes).await, expect);
    }
    let (_, answer) = world.on_behalf_of(&carol.build(), &[]).await;
    assert_eq!(answer["suberror"], "consent_required");
    world.emulator.grant(User::Carol, USER_READ);
    assert_eq!(world.on_behalf_of(&carol.build(), &[]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn assertions_survive_a_rotation_and_a_lagging_replica_but_not_a_withdrawal() {
    let world = world().await;
    let old = world.emulator.token(User::Alice).build();
    let new = world.emulator.rotate_keys();
    assert_eq!(world.on_behalf_of(&old, &[]).await.0, StatusCode::OK);
    world.emulator.publish(&[Arc::clone(&new)]);
    assert_refused(&world.on_behalf_of(&old, &[]).await, (400, "invalid_grant", 50_013));
    world.emulator.publish(&[]);
    let fresh = world.emulator.token(User::Alice).build();
    assert_eq!(world.on_behalf_of(&fresh, &[]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn client_credentials() {
    let world = world().await;
    let scope = format!("{MCP}/.default");
    let form = |scope| {
        let grant = ("grant_type", "client_credentials");
        [grant, ("client_id", API_CLIENT_ID), ("client_secret", CLIENT_SECRET), ("scope", scope)]
    };
    let (status, answer) = world.token(&form(&scope)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let claims = part(&answer["access_token"], 1);
    assert_eq!((&claims["idtyp"], &claims["roles"]), (&"app".into(), &json!(["MCP.Tools.Read"])));
    assert_eq!(claims["oid"], claims["sub"]);
    assert!(claims.get("scp").is_none());
    assert_refused(&world.token(&form(USER_READ)).await, (400, "invalid_scope", 1_002_012));
}

#[tokio::test]
async fn a_probe_tells_what_is_wrong() {
    let world = world().await;
    let secret = ("client_secret", CLIENT_SECRET);
    let base = format!("{}/.default", world.emulator.base_url());
    for scope in [&base, "https://graph.microsoft.com/.default", "api://00001111-aaaa-2222-bbbb-3333cccc4444/.default"]
    {
        let (status, answer) = world.probe(&[secret, ("scope", scope)]).await;
        assert_eq!(status, StatusCode::OK, "{scope}: {answer}");
    }
    let stranger = "99999999-0000-0000-0000-000000000000";
    assert_refused(&world.probe(&[("client_secret", "wrong")]).await, (401, "invalid_client", 7_000_215));
    assert_refused(&world.probe(&[secret, ("client_id", stranger)]).await, (400, "unauthorized_client", 700_016));
    assert_refused(&world.probe(&[]).await, (401, "invalid_client", 7_000_218));
    let url = format!("{}/{stranger}/oauth2/v2.0/token", world.emulator.base_url());
    let response = world.http.post(url).form(&[("grant_type", "client_credentials")]).send().await.unwrap();
    assert_refused(&(response.status(), response.json().await.unwrap()), (400, "invalid_tenant", 90_002));
    assert_eq!(world.emulator.counters().token_client_credentials, 7);
}

#[tokio::test]
async fn malformed_requests() {
    let world = world().await;
    let twice = [("grant_type", "refresh_token"), ("grant_type", "refresh_token")];
    assert_refused(&world.token(&twice).await, (400, "invalid_request", 9_000_411));
    assert_refused(&world.token(&[]).await, (400, "invalid_request", 900_144));
    let other = [("grant_type", "password"), ("client_id", PUBLIC_CLIENT_ID)];
    assert_refused(&world.token(&other).await, (400, "unsupported_grant_type", 70_003));
    let got = world.get(&format!("/{TENANT_ID}/oauth2/v2.0/token")).await;
    assert_refused(&(got.status(), got.json().await.unwrap()), (400, "invalid_request", 900_561));
    let url = format!("{}/{TENANT_ID}/oauth2/v2.0/token", world.emulator.base_url());
    let json = world.http.post(url).json(&json!({ "grant_type": "refresh_token" })).send().await.unwrap();
    assert_refused(&(json.status(), json.json().await.unwrap()), (400, "invalid_request", 900_144));
}

#[tokio::test]
async fn the_correlation_id_is_the_clients() {
    let world = world().await;
    let id = "11111111-2222-3333-4444-555555555555";
    let url = format!("{}/{TENANT_ID}/oauth2/v2.0/token", world.emulator.base_url());
    let request = world.http.post(url).header("client-request-id", id).header("return-client-request-id", "true");
    let response = request.form(&[("grant_type", "x")]).send().await.unwrap();
    assert_eq!(response.headers()["client-request-id"], id);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    assert_eq!(response.json::<Value>().await.unwrap()["correlation_id"], id);
}
