//! How much is taken on: at once, from everybody, from one caller; and nobody's excess is another's loss.

use std::time::Duration;

use axum::body::Body;
use emulator::{Endpoint, Fault, User};
use futures::future::join_all;
use serde_json::{Value, json};
use shared::config::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{Reply, World, check, raw, rpc};

#[tokio::test]
async fn a_caller_that_runs_wild_is_slowed_down_and_others_are_not() {
    let world = World::with(&[("MAX_CALLER_REQUESTS_PER_MINUTE", "5")]).await;
    let alice = |uti: &str| world.emulator.token(User::Alice).claim("uti", uti).build();
    for call in 0..5 {
        // Another token makes no other caller.
        check(&world.list_tools(&alice(&format!("t{call}"))).await, "200");
    }
    let refused = world.list_tools(&alice("one more")).await;
    check(&refused, "429");
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=12).contains(&wait), "{wait} s: one call is earned every 12 s");
    assert!(!refused.headers.contains_key("www-authenticate"), "another token would change nothing");
    check(&world.list_tools(&world.emulator.token(User::Bob).build()).await, "200");
    // Whoever is not let in uses nobody's share up.
    check(&world.list_tools("forged").await, "401 invalid_token");
}

#[tokio::test]
async fn beyond_what_everybody_may_send_nothing_is_looked_at() {
    let world = World::with(&[("MAX_REQUESTS_PER_SECOND", "3")]).await;
    let labels: Vec<String> =
        join_all((0..20).map(|_| world.list_tools("forged"))).await.iter().map(Reply::label).collect();
    let looked_at = labels.iter().filter(|label| *label == "401 invalid_token").count();
    assert!((3..=6).contains(&looked_at), "{labels:?}");
    assert!(labels.iter().all(|label| label == "401 invalid_token" || label == "429"), "{labels:?}");
    // Health and metadata answer whatever goes on.
    check(&world.get("/health/live").await, "200");
    check(&world.get("/.well-known/oauth-protected-resource/mcp").await, "200");
}

#[tokio::test]
async fn one_call_too_many_at_once_is_refused_at_once_and_its_place_comes_back() {
    let world = World::with(&[("MAX_REQUESTS_IN_FLIGHT", "2")]).await;
    let token = world.emulator.token(User::Alice).build();
    world.emulator.faults().times(Endpoint::GraphMe, 2, Fault::Delay(Duration::from_millis(500)));
    let slow = join_all((0..2).map(|_| world.call_tool(&token, "get_my_profile")));
    let meanwhile = async {
        while world.process.limits.room() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let refused = world.list_tools(&token).await;
        check(&refused, "503");
        assert_eq!(refused.headers["retry-after"], "1");
        check(&world.get("/health/live").await, "200");
    };
    let (slow, ()) = tokio::join!(slow, meanwhile);
    assert!(slow.iter().all(|reply| reply.label() == "200"));
    check(&world.list_tools(&token).await, "200");
    assert_eq!(world.process.limits.room(), 2);
}

#[tokio::test]
async fn one_user_asks_graph_only_so_often_at_once_and_others_do_not_wait_for_that() {
    let world = World::with(&[("MAX_CALLER_GRAPH_REQUESTS", "2")]).await;
    let token = |user| world.emulator.token(user).claim("scp", "access_as_user MCP.Tools").build();
    let (alice, bob) = (token(User::Alice), token(User::Bob));
    world.emulator.faults().set(Endpoint::GraphMe, Fault::Delay(Duration::from_millis(1_500)));
    let of_alice = join_all((0..5).map(|_| world.call_tool(&alice, "get_my_profile")));
    let asked = || world.emulator.counters().graph_me;
    let meanwhile = async {
        while asked() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(asked(), 2, "the others wait");
        let of_bob = world.call_tool(&bob, "get_my_profile");
        let seen = async {
            while asked() < 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            world.emulator.faults().clear();
        };
        tokio::join!(of_bob, seen).0
    };
    let (of_alice, of_bob) = tokio::join!(of_alice, meanwhile);
    for reply in of_alice.iter().chain([&of_bob]) {
        check(reply, "200");
        assert!(reply.structured()["id"].is_string());
    }
}

