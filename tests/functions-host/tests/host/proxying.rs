//! What the host answers itself, and what it changes in the requests and answers that pass.

use functions_host::{FunctionsHost, HostState};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::fixture::{
    ask, connect, echoed, get, head, host_json, logged, on_flex, read_until, refusal, start, status, until_logged,
};

const FORGED: &str = "POST /mcp?x=%20y&z HTTP/1.1\r\nHost: public.example\r\nDisguised-Host: front.example\r\n\
    Authorization: Bearer t\r\nMcp-Method: tools/list\r\nX-Twice: 1\r\nX-Twice: 2\r\nCookie: a=1\r\n\
    X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n\
    X-Forwarded-Prefix: /evil\r\nForwarded: host=evil\r\nX-Ms-Invocation-Id: forged\r\n\
    X-Azure-Functions-InvocationId: forged\r\nX-Azure-Functions-HostVersion: forged\r\n\
    TE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: evil\r\nKeep-Alive: evil\r\nProxy-Authorization: evil\r\nAlt-Svc: evil\r\n\
    Upgrade-Insecure-Requests: 1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";

#[tokio::test]
async fn the_handler_sees_the_hosts_headers_and_none_that_a_client_made_up() {
    let host = start(&[]).await;
    let echo = echoed(&host, FORGED).await;
    let head = head(&echo);
    let values = |name: &str| -> Vec<&str> { head.iter().filter_map(|line| line.strip_prefix(name)).collect() };
    assert_eq!(head[0], "post /mcp?x=%20y&z http/1.1");
    assert_eq!(echo["body"], "{}");
    assert_eq!(values("host: "), [format!("127.0.0.1:{}", host.handler_port())]);
    assert_eq!(values("x-forwarded-for: "), ["127.0.0.1"]);
    assert_eq!(values("x-forwarded-host: "), ["public.example"]);
    assert_eq!(values("x-forwarded-proto: "), ["http"]);
    assert_eq!(values("x-twice: "), ["1", "2"]);
    assert_eq!((values("authorization: "), values("mcp-method: ")), (vec!["bearer t"], vec!["tools/list"]));
    assert_eq!((values("cookie: "), values("disguised-host: ")), (vec!["a=1"], vec!["front.example"]));
    let invocation = values("x-azure-functions-invocationid: ");
    assert_eq!((invocation.len(), &invocation), (1, &values("x-ms-invocation-id: ")));
    assert_eq!(values("x-azure-functions-hostversion: ").len(), 1);
    assert!(!head.iter().any(|line| line.contains("forged") || line.contains("evil")), "{head:?}");
    for gone in ["te:", "upgrade:", "upgrade-insecure-requests:", "connection:", "forwarded:", "x-forwarded-prefix:"] {
        assert!(!head.iter().any(|line| line.starts_with(gone)), "{gone}");
    }
    let again = echoed(&host, FORGED).await;
    assert!(!crate::fixture::head(&again).contains(&format!("x-ms-invocation-id: {}", invocation[0])));
}

#[tokio::test]
async fn on_flex_the_front_ends_host_and_scheme_are_put_back() {
    let host = FunctionsHost::start(on_flex(&host_json(), &[])).await.unwrap();
    let head = head(&echoed(&host, FORGED).await);
    for line in ["x-forwarded-host: front.example", "x-forwarded-proto: https", "x-forwarded-for: 127.0.0.1"] {
        assert!(head.iter().any(|seen| seen == line), "{line}: {head:?}");
    }
}

#[tokio::test]
async fn answers_keep_their_headers_but_for_hop_by_hop_ones() {
    let host = start(&[]).await;
    let answer = get(&host, "/health/redirect").await.to_ascii_lowercase();
    for kept in [
        "http/1.1 302 ",
        "location: /health/elsewhere\r\n",
        "set-cookie: a=1\r\n",
        "set-cookie: b=2\r\n",
        "www-authenticate: bearer x\r\n",
        "www-authenticate: basic y\r\n",
        "mcp-session-id: s\r\n",
    ] {
        assert!(answer.contains(kept), "{kept}: {answer}");
    }
    for gone in ["keep-alive:", "alt-svc:", "proxy-authenticate:"] {
        assert!(!answer.contains(gone), "{gone}: {answer}");
    }
    assert!(!logged(&host, "request /health/elsewhere"), "the redirect was followed");
}

