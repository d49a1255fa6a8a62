//! The emulator as a program: for the demo, for clients not written in Rust, and to look at by hand.

use std::process::ExitCode;

use emulator::{API_CLIENT_ID, CLIENT_SECRET, Emulator, IDENTITY_CLIENT_ID, PUBLIC_CLIENT_ID, TENANT_ID};

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("entra-emulator: {problem}\n\n{HELP}");
            return ExitCode::from(USAGE);
        }
    };
    let emulator = match Emulator::start_on(options.port).await {
        Ok(emulator) => emulator,
        Err(error) => {
            eprintln!("entra-emulator: port {} cannot be used: {error}; choose another with --port", options.port);
            return ExitCode::FAILURE;
        }
    };
    for uri in &options.identifier_uris {
        emulator.identifier_uri(uri);
    }
    let base_url = emulator.base_url();
    println!("LOCAL EMULATOR, not Microsoft. Settings for the server:\n");
    println!("TENANT_ID={TENANT_ID}\nCLIENT_ID={API_CLIENT_ID}\nCLIENT_SECRET={CLIENT_SECRET}");
    println!("AZURE_AUTHORITY_HOST={base_url}\nGRAPH_BASE_URL={base_url}\n");
    let (endpoint, header) = emulator.identity_endpoint();
    println!("Without a secret, as in Azure: leave CLIENT_SECRET out and set\n");
    println!("IDENTITY_ENDPOINT={endpoint}\nIDENTITY_HEADER={header}");
    println!("MANAGED_IDENTITY_CLIENT_ID={IDENTITY_CLIENT_ID}\n");
    println!("Client id for MCP clients (public, no secret): {PUBLIC_CLIENT_ID}");
    println!("Stop with Ctrl+C.");
    match tokio::signal::ctrl_c().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("entra-emulator: cannot wait for Ctrl+C: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    port: u16,
    identifier_uris: Vec<String>,
}

impl Options {
    /// `None` when help is asked for.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self { port: DEFAULT_PORT, identifier_uris: Vec::new() };
        while let Some(argument) = arguments.next() {
            let (flag, joined) = match argument.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let mut value =
                || joined.clone().or_else(|| arguments.next()).ok_or_else(|| format!("{flag} needs a value"));
            match flag {
                "--port" => {
                    let text = value()?;
                    options.port = text.parse().map_err(|_| format!("--port takes 0 to 65535, not '{text}'"))?;
                }
                "--identifier-uri" => options.identifier_uris.push(value()?),
                "--help" | "-h" => return Ok(None),
                other => return Err(format!("unknown argument '{other}'")),
            }
        }
        Ok(Some(options))
    }
}

const DEFAULT_PORT: u16 = 8400;
/// The exit code of a wrong command line, as shells have it.
const USAGE: u8 = 2;
const HELP: &str = "\
Usage: entra-emulator [--port N] [--identifier-uri URI]...

A stand-in for Microsoft Entra ID and Microsoft Graph on 127.0.0.1, for tests and demos.

  --port N               the port to listen on (default 8400; 0 for any free one)
  --identifier-uri URI   an Application ID URI of the API, for example http://127.0.0.1:7071/mcp; repeatable
  --help                 this text";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], expect: Result<Option<(u16, &[&str])>, &str>) {
        let got = Options::parse(arguments.iter().map(|argument| (*argument).to_owned()));
        let expect = expect.map_err(str::to_owned).map(|options| {
            options
                .map(|(port, uris)| Options { port, identifier_uris: uris.iter().map(|u| (*u).to_owned()).collect() })
        });
        assert_eq!(got, expect);
    }

    #[test]
    fn flags() {
        check(&[], Ok(Some((8400, &[]))));
        check(&["--port", "1", "--identifier-uri", "a=b", "--identifier-uri=c"], Ok(Some((1, &["a=b", "c"]))));
        check(&["--help"], Ok(None));
        check(&["--port"], Err("--port needs a value"));
        check(&["--port", "x"], Err("--port takes 0 to 65535, not 'x'"));
        check(&["--colour"], Err("unknown argument '--colour'"));
    }
}
