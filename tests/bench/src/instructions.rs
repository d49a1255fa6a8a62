//! How many instructions a verified call takes, by callgrind: the same figure whatever else the machine is doing, so that a call
//! that grew dearer is found where wall-clock times would only be noise.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use bench::server;

const CALLS: u64 = 1_000;

/// By how many percent a call may grow.
const TOLERANCE: u64 = 10;

/// What is called.
const TOOL: &str = "whoami";

/// Counts, and compares with what is written down; with `bless` writes it down.
pub(crate) fn check(bless: bool) -> ExitCode {
    let [call] = server::build_all("bench", &["call"]).try_into().expect("one");
    let baseline = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    let now = count(&call, TOOL);
    if bless {
        let text = serde_json::to_string_pretty(&serde_json::json!({ TOOL: now })).expect("JSON") + "\n";
        std::fs::write(&baseline, text).expect("instructions.json is written");
        println!("{TOOL}: {now} instructions a call, written down");
        return ExitCode::SUCCESS;
    }
    let known = std::fs::read(&baseline).expect("instructions.json is there");
    let known: serde_json::Value = serde_json::from_slice(&known).expect("instructions.json is JSON");
    let before = known[TOOL].as_u64().filter(|before| *before > 0).expect("a figure for the tool");
    println!("{TOOL}: {now} instructions a call, {} % of the {before} written down", now * 100 / before);
    if now * 100 > before * (100 + TOLERANCE) {
        println!("That is over {TOLERANCE} % more. If it is meant: cargo bench-all instructions bless");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn count(call: &Path, tool: &str) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = format!("--callgrind-out-file={}", folder.path().join("callgrind.out").display());
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", &out, "--toggle-collect=call::counted*"]).arg(call);
    command.args([tool, &CALLS.to_string()]).stdout(Stdio::null());
    let output = command.output().expect("valgrind is needed: apt-get install valgrind");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let total = text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
    let total = total.filter(|total| *total > CALLS).unwrap_or_else(|| panic!("nothing was counted:\n{text}"));
    total / CALLS
}