#[tokio::test]
async fn cookies_of_one_answer_do_not_reach_the_next_request() {
    let host = start(&[]).await;
    get(&host, "/health/redirect").await;
    let echo = echoed(&host, "GET /mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(!head(&echo).iter().any(|line| line.starts_with("cookie:")));
}

#[tokio::test]
async fn every_method_reaches_the_handler() {
    let host = start(&[]).await;
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "MADEUP"] {
        let request = format!("{method} /mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let echo = echoed(&host, &request).await;
        assert_eq!(echo["head"][0], format!("{method} /mcp HTTP/1.1"));
    }
    let answer = ask(&host, "HEAD /mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(answer.contains("content-length: ") && !answer.contains("content-length: 0\r\n"), "{answer}");
}

#[tokio::test]
async fn answers_without_a_body_end_at_once() {
    let host = start(&[]).await;
    for (path, start) in [("/health/next", "HTTP/1.1 204"), ("/health/304", "HTTP/1.1 304")] {
        let answer = get(&host, path).await;
        assert!(answer.starts_with(start) && answer.ends_with("\r\n\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn paths_are_decoded_for_routes_and_encoded_again_for_the_handler() {
    let host = start(&[]).await;
    for (sent, seen) in [
        ("/%6dcp?q=%2F%20", "/mcp?q=%2F%20"),
        ("/health/a%20b%2Fc", "/health/a%20b%252Fc"),
        ("/x/../HEALTH/./live", "/HEALTH/live"),
        ("/health//live/?", "/health//live/?"),
    ] {
        let echo = echoed(&host, &format!("GET {sent} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(echo["head"][0], format!("GET {seen} HTTP/1.1"), "{sent}");
    }
}

#[tokio::test]
async fn what_no_route_matches_never_reaches_the_handler() {
    let host = start(&[("EXIT_ON", "/other")]).await;
    let answer = get(&host, "/other").await;
    assert!(answer.starts_with("HTTP/1.1 404") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!((host.state(), host.restarts()), (HostState::Running, 0));
    assert!(!logged(&host, "request /other"));
}

#[tokio::test]
async fn the_hosts_own_endpoints_come_before_a_catch_all() {
    let mut all = host_json();
    all["customHandler"]["http"]["routes"] = json!([{ "route": "{*all}" }]);
    let flex = FunctionsHost::start(on_flex(&all, &[])).await.unwrap();
    for path in ["/admin/host/status", "/Runtime/webhooks/mcp", "/x/../admin/functions"] {
        assert_eq!(status(&flex, path).await, "401", "{path}");
    }
    for path in ["/administrators", "/runtime/other", "/mcp"] {
        assert_eq!(status(&flex, path).await, "200", "{path}");
    }
    let core_tools = FunctionsHost::start(crate::fixture::options(&all, &[])).await.unwrap();
    assert_eq!(status(&core_tools, "/admin/host/status").await, "404");
}

#[tokio::test]
async fn the_root_shows_the_hosts_own_page() {
    let host = start(&[]).await;
    assert_eq!(status(&host, "/").await, "200");
    assert_eq!(status(&start(&[("AzureWebJobsDisableHomepage", "True")]).await, "/").await, "204");
}

#[tokio::test]
async fn a_function_that_wants_a_key_is_refused_on_flex_and_open_in_core_tools() {
    let mut keyed = host_json();
    // The level that counts when nothing is said.
    keyed["customHandler"]["http"]["defaultAuthorizationLevel"] = json!(null);
    keyed["customHandler"]["http"]["routes"][1]["authorizationLevel"] = json!("anonymous");
    let flex = FunctionsHost::start(on_flex(&keyed, &[])).await.unwrap();
    assert_eq!((status(&flex, "/mcp").await, status(&flex, "/health").await), ("401".into(), "200".into()));
    assert!(!logged(&flex, "request /mcp"));
    let core_tools = FunctionsHost::start(crate::fixture::options(&keyed, &[])).await.unwrap();
    assert_eq!(status(&core_tools, "/mcp").await, "200");
}

#[tokio::test]
async fn on_flex_the_host_names_a_listed_origin_in_ordinary_answers_and_no_other() {
    let settings = [("WEBSITE_CORS_ALLOWED_ORIGINS", r#"["https://client.example"]"#)];
    let get = |origin: &str| format!("GET /mcp HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n");
    let flex = FunctionsHost::start(on_flex(&host_json(), &settings)).await.unwrap();
    let listed = ask(&flex, &get("https://client.example")).await.to_ascii_lowercase();
    assert_eq!(listed.matches("access-control-allow-origin: https://client.example\r\n").count(), 1, "{listed}");
    let other = ask(&flex, &get("https://other.example")).await.to_ascii_lowercase();
    assert!(!other.contains("access-control-allow-origin"), "{other}");
    let core_tools = start(&settings).await;
    let local = ask(&core_tools, &get("https://client.example")).await.to_ascii_lowercase();
    assert!(!local.contains("access-control-allow-origin"), "{local}");
}

#[tokio::test]
async fn on_flex_every_answer_has_the_origin_and_one_for_all_is_a_star() {
    let ask_from = async |origins: &str, path: &str| {
        let mut keyed = host_json();
        keyed["customHandler"]["http"]["routes"][0]["authorizationLevel"] = json!("function");
        let host = FunctionsHost::start(on_flex(&keyed, &[("WEBSITE_CORS_ALLOWED_ORIGINS", origins)])).await.unwrap();
        let origin = "Origin: https://client.example";
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{origin}\r\nConnection: close\r\n\r\n");
        ask(&host, &request).await.to_ascii_lowercase()
    };
    let two = r#"["https://Client.example", "https://other.example"]"#;
    for (path, status) in [("/health/cors", "200"), ("/mcp", "401"), ("/nowhere", "404")] {
        let answer = ask_from(two, path).await;
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{answer}");
        assert!(answer.contains("access-control-allow-origin: https://client.example\r\n"), "{answer}");
        assert!(answer.contains("vary: origin\r\n"), "{answer}");
    }
    // The handler's own word is replaced, and one that is not listed keeps it.
    for (origins, granted) in [
        (r#"["*"]"#, "*"),
        (r#"["https://client.example"]"#, "https://client.example"),
        (r#"["https://client.example/"]"#, "handler"),
    ] {
        let answer = ask_from(origins, "/health/cors").await;
        let named: Vec<_> =
            answer.lines().filter_map(|line| line.strip_prefix("access-control-allow-origin: ")).collect();
        assert_eq!(named, [granted], "{origins}");
    }
}

#[tokio::test]
async fn origins_that_are_no_json_list_keep_the_host_on_flex_from_starting() {
    for origins in ["https://client.example", "*", "{}", "[1]"] {
        let error = refusal(on_flex(&host_json(), &[("WEBSITE_CORS_ALLOWED_ORIGINS", origins)])).await.to_string();
        assert!(error.contains("WEBSITE_CORS_ALLOWED_ORIGINS: is no JSON list"), "{error}");
    }
}

#[tokio::test]
async fn preflights_stay_with_the_host_on_flex_and_reach_the_handler_in_core_tools() {
    let preflight = "OPTIONS /mcp HTTP/1.1\r\nHost: x\r\nOrigin: https://client.example\r\n\
        Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\nConnection: close\r\n\r\n";
    for (origins, granted) in [(None, false), (Some("[]"), false), (Some("[\"https://client.example\"]"), true)] {
        let settings: Vec<_> = origins.map(|origins| ("WEBSITE_CORS_ALLOWED_ORIGINS", origins)).into_iter().collect();
        let flex = FunctionsHost::start(on_flex(&host_json(), &settings)).await.unwrap();
        let answer = ask(&flex, preflight).await.to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 204"), "{answer}");
        assert_eq!(answer.contains("access-control-allow-origin: https://client.example"), granted, "{answer}");
        assert!(!logged(&flex, "request /mcp"));
    }
    let core_tools = start(&[]).await;
    assert!(ask(&core_tools, preflight).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused() {
    let host = start(&[]).await;
    let over = "POST /mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 104857601\r\n\r\n";
    assert!(ask(&host, over).await.starts_with("HTTP/1.1 413"));
    assert!(!logged(&host, "request /mcp"));

    let small = start(&[("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "8")]).await;
    let chunked = |chunks: &str| {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
        )
    };
    assert!(ask(&small, &chunked("4\r\nabcd\r\n4\r\nefgh\r\n")).await.starts_with("HTTP/1.1 200"));
    assert!(ask(&small, &chunked("4\r\nabcd\r\n5\r\nefghi\r\n")).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let host = start(&[]).await;
    let mut stream = connect(&host, "GET /health/next HTTP/1.1\r\nHost: x\r\n\r\n").await;
    read_until(&mut stream, "204 No Content").await;
    stream.write_all(b"GET /health/304 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    read_until(&mut stream, "304 Not Modified").await;
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it() {
    let host = start(&[]).await;
    let head = "POST /health/upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let mut stream = connect(&host, head).await;
    read_until(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n").await;
    stream.write_all(b"end\n").await.unwrap();
    read_until(&mut stream, "HTTP/1.1 200 OK").await;
    until_logged(&host, "got end").await;
}