/// A call's head on a socket, without what ends it.
fn head(token: &str, more: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nAuthorization: Bearer {token}\r\n{more}"
    )
}

#[tokio::test]
async fn heads_and_bodies_are_as_large_as_the_settings_say() {
    let world =
        World::with(&[("MAX_HEADER_BYTES", "16384"), ("MAX_BODY_BYTES", "2048"), ("MAX_BODY_VALUES", "100")]).await;
    let (address, token) = (world.listen().await, world.emulator.token(User::Alice).build());
    let with_padding =
        |bytes: usize| head(&token, &format!("X-Padding: {}\r\nContent-Length: 2\r\n\r\n{{}}", "x".repeat(bytes)));
    check(&raw(address, with_padding(1_000).as_bytes()).await, "400");
    check(&raw(address, with_padding(20_000).as_bytes()).await, "431");
    let with_arguments = async |arguments: Value| {
        let params = json!({ "name": "whoami", "arguments": { "a": arguments } });
        world.legacy(&token, &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })).await
    };
    check(&with_arguments(json!("x".repeat(1_500))).await, "200");
    check(&with_arguments(json!("x".repeat(2_500))).await, "413");
    check(&with_arguments(json!(vec![1; 90])).await, "200");
    let refused = with_arguments(json!(vec![1; 100])).await;
    check(&refused, "413");
    assert_eq!(refused.json()["error"]["code"], -32600);
}

