//! A handler for the host's own tests: does what its environment and the path say.
//!
//! Environment: `EXIT_AT_START=<code>` ends before listening; `EXIT_ON=<path>` with `EXIT_CODE=<code>` ends on that path;
//! `LISTEN_AFTER=<ms>` listens late; `WRITE_HERE=<name>` writes a file into its folder, `MAKE_HERE=<name>` makes a folder there;
//! `MUTE` takes connections and never answers, `HANG_UP` closes the one that asks for readiness. Path: see [`serve`], [`answer`].
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a fixture: told by its environment, and loud when it is used wrongly"
)]

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// How often `/health/next` was asked for.
static STEPS: Mutex<usize> = Mutex::new(0);
static STEPPED: Condvar = Condvar::new();

fn main() {
    if let Ok(code) = std::env::var("EXIT_AT_START") {
        println!("not quoted");
        for line in ["not quoted either", "one", "two", "cannot go on"] {
            eprintln!("{line}");
        }
        std::process::exit(code.parse().expect("an exit code"));
    }
    if let Ok(pause) = std::env::var("LISTEN_AFTER") {
        std::thread::sleep(Duration::from_millis(pause.parse().expect("milliseconds")));
    }
    if let Ok(name) = std::env::var("WRITE_HERE") {
        println!("written: {}", std::fs::write(name, "scribble").is_ok());
    }
    if let Ok(name) = std::env::var("MAKE_HERE") {
        println!("written: {}", std::fs::create_dir(name).is_ok());
    }
    let port = std::env::var("FUNCTIONS_CUSTOMHANDLER_PORT").expect("the host's port");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    println!("listening");
    eprintln!("I WARN you: only a test");
    eprintln!("an error: only a test");
    std::io::stdout().write_all(b"not \xff UTF-8\r\n").expect("stdout is open");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            if std::env::var("MUTE").is_ok() {
                std::thread::park();
            }
            // A connection that breaks is the other side's wish.
            drop(serve(stream));
        });
    }
}

struct Request {
    head: Vec<String>,
    target: String,
    length: usize,
    chunked: bool,
}

/// One request a connection, but for `/health/kept`, which says on which connection it came and waits for the next.
fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = read(&mut reader)? {
        if request.target != "/" {
            println!("request {}", request.target);
        }
        if std::env::var("EXIT_ON").is_ok_and(|path| path == request.target) {
            let code = std::env::var("EXIT_CODE").ok().and_then(|code| code.parse().ok()).unwrap_or(1);
            std::process::exit(code);
        }
        if request.target != "/health/kept" {
            return answer(&request, &mut reader, stream);
        }
        reader.read_exact(&mut vec![0; request.length])?;
        let connection = format!("{:>8}", stream.peer_addr()?.port());
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{connection}", connection.len())?;
    }
    Ok(())
}

fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut request = Request { head: Vec::new(), target: String::new(), length: 0, chunked: false };
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length: ") {
            request.length = value.parse().unwrap_or(0);
        }
        request.chunked |= lower == "transfer-encoding: chunked";
        request.head.push(line);
    }
    request.target = request.head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    Ok(Some(request))
}

/// Streams wait for `/health/next` between their chunks; anything unknown echoes the request's head as JSON.
fn answer(request: &Request, reader: &mut BufReader<TcpStream>, mut writer: TcpStream) -> std::io::Result<()> {
    match request.target.as_str() {
        // Readiness: any status counts, and no status as well.
        "/" if std::env::var("HANG_UP").is_ok() => Ok(()),
        "/" => writer.write_all(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        "/health/next" => {
            *STEPS.lock().expect("no step panicked") += 1;
            STEPPED.notify_all();
            writer.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        }
        "/health/stream" => {
            stream_head(&mut writer)?;
            for (at, chunk) in ["one", "two", "six"].iter().enumerate() {
                wait_for_step(at);
                write!(writer, "3\r\n{chunk}\r\n")?;
            }
            writer.write_all(b"0\r\n\r\n")
        }
        // What a handler does that buffers: nothing is sent before everything is there.
        "/health/hoard" => {
            wait_for_step(2);
            stream_head(&mut writer)?;
            writer.write_all(b"9\r\nonetwosix\r\n0\r\n\r\n")
        }
        "/health/ticks" => {
            stream_head(&mut writer)?;
            for _ in 0..40 {
                std::thread::sleep(Duration::from_millis(50));
                writer.write_all(b"3\r\n:\n\n\r\n")?;
            }
            writer.write_all(b"4\r\ndone\r\n0\r\n\r\n")
        }
        // Says nothing more, and notices when it is left alone.
        "/health/silent" => {
            until_left(reader, "silent");
            Ok(())
        }
        "/health/stuck" => {
            stream_head(&mut writer)?;
            writer.write_all(b"3\r\none\r\n")?;
            until_left(reader, "stuck");
            Ok(())
        }
        "/health/upload" => {
            let mut bytes = reader.bytes();
            let mut line = Vec::new();
            // Chunk by chunk, as they come: each of the test's chunks is one line.
            while !line.ends_with(b"end\n") {
                let Some(byte) = bytes.next() else { return Ok(()) };
                line.push(byte?);
                if line.ends_with(b"\n") && !line.ends_with(b"\r\n") {
                    println!("got {}", String::from_utf8_lossy(&line).lines().last().unwrap_or_default());
                    if !line.ends_with(b"end\n") {
                        line.clear();
                    }
                }
            }
            writer.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        }
        "/health/redirect" => writer.write_all(
            b"HTTP/1.1 302 Found\r\nLocation: /health/elsewhere\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
              WWW-Authenticate: Bearer x\r\nWWW-Authenticate: Basic y\r\nMcp-Session-Id: s\r\nKeep-Alive: timeout=5\r\n\
              Alt-Svc: h3\r\nProxy-Authenticate: Basic\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ),
        "/health/cors" => writer.write_all(
            b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: handler\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ),
        "/health/304" => writer.write_all(b"HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\nConnection: close\r\n\r\n"),
        _ => echo(request, reader, &mut writer),
    }
}

fn echo(request: &Request, reader: &mut BufReader<TcpStream>, writer: &mut TcpStream) -> std::io::Result<()> {
    if request.chunked {
        // To the last chunk, or until the host gives up.
        let mut tail = Vec::new();
        for byte in reader.bytes() {
            tail.push(byte?);
            if tail.ends_with(b"0\r\n\r\n") {
                break;
            }
        }
    }
    let mut body = vec![0; request.length];
    reader.read_exact(&mut body)?;
    let environment: std::collections::BTreeMap<String, String> = std::env::vars().collect();
    let echo = serde_json::json!({
        "head": request.head,
        "body": String::from_utf8_lossy(&body),
        "chunked": request.chunked,
        "environment": environment,
        "arguments": std::env::args().skip(1).collect::<Vec<_>>(),
        "directory": std::env::current_dir()?,
    })
    .to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        echo.len()
    );
    writer.write_all(head.as_bytes())?;
    if request.head.first().is_some_and(|line| line.starts_with("HEAD ")) {
        return Ok(());
    }
    writer.write_all(echo.as_bytes())
}

fn stream_head(writer: &mut TcpStream) -> std::io::Result<()> {
    writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
}

fn wait_for_step(step: usize) {
    let mut steps = STEPS.lock().expect("no step panicked");
    while *steps < step {
        steps = STEPPED.wait(steps).expect("no step panicked");
    }
}

fn until_left(reader: &mut BufReader<TcpStream>, name: &str) {
    // A connection that is reset has ended as well.
    drop(reader.read_to_end(&mut Vec::new()));
    println!("left {name}");
}
