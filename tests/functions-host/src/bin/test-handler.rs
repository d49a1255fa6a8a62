//! A handler for the host's own tests: does what its environment says.
//!
//! `EXIT_AT_START=<code>` ends before listening; `EXIT_ON=<path>` with `EXIT_CODE=<code>` ends on that path; `/stream` sends
//! three chunks, each only after the last was read; anything else echoes the request's head and body length as JSON.
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a fixture: told by its environment, and loud when it is used wrongly"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

fn main() {
    if let Ok(code) = std::env::var("EXIT_AT_START") {
        eprintln!("cannot go on");
        std::process::exit(code.parse().expect("an exit code"));
    }
    let port = std::env::var("FUNCTIONS_CUSTOMHANDLER_PORT").expect("the host's port");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    println!("listening");
    eprintln!("a warning: only a test");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || serve(stream));
    }
}

fn serve(stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut writer = stream;
    let mut head = Vec::new();
    let mut length = 0;
    let mut chunked = false;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length: ") {
            length = value.parse().unwrap_or(0);
        }
        chunked |= lower == "transfer-encoding: chunked";
        head.push(line);
    }
    let mut body = vec![0; length];
    drop(reader.read_exact(&mut body));
    let target = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    if std::env::var("EXIT_ON").is_ok_and(|path| path == target) {
        let code = std::env::var("EXIT_CODE").ok().and_then(|code| code.parse().ok()).unwrap_or(1);
        std::process::exit(code);
    }
    if target == "/mcp/stream" || target == "/health/stream" {
        drop(
            writer
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"),
        );
        for chunk in ["one", "two", "six"] {
            drop(write!(writer, "3\r\n{chunk}\r\n"));
            std::thread::sleep(Duration::from_millis(120));
        }
        drop(writer.write_all(b"0\r\n\r\n"));
        return;
    }
    let echo = serde_json::json!({ "head": head, "body": length, "chunked": chunked }).to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nWWW-Authenticate: Bearer x\r\nKeep-Alive: timeout=5\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{echo}",
        echo.len()
    );
    drop(writer.write_all(answer.as_bytes()));
}
