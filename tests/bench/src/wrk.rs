//! Load from wrk, on a core of its own where there are two.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::figures::number;
use crate::machine;

/// What wrk saw.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Answers.
    pub requests: u64,
    /// How long it took.
    pub duration: Duration,
    /// Half of the answers came within this time.
    pub p50: Duration,
    /// 99 of 100 answers came within this time.
    pub p99: Duration,
}

impl Load {
    /// Answers a second.
    pub fn per_second(&self) -> f64 {
        1.0 / self.each().as_secs_f64()
    }

    /// The time from one answer to the next.
    pub fn each(&self) -> Duration {
        self.duration.div_f64(number(self.requests))
    }
}

/// A request as wrk sends it: one of `tokens` each time, in turn.
#[derive(Clone, Debug)]
pub struct Call {
    /// The body.
    pub body: String,
    /// Bearer tokens; none: without one.
    pub tokens: Vec<String>,
}

/// Loads `/mcp` from so many connections for that long, each sending its next request when the answer is there. No answer may
/// be missing or an error by its status; what stands in them, wrk does not look at.
pub async fn load(address: SocketAddr, call: &Call, connections: u32, seconds: u64) -> Load {
    let script = tempfile::NamedTempFile::with_suffix(".lua").expect("a temporary file");
    std::fs::write(script.path(), lua(call)).expect("the script is written");
    let mut command = machine::loading(Path::new("wrk"));
    command.args(["--threads", "1", "--connections", &connections.to_string(), "--duration", &format!("{seconds}s")]);
    command.arg("--timeout").arg("10s").arg("--script").arg(script.path()).arg(format!("http://{address}/mcp"));
    let output = command.stderr(Stdio::inherit()).output().await.expect("wrk runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let figures = text.lines().find_map(|line| line.strip_prefix("FIGURES "));
    let figures: Vec<u64> = figures.unwrap_or_default().split(' ').filter_map(|figure| figure.parse().ok()).collect();
    let [requests, microseconds, p50, p99, failed] = figures[..] else { panic!("wrk says:\n{text}") };
    assert!(failed == 0 && requests > 0, "{failed} of {requests} requests failed:\n{text}");
    Load {
        requests,
        duration: Duration::from_micros(microseconds),
        p50: Duration::from_micros(p50),
        p99: Duration::from_micros(p99),
    }
}

/// The script: requests made beforehand, sent in turn.
fn lua(call: &Call) -> String {
    let mut script = String::from("local tokens = {\n");
    for token in &call.tokens {
        let _written = writeln!(script, "  \"{token}\",");
    }
    let _written = write!(
        script,
        r#"}}
local requests = {{}}
local function request_with(token)
  local headers = {{
    ["Content-Type"] = "application/json",
    ["Accept"] = "application/json, text/event-stream",
    ["MCP-Protocol-Version"] = "2025-11-25",
  }}
  if token then headers["Authorization"] = "Bearer " .. token end
  return wrk.format("POST", "/mcp", headers, [==[{body}]==])
end
local at = 0
function init()
  for number, token in ipairs(tokens) do requests[number] = request_with(token) end
  if #tokens == 0 then requests[1] = request_with(nil) end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("FIGURES %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed))
end
"#,
        body = call.body
    );
    script
}
