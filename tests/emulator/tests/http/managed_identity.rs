//! The managed identities' endpoints.

use emulator::{
    Endpoint, Fault, IDENTITY_CLIENT_ID, IDENTITY_PRINCIPAL_ID, IDENTITY_RESOURCE_ID, SYSTEM_PRINCIPAL_ID, TENANT_ID,
    TOKEN_EXCHANGE_APP_ID, TOKEN_EXCHANGE_URI,
};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use super::{World, part, with, world};

/// Asks as a library on App Service does (`azure_identity` sends `metadata` as well), for the user-assigned identity,
/// with changes; an empty value means omitted.
async fn app_service(world: &World, changes: &[(&str, &str)]) -> Response {
    let (url, header) = world.emulator.identity_endpoint();
    ask(world, &url, Some(&header), "2019-08-01", changes).await
}

/// The same on a virtual machine.
async fn imds(world: &World, changes: &[(&str, &str)]) -> Response {
    let url = format!("{}/metadata/identity/oauth2/token", world.emulator.base_url());
    ask(world, &url, None, "2018-02-01", changes).await
}

async fn ask(world: &World, url: &str, secret: Option<&str>, version: &str, changes: &[(&str, &str)]) -> Response {
    let good = vec![("api-version", version), ("resource", TOKEN_EXCHANGE_URI), ("client_id", IDENTITY_CLIENT_ID)];
    let request = world.http.get(url).header("metadata", "true").query(&with(good, changes));
    let request = secret.into_iter().fold(request, |request, secret| request.header("x-identity-header", secret));
    request.send().await.unwrap()
}

#[track_caller]
fn assert_identity_token(emulator: &emulator::Emulator, token: &Value, principal: &str) {
    let claims = part(token, 1);
    for (name, value) in [
        ("aud", TOKEN_EXCHANGE_APP_ID),
        ("iss", &emulator.issuer()),
        ("sub", principal),
        ("oid", principal),
        ("tid", TENANT_ID),
        ("ver", "2.0"),
        ("idtyp", "app"),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    assert_eq!(part(token, 0)["kid"], emulator.signing_key().kid());
}

#[tokio::test]
async fn app_service_answers_as_the_client_libraries_expect() {
    let world = world().await;
    let response = app_service(&world, &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Value = response.json().await.unwrap();
    assert_identity_token(&world.emulator, &answer["access_token"], IDENTITY_PRINCIPAL_ID);
    let claims = part(&answer["access_token"], 1);
    assert_eq!(claims["azp"], IDENTITY_CLIENT_ID);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 86_400);
    assert_eq!(answer["expires_on"], claims["exp"].to_string());
    assert_eq!(answer["not_before"], claims["nbf"].to_string());
    assert_eq!(
        (&answer["client_id"], &answer["resource"], &answer["token_type"]),
        (&IDENTITY_CLIENT_ID.into(), &TOKEN_EXCHANGE_URI.into(), &"Bearer".into())
    );
    world.emulator.set_identity_token_lifetime(90);
    let answer: Value = app_service(&world, &[]).await.json().await.unwrap();
    let claims = part(&answer["access_token"], 1);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 90);
    assert_eq!(world.emulator.counters().managed_identity, 2);
}

async fn principal(response: Response) -> Option<Value> {
    let answer: Value = response.json().await.unwrap();
    answer.get("access_token").map(|token| part(token, 1)["sub"].clone())
}

#[tokio::test]
async fn every_id_names_its_identity() {
    let world = world().await;
    let none = ("client_id", "");
    let upper = IDENTITY_CLIENT_ID.to_uppercase();
    // `msi_res_id` is for IMDS alone: App Service overlooks it (azure-sdk-for-rust#2407).
    let cases: [(&[(&str, &str)], _, _); 8] = [
        (&[("client_id", &upper)], Some(IDENTITY_PRINCIPAL_ID), Some(IDENTITY_PRINCIPAL_ID)),
        (&[none, ("object_id", IDENTITY_PRINCIPAL_ID)], Some(IDENTITY_PRINCIPAL_ID), Some(IDENTITY_PRINCIPAL_ID)),
        (&[none, ("principal_id", IDENTITY_PRINCIPAL_ID)], Some(IDENTITY_PRINCIPAL_ID), Some(SYSTEM_PRINCIPAL_ID)),
        (&[none, ("mi_res_id", IDENTITY_RESOURCE_ID)], Some(IDENTITY_PRINCIPAL_ID), Some(IDENTITY_PRINCIPAL_ID)),
        (&[none, ("msi_res_id", IDENTITY_RESOURCE_ID)], Some(SYSTEM_PRINCIPAL_ID), Some(IDENTITY_PRINCIPAL_ID)),
        (&[none], Some(SYSTEM_PRINCIPAL_ID), Some(SYSTEM_PRINCIPAL_ID)),
        (&[("client_id", IDENTITY_PRINCIPAL_ID)], None, None),
        (&[none, ("object_id", IDENTITY_CLIENT_ID)], None, None),
    ];
    for (changes, on_app_service, on_a_machine) in cases {
        let got = principal(app_service(&world, changes).await).await;
        assert_eq!(got, on_app_service.map(Value::from), "{changes:?}");
        let got = principal(imds(&world, changes).await).await;
        assert_eq!(got, on_a_machine.map(Value::from), "{changes:?}");
    }
}

