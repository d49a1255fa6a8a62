//! Allocations a call: the handler, a bare axum handler and a plain rmcp server in turn, in one process, from the accepted
//! connection on. The client allocates nothing, and nobody else is awake.
//!
//! Figures go to stderr: stdout has the handler's log lines.
#![expect(clippy::expect_used, reason = "a measuring tool")]

use std::alloc::System;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;

use axum::Router;
use bench::connection::call;
use bench::servers::{bare, ours, plain};
use emulator::{API_CLIENT_ID, Emulator, TENANT_ID, User};
use shared::config::Limits;
use shared::host::serve;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CALLS: usize = 1_000;

fn main() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let emulator = runtime.block_on(Emulator::start());
    let request = call(&emulator.token(User::Alice).build(), "whoami");
    let (_, app) = runtime.block_on(ours::start(&emulator));
    let (ours, reply) = count(app, &request);
    let (bare, _) = count(bare::app(reply, None), &request);
    let plain = runtime.block_on(plain::app(&emulator.base_url(), TENANT_ID, API_CLIENT_ID));
    let (plain, _) = count(plain, &request);
    for (name, counted) in [("bare axum handler", bare), ("handler", ours), ("plain rmcp and jsonwebtoken", plain)] {
        eprintln!("{name:<36} {:>6} allocations, {:>7} bytes a call", counted.0, counted.1);
    }
}

/// Allocations and bytes a call, and the answer's body.
fn count(app: Router, request: &[u8]) -> ((usize, usize), String) {
    let address = serving(app);
    let mut stream = TcpStream::connect(address).expect("it accepts");
    let mut buffer = [0; 16 * 1024];
    let mut reply = String::new();
    for _ in 0..10 {
        reply = String::from_utf8_lossy(body(exchange(&mut stream, request, &mut buffer))).into_owned();
    }
    let region = Region::new(COUNTED);
    for _ in 0..CALLS {
        exchange(&mut stream, request, &mut buffer);
    }
    let change = region.change();
    let count = change.allocations + change.reallocations;
    ((count / CALLS, change.bytes_allocated / CALLS), reply)
}

/// Serves on a thread of its own; where.
fn serving(app: Router) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            tell.send(listener.local_addr().expect("an address")).expect("somebody waits");
            serve::until_stopped(listener, app, Limits::default(), std::future::pending()).await;
        });
    });
    told.recv().expect("an address")
}

/// Sends and reads a whole answer, without allocating.
fn exchange<'a>(stream: &mut TcpStream, request: &[u8], buffer: &'a mut [u8]) -> &'a [u8] {
    stream.write_all(request).expect("it reads");
    let mut filled = 0;
    loop {
        let read = stream.read(buffer.get_mut(filled..).expect("room")).expect("it answers");
        assert!(read > 0, "it closed the connection");
        filled += read;
        let answer = buffer.get(..filled).unwrap_or_default();
        if length(answer).is_some_and(|length| body(answer).len() >= length) {
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(answer));
            return buffer.get(..filled).unwrap_or_default();
        }
    }
}

/// What follows the head; nothing while the head is not whole.
fn body(answer: &[u8]) -> &[u8] {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    end.and_then(|end| answer.get(end + 4..)).unwrap_or_default()
}

fn length(answer: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length: ";
    let at = answer.windows(NAME.len()).position(|window| window.eq_ignore_ascii_case(NAME))? + NAME.len();
    let digits = answer.get(at..)?.split(|byte| *byte == b'\r').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