#[tokio::test]
async fn slow_heads_slow_bodies_and_idle_connections_end_when_the_settings_say() {
    let world =
        World::with(&[("HEADER_TIMEOUT", "1"), ("BODY_TIMEOUT", "1"), ("IDLE_TIMEOUT", "2"), ("CALL_TIMEOUT", "1")])
            .await;
    let (address, token) = (world.listen().await, world.emulator.token(User::Alice).build());
    let until_closed = async |sent: String| {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let reading = connection.read_to_string(&mut answer);
        tokio::time::timeout(Duration::from_secs(10), reading).await.expect("it ends").unwrap();
        answer
    };
    let slow_body = head(&token, "Content-Length: 10\r\n\r\n{");
    world.emulator.faults().set(Endpoint::GraphMe, Fault::Delay(Duration::from_secs(5)));
    let (slow_head, slow_body, idle, slow_call) = tokio::join!(
        until_closed("GET / HTTP/1.1\r\nHost:".to_owned()),
        until_closed(slow_body),
        until_closed("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
        world.call_tool(&token, "get_my_profile"),
    );
    assert_eq!(slow_head, "");
    assert!(slow_body.starts_with("HTTP/1.1 408 "), "{slow_body}");
    assert!(idle.starts_with("HTTP/1.1 204 "), "{idle}");
    assert!(slow_call.body.contains("The tool took too long."), "{}", slow_call.body);
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let world = World::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = handler::app(world.process);
    tokio::spawn(shared::host::serve::until_stopped(
        listener,
        app,
        Limits { connections: 2, ..Limits::default() },
        std::future::pending(),
    ));
    let first = TcpStream::connect(address).await.unwrap();
    let _second = TcpStream::connect(address).await.unwrap();
    // The server has both before it has the third: it accepts them in order.
    let mut third = TcpStream::connect(address).await.unwrap();
    let mut answer = String::new();
    third.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: 1"), "{answer}");
    drop(first);
    let free = async {
        loop {
            let reply = raw(address, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await;
            if reply.label() == "204" {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), free).await.expect("the place comes back");
}

#[tokio::test]
async fn nothing_is_smuggled_behind_a_chunked_body() {
    let world = World::start().await;
    let address = world.listen().await;
    let second = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answers = async |first: String| {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all((first + second).as_bytes()).await.unwrap();
        connection.shutdown().await.unwrap();
        let mut answers = String::new();
        connection.read_to_string(&mut answers).await.unwrap();
        answers
    };
    let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\n";
    let lengths = [
        format!("{head}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", second.len()),
        format!("{head}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ];
    for first in lengths {
        let answers = answers(first).await;
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
        assert!(answers.starts_with("HTTP/1.1 401 ") && answers.contains("connection: close"), "{answers}");
    }
    // With one length only, the next request has its answer.
    let plain = answers(format!("{head}Content-Length: 0\r\n\r\n")).await;
    assert_eq!(plain.matches("HTTP/1.1 ").count(), 2, "{plain}");
}

#[tokio::test]
async fn after_a_refusal_the_connection_goes_on_or_is_said_to_end() {
    let world = World::start().await;
    let address = world.listen().await;
    let read = async |connection: &mut TcpStream| {
        let mut answer = vec![0; 4_096];
        let length = connection.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n";

    // Head and body in two segments, as many clients send them.
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    connection.write_all(b"{}").await.unwrap();
    let refusal = read(&mut connection).await;
    assert!(refusal.starts_with("HTTP/1.1 401 ") && !refusal.contains("connection: close"), "{refusal}");
    connection.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(read(&mut connection).await.starts_with("HTTP/1.1 200 "));

    // A body that never comes, and one that waits for leave.
    for more in ["\r\n", "Expect: 100-continue\r\n\r\n"] {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(format!("{head}{more}").as_bytes()).await.unwrap();
        let refusal = read(&mut connection).await;
        assert!(refusal.starts_with("HTTP/1.1 401 ") && refusal.contains("connection: close"), "{refusal}");
    }
}

#[tokio::test]
async fn a_stranger_whose_body_never_comes_takes_nobodys_place() {
    let world = World::with(&[("MAX_REQUESTS_IN_FLIGHT", "1")]).await;
    let (address, token) = (world.listen().await, world.emulator.token(User::Alice).build());
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n";
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 1_024];
    let refused = async { connection.read(&mut answer).await.unwrap() };
    let others = async {
        for _ in 0..20 {
            check(&world.list_tools(&token).await, "200");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (length, ()) = tokio::join!(refused, others);
    assert!(answer[..length].starts_with(b"HTTP/1.1 401 "));
}

#[tokio::test]
async fn a_body_of_many_messages_never_reaches_the_protocol() {
    let world = World::start().await;
    let token = world.emulator.token(User::Alice).build();
    let message = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"},"#;
    for (count, expected) in [(2, "400"), (1_000, "400"), (4_000, "413")] {
        let array = format!("[{}]", message.repeat(count).trim_end_matches(','));
        let mut request = rpc(&token, "2025-11-25", &[], &json!({}));
        *request.body_mut() = Body::from(array);
        check(&world.send(request).await, expected);
    }
}

/// `serde_json` reads the string under this name as JSON once more, as deep as it likes, when it makes a `Value`.
#[tokio::test]
async fn no_body_makes_the_parser_begin_anew_within_a_string() {
    let world = World::start().await;
    let token = world.emulator.token(User::Alice).build();
    for name in ["$serde_json::private::RawValue", r"\u0024serde_json::private::RawValue"] {
        let nested = (0..9).fold("0".to_owned(), |inner, _| {
            let text = serde_json::to_string(&format!("{}{inner}{}", "[".repeat(120), "]".repeat(120))).unwrap();
            format!(r#"{{"{name}":{text}}}"#)
        });
        for place in [r#""arguments":{"x":#}"#, r#""_meta":{"x":#}"#] {
            let params = format!(r#"{{"name":"whoami",{}}}"#, place.replace('#', &nested));
            let mut request = rpc(&token, "2025-11-25", &[], &json!({}));
            *request.body_mut() =
                Body::from(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#));
            check(&world.send(request).await, "400");
        }
    }
}
