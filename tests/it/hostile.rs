//! Hostile and odd tokens, requests and key sets, as data: `vectors/*.json`, each row with its source.

use std::fmt::Write as _;

use emulator::{Endpoint, User};
use shared::auth::bearer::BearerToken;
use shared::auth::examine::Outcome;
use shared::moment::Moment;
use support::vector::{KeySetVector, RequestVector, TokenVector};

use crate::world::{self, World};

/// The rows of a file, and that their names are unique.
fn rows<T: serde::de::DeserializeOwned>(text: &str, name: impl Fn(&T) -> &str, at_least: usize) -> Vec<T> {
    let rows: Vec<T> = serde_json::from_str(text).unwrap();
    let mut names: Vec<&str> = rows.iter().map(name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "names of rows are unique");
    assert!(count >= at_least, "{count} rows");
    rows
}

#[tokio::test]
async fn every_token_gets_the_answer_its_row_names() {
    let world = World::start().await;
    let placeholders = world.placeholders();
    let mut wrong = Vec::new();
    for row in rows::<TokenVector>(include_str!("vectors/tokens.json"), |row| &row.name, 400) {
        // A new valid token for each row, so that its times are right.
        let token = row.build(&world.emulator.token(User::Alice), &placeholders);
        let Ok(reply) = try_list_tools(&world, &token).await else {
            // No header can carry it: the row needs no server.
            continue;
        };
        if reply != row.expect {
            wrong.push(format!("{}: {reply}, not {} ({})", row.name, row.expect, row.source));
        }
        // What `doctor` says of a token must be what the server does with it.
        if walks_through(&world, &token).await == reply.starts_with("401") {
            wrong.push(format!("{}: {reply}, and walking its checks says otherwise", row.name));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether no check of the token's refuses it.
async fn walks_through(world: &World, token: &str) -> bool {
    let field = http::HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    let headers = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, field)]);
    let Ok(token) = BearerToken::from_request(&headers, None) else { return false };
    let rows = world.process.verifier.examine(&token, Some(&world.process.jwks), Moment::now()).await;
    !rows.iter().any(|row| matches!(row.outcome, Outcome::Refused(_)))
}

async fn try_list_tools(world: &World, token: &str) -> Result<String, http::header::InvalidHeaderValue> {
    http::HeaderValue::try_from(format!("Bearer {token}"))?;
    Ok(world.list_tools(token).await.label())
}

#[tokio::test]
async fn every_way_of_sending_a_token_gets_the_answer_its_row_names() {
    let world = World::start().await;
    let address = world.listen().await;
    let placeholders = world.placeholders();
    let mut wrong = Vec::new();
    for row in rows::<RequestVector>(include_str!("vectors/requests.json"), |row| &row.name, 100) {
        let token = world.emulator.token(User::Alice).build();
        let fill = |text: &str| placeholders.fill(&text.replace("{{token}}", &token));
        let reply = world::raw(address, &request_bytes(&row, fill)).await.label();
        if reply != row.expect {
            wrong.push(format!("{}: {reply}, not {} ({})", row.name, row.expect, row.source));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The request as it goes over the wire; characters up to U+00FF become one byte each.
fn request_bytes(row: &RequestVector, fill: impl Fn(&str) -> String) -> Vec<u8> {
    let method = row.method.as_deref().unwrap_or("POST");
    let target = fill(row.target.as_deref().unwrap_or("/mcp"));
    let body = row.body.as_deref().unwrap_or(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    let body = if method == "POST" { fill(body) } else { String::new() };
    let mut head = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !row.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str("Host: mcp.contoso.example\r\n");
    }
    for (name, value) in &row.headers {
        let _ = write!(head, "{name}: {}\r\n", fill(value));
    }
    head.push_str("\r\n");
    let mut bytes: Vec<u8> = head.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect();
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

#[tokio::test]
async fn every_key_set_gets_the_answer_its_row_names() {
    let emulator = emulator::Emulator::start().await;
    let mut wrong = Vec::new();
    for row in rows::<KeySetVector>(include_str!("vectors/keysets.json"), |row| &row.name, 100) {
        let world = World::cold(emulator.clone(), &[]);
        let good = emulator.signing_key().jwk(&emulator.issuer());
        let placeholders = world.placeholders();
        let document = row.document(&good, &placeholders);
        let headers = row.headers.iter().map(|(name, value)| (name.clone(), placeholders.fill(value))).collect();
        emulator.faults().document(Endpoint::Keys, row.status.unwrap_or(200), headers, document);
        for (name, value) in &row.discovery {
            emulator.faults().discovery_member(name, placeholders.fill_value(value));
        }
        let reply = world.list_tools(&emulator.token(User::Alice).build()).await.label();
        if reply != row.expect {
            wrong.push(format!("{}: {reply}, not {} ({})", row.name, row.expect, row.source));
        }
        emulator.faults().clear();
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_version_1_token_is_accepted_only_where_it_is_asked_for() {
    let v1 = |world: &World| {
        let issuer = format!("https://sts.windows.net/{}/", emulator::TENANT_ID);
        world.emulator.token(User::Alice).claim("ver", "1.0").claim("iss", issuer).claim("appid", "x")
    };
    let strict = World::start().await;
    world::check(&strict.list_tools(&v1(&strict).build()).await, "401 invalid_token");

    let uri = format!("api://{}", emulator::API_CLIENT_ID);
    let lenient = World::with(&[("ACCEPT_V1_TOKENS", "true"), ("AUDIENCE", &uri)]).await;
    for audience in [emulator::API_CLIENT_ID, &uri, &format!("{uri}/")] {
        world::check(&lenient.list_tools(&v1(&lenient).claim("aud", audience).build()).await, "200");
    }
    world::check(&lenient.list_tools(&v1(&lenient).claim("aud", "api://other").build()).await, "401 invalid_token");
    world::check(&lenient.list_tools(&v1(&lenient).claim("ver", "2.0").build()).await, "401 invalid_token");
    // The wider audience is for v1.0 tokens only.
    let v2 = lenient.emulator.token(User::Alice).claim("aud", uri);
    world::check(&lenient.list_tools(&v2.build()).await, "401 invalid_token");
}

#[tokio::test]
async fn only_listed_clients_may_call_where_there_is_a_list() {
    let world = World::with(&[("ALLOWED_CLIENT_IDS", "33334444-dddd-5555-eeee-6666ffff7777")]).await;
    let token = |azp: &str| world.emulator.token(User::Alice).claim("azp", azp).build();
    world::check(&world.list_tools(&token("33334444-dddd-5555-eeee-6666ffff7777")).await, "200");
    world::check(&world.list_tools(&token(emulator::PUBLIC_CLIENT_ID)).await, "401 invalid_token");
    let without = world.emulator.token(User::Alice).without_claim("azp").build();
    world::check(&world.list_tools(&without).await, "401 invalid_token");
}

#[tokio::test]
async fn a_listed_origin_may_call() {
    let world = World::with(&[("ALLOWED_ORIGINS", "https://app.contoso.example")]).await;
    let from = |origin: &str| {
        let list = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
        world::rpc(&world.emulator.token(User::Alice).build(), "2025-11-25", &[("origin", origin)], &list)
    };
    world::check(&world.send(from("https://app.contoso.example")).await, "200");
    for origin in ["https://evil.example", "http://app.contoso.example", "https://app.contoso.example:8443", "null"] {
        world::check(&world.send(from(origin)).await, "403");
    }
}