#[tokio::test]
async fn app_service_refuses() {
    let world = world().await;
    let (url, header) = world.emulator.identity_endpoint();
    let wrong = ask(&world, &url, Some("wrong"), "2019-08-01", &[]).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&world, &url, None, "2019-08-01", &[]).await.status(), StatusCode::UNAUTHORIZED);
    assert!(support::sentinel::leak_in(&format!("header={header}")).is_some());
    let cases: [(&[(&str, &str)], _, _); 6] = [
        (&[("client_id", TENANT_ID)], 400, "No User Assigned or Delegated Managed Identity found for specified"),
        (&[("object_id", IDENTITY_PRINCIPAL_ID)], 400, "No User Assigned or Delegated Managed Identity found for"),
        (&[("api-version", "")], 400, "The api-version"),
        (&[("api-version", "2017-09-01")], 400, "The api-version"),
        (&[("resource", "")], 400, "The resource"),
        // A scope is no resource, and the platform says no more about it.
        (&[("resource", "api://AzureADTokenExchange/.default")], 500, "An unexpected error occured while fetching"),
    ];
    for (changes, status, message) in cases {
        let response = app_service(&world, changes).await;
        assert_eq!(response.status().as_u16(), status, "{changes:?}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["statusCode"], status);
        assert!(body["message"].as_str().unwrap().starts_with(message), "{body}");
        assert!(body["correlationId"].is_string());
    }
    assert_eq!(world.emulator.counters().managed_identity, 8, "refusals count");
}

#[tokio::test]
async fn a_virtual_machine_answers_too() {
    let world = world().await;
    let answer: Value = imds(&world, &[]).await.json().await.unwrap();
    assert_identity_token(&world.emulator, &answer["access_token"], IDENTITY_PRINCIPAL_ID);
    assert_eq!(answer["expires_on"], part(&answer["access_token"], 1)["exp"].to_string());
    assert_eq!(answer["expires_in"], "86400");
    // `azure_identity` asks both endpoints with the same version.
    assert_eq!(imds(&world, &[("api-version", "2019-08-01")]).await.status(), StatusCode::OK);
    let url = format!("{}/metadata/identity/oauth2/token", world.emulator.base_url());
    let query = [("api-version", "2018-02-01"), ("resource", TOKEN_EXCHANGE_URI)];
    let bare = world.http.get(url).query(&query).send().await.unwrap();
    assert_eq!(bare.status(), StatusCode::BAD_REQUEST);
    let body: Value = bare.json().await.unwrap();
    assert_eq!(body["error_description"], "Required metadata header not specified");
    let unknown = imds(&world, &[("client_id", TENANT_ID)]).await;
    assert_eq!(unknown.status(), StatusCode::BAD_REQUEST);
    let body: Value = unknown.json().await.unwrap();
    assert_eq!(body, json!({ "error": "invalid_request", "error_description": "Identity not found" }));
    let scope = imds(&world, &[("resource", "api://AzureADTokenExchange/.default")]).await;
    assert_eq!(scope.json::<Value>().await.unwrap()["error_codes"][0], 500_011);
    assert_eq!(imds(&world, &[("api-version", "")]).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(imds(&world, &[("resource", "")]).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn faults_strike_both() {
    let world = world().await;
    let fault = Fault::Status { status: 429, retry_after: Some("1".into()) };
    world.emulator.faults().times(Endpoint::ManagedIdentity, 2, fault);
    let throttled = app_service(&world, &[]).await;
    assert_eq!((throttled.status().as_u16(), &throttled.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    assert_eq!(imds(&world, &[]).await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(app_service(&world, &[]).await.status(), StatusCode::OK);
    world.emulator.faults().set(Endpoint::ManagedIdentity, Fault::Garbage);
    assert!(imds(&world, &[]).await.json::<Value>().await.is_err());
    let by_http = json!({ "endpoint": "managed_identity", "fault": "garbage", "times": 1 });
    let url = format!("{}/emulator/faults", world.emulator.base_url());
    assert_eq!(world.http.post(url).json(&by_http).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(world.emulator.counters().managed_identity, 4);
}
