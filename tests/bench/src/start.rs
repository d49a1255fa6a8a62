//! From spawn to the first answers: what a new instance costs its first caller.

use std::time::Duration;

use emulator::{Emulator, User};

use bench::connection::call;
use bench::figures::{mebibytes, milliseconds};
use bench::server::{self, Server};

const RUNS: usize = 31;

pub(crate) async fn measure() {
    let executable = server::build();
    let emulator = Emulator::start().await;
    let whoami = call(&emulator.token(User::Alice).build(), "whoami");
    let probe = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let (mut first, mut authenticated, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        first.push(Server::handler(&executable, &emulator, &[]).until(probe, 204).await);
        let handler = Server::handler(&executable, &emulator, &[]);
        authenticated.push(handler.until(&whoami, 200).await);
        memory.push(handler.memory("VmRSS"));
    }
    memory.sort_by(f64::total_cmp);
    let size = std::fs::metadata(&executable).expect("it was started").len();
    println!("{RUNS} starts of the release handler on this machine");
    println!("  spawn to the first answer on /           {}", spread(first));
    println!("  spawn to the first authenticated whoami  {}", spread(authenticated));
    println!("  resident memory after it                 {:.1} MiB", memory[RUNS / 2]);
    println!("  executable                               {:.1} MiB", mebibytes(size));
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |index: usize| milliseconds(times[index]);
    format!("{:.1} ms median, {:.1} to {:.1}", at(RUNS / 2), at(0), at(RUNS - 1))
}
