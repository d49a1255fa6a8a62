//! How many instructions a verified call takes, by callgrind: the same figure whatever else the machine is doing, so that a call
//! that grew dearer is found where wall-clock times would only be noise.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use bench::server;

const CALLS: u64 = 1_000;

/// By how many percent a call may grow.
const TOLERANCE: u64 = 10;

/// Counts, and compares with what is written down; with `bless` writes it down.
pub(crate) fn check(bless: bool) -> ExitCode {
    let [call] = server::build_all("bench", &["call"]).try_into().expect("one");
    let baseline = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    let known: serde_json::Value =
        std::fs::read(&baseline).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let mut counted = serde_json::Map::new();
    let mut grown = false;
    for tool in ["whoami"] {
        let now = count(&call, tool);
        match known[tool].as_u64() {
            Some(before) => {
                let percent = now * 100 / before;
                println!("{tool}: {now} instructions a call, {percent} % of the {before} written down");
                grown |= now * 100 > before * (100 + TOLERANCE);
            }
            None => {
                println!("{tool}: {now} instructions a call, none written down");
                grown = true;
            }
        }
        counted.insert(tool.to_owned(), now.into());
    }
    if bless {
        let text = serde_json::to_string_pretty(&counted).expect("JSON") + "\n";
        std::fs::write(&baseline, text).expect("instructions.json is written");
        return ExitCode::SUCCESS;
    }
    if grown {
        println!(
            "A call takes over {TOLERANCE} % more than before. If that is meant: cargo bench-all instructions bless"
        );
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
