//! How many instructions a verified call takes, by callgrind: the same figure whatever else the machine is doing, so that a call
//! that grew dearer is found where wall-clock times would only be noise.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use bench::server;

/// By how many percent a call may grow, or shrink without being written down: else it could grow back unseen.
const TOLERANCE: u64 = 10;

/// What is called, with tokens that were seen before or are new each time; so often.
const COUNTED: [(&str, &str, u64); 2] = [("whoami", "seen", 1_000), ("whoami", "new", 200)];

/// Counts, and compares with what is written down; with `bless` writes it down.
pub(crate) fn check(bless: bool) -> ExitCode {
    let [call] = server::build_all("bench", &["call"]).try_into().expect("one");
    let baseline = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    let counts: BTreeMap<String, u64> =
        COUNTED.map(|(tool, tokens, calls)| (format!("{tool}, {tokens}"), count(&call, tool, tokens, calls))).into();
    if bless {
        let text = serde_json::to_string_pretty(&counts).expect("JSON") + "\n";
        std::fs::write(&baseline, text).expect("instructions.json is written");
    }
    let known = std::fs::read(&baseline).expect("instructions.json is there");
    let known: BTreeMap<String, u64> = serde_json::from_slice(&known).expect("instructions.json has counts by name");
    let mut fine = true;
    for (name, now) in counts {
        let before = known.get(&name).filter(|before| **before > 0).expect("each is written down");
        println!("{name}: {now} instructions a call, {} % of the {before} written down", now * 100 / before);
        let allowed = before * (100 - TOLERANCE)..=before * (100 + TOLERANCE);
        if !allowed.contains(&(now * 100)) {
            println!("That is over {TOLERANCE} % off. If it is meant: cargo bench-all instructions bless");
            fine = false;
        }
    }
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn count(call: &Path, tool: &str, tokens: &str, calls: u64) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = format!("--callgrind-out-file={}", folder.path().join("callgrind.out").display());
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", &out, "--toggle-collect=call::counted*"]).arg(call);
    command.args([tool, tokens, &calls.to_string()]).stdout(Stdio::null());
    let output = command.output().expect("valgrind is needed: apt-get install valgrind");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let total = text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
    let total = total.filter(|total| *total > calls).unwrap_or_else(|| panic!("nothing was counted:\n{text}"));
    total / calls
}
