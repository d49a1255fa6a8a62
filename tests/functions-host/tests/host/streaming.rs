//! Bodies pass chunk by chunk, an end on one side is an end on the other, silence has a limit.

use std::time::Duration;

use functions_host::FunctionsHost;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fixture::{ask, connect, get, host_json, options, read_until, start, status, until_logged};

/// A host that waits for a second at most.
async fn impatient() -> FunctionsHost {
    let reservation = FunctionsHost::reserve(0).await.unwrap().idle_timeout(Duration::from_secs(1));
    FunctionsHost::start_on(reservation, options(&host_json(), &[])).await.unwrap()
}

#[tokio::test]
async fn each_chunk_is_there_before_the_next_is_made() {
    let host = start(&[]).await;
    let mut stream = connect(&host, "GET /health/stream HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let head = read_until(&mut stream, "one").await;
    assert!(head.contains("text/event-stream"), "{head}");
    // The handler makes the next chunk only when it is told to.
    for (chunk, end) in [("two", "two"), ("six", "0\r\n\r\n")] {
        assert_eq!(status(&host, "/health/next").await, "204");
        let seen = read_until(&mut stream, end).await;
        assert!(seen.contains(chunk), "{seen}");
    }
}

#[tokio::test]
async fn a_handler_that_hoards_its_chunks_is_found_out() {
    let host = start(&[]).await;
    let mut stream = connect(&host, "GET /health/hoard HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until_logged(&host, "request /health/hoard").await;
    // It waits for two steps, so however long we wait, nothing comes.
    let first = tokio::time::timeout(Duration::from_millis(300), stream.read(&mut [0; 1])).await;
    assert!(first.is_err(), "{first:?}");
    for _ in 0..2 {
        assert_eq!(status(&host, "/health/next").await, "204");
    }
    read_until(&mut stream, "onetwosix").await;
}

#[tokio::test]
async fn each_chunk_of_a_request_reaches_the_handler_before_the_next_is_sent() {
    let host = start(&[]).await;
    let head = "POST /health/upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut stream = connect(&host, head).await;
    for (chunk, line) in
        [("4\r\none\n\r\n", "got one"), ("4\r\ntwo\n\r\n", "got two"), ("4\r\nend\n\r\n0\r\n\r\n", "got end")]
    {
        stream.write_all(chunk.as_bytes()).await.unwrap();
        until_logged(&host, line).await;
    }
    read_until(&mut stream, "HTTP/1.1 200 OK").await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_handlers_request_with_it() {
    let host = start(&[]).await;
    let mut stuck = connect(&host, "GET /health/stuck HTTP/1.1\r\nHost: x\r\n\r\n").await;
    read_until(&mut stuck, "one").await;
    drop(stuck);
    until_logged(&host, "left stuck").await;

    // Also before there is an answer.
    let silent = connect(&host, "GET /health/silent HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until_logged(&host, "request /health/silent").await;
    drop(silent);
    until_logged(&host, "left silent").await;
}

#[tokio::test]
async fn silence_before_an_answer_becomes_a_500() {
    let host = impatient().await;
    assert_eq!(status(&host, "/health/silent").await, "500");
    until_logged(&host, "left silent").await;
}

#[tokio::test]
async fn silence_within_an_answer_cuts_it_off() {
    let host = impatient().await;
    let mut stream = connect(&host, "GET /health/stuck HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answer = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    // Broken off, so that no client takes it for whole: either reset, or closed without the last chunk.
    assert!(answer.contains("one") && (end.is_err() || !answer.ends_with("0\r\n\r\n")), "{answer}");
    until_logged(&host, "left stuck").await;
}

#[tokio::test]
async fn comments_keep_a_quiet_stream_alive() {
    let host = impatient().await;
    // Forty comments, 50 ms apart: together twice the limit.
    let answer = get(&host, "/health/ticks").await;
    assert!(answer.contains("done"), "{answer}");
}

#[tokio::test]
async fn a_large_body_passes_both_ways_whole() {
    let host = start(&[]).await;
    let body = "0123456789abcdef".repeat(64 * 1024);
    let head = format!("POST /mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    assert!(ask(&host, &(head + &body)).await.contains(&body));
}
