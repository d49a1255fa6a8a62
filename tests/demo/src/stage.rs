//! Emulator, Functions host and handler, started and joined.

use std::path::{Path, PathBuf};
use std::process::Command;

use emulator::{API_CLIENT_ID, CLIENT_SECRET, Emulator, PUBLIC_CLIENT_ID, TENANT_ID};
use functions_host::{FunctionsHost, HostOptions, Profile};

/// Ports that clients can be configured for, with `--browser`.
const EMULATOR_PORT: u16 = 8400;
const HOST_PORT: u16 = 7071;

/// Everything that runs.
pub(crate) struct Stage {
    pub(crate) emulator: Emulator,
    host: FunctionsHost,
}

impl Stage {
    /// Builds the handler and starts all parts; fixed ports where people will type them.
    pub(crate) async fn set(fixed_ports: bool) -> Result<Self, String> {
        let executable = build_handler()?;
        let (emulator_port, host_port) = if fixed_ports { (EMULATOR_PORT, HOST_PORT) } else { (0, 0) };
        let taken = |port: u16| move |cause| format!("cannot listen on port {port}: {cause}");
        let emulator = Emulator::start_on(emulator_port).await.map_err(taken(emulator_port))?;
        let reservation = FunctionsHost::reserve(host_port).await.map_err(taken(host_port))?;
        let base_url = reservation.base_url();
        // Both metadata documents must lead to a sign-in: the MCP URL's and the base URL's.
        emulator.identifier_uri(&format!("{base_url}/mcp"));
        emulator.identifier_uri(&base_url);
        let settings = [
            ("FUNCTIONS_WORKER_RUNTIME", "custom"),
            ("AzureWebJobsStorage", ""),
            ("AzureFunctionsJobHost__customHandler__description__defaultExecutablePath", &executable.to_string_lossy()),
            ("TENANT_ID", TENANT_ID),
            ("CLIENT_ID", API_CLIENT_ID),
            ("CLIENT_SECRET", CLIENT_SECRET),
            ("RESOURCE_SERVER_URL", &base_url),
            ("AZURE_AUTHORITY_HOST", &emulator.base_url()),
            ("GRAPH_BASE_URL", &emulator.base_url()),
        ];
        let options = HostOptions {
            script_root: repository(),
            profile: Profile::CoreTools,
            settings: settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            clear_env: true,
        };
        let host = FunctionsHost::start_on(reservation, options).await.map_err(|cause| cause.to_string())?;
        println!("  emulator   {}   an Entra and a Graph of our own: Alice, Bob, Carol", emulator.base_url());
        println!("  server     {}/mcp   the handler behind a Functions host\n", host.base_url());
        Ok(Self { emulator, host })
    }

    pub(crate) fn mcp_url(&self) -> String {
        format!("{}/mcp", self.host.base_url())
    }

    /// What a person needs to connect a client of theirs.
    pub(crate) fn invite(&self) {
        println!("\nEverything stays up. Connect a client of yours:\n");
        println!("  MCP URL      {}", self.mcp_url());
        println!("  client id    {PUBLIC_CLIENT_ID}   (no secret)");
        println!(
            "  Inspector    npx @modelcontextprotocol/inspector, Streamable HTTP, the URL above, client id under OAuth"
        );
        println!(
            "  VS Code      {{ \"servers\": {{ \"demo\": {{ \"type\": \"http\", \"url\": \"{}\" }} }} }}",
            self.mcp_url()
        );
        println!("\nCtrl-C ends it.");
    }

    pub(crate) async fn clear(self) {
        self.host.shutdown();
        self.emulator.stop().await;
    }
}

fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Builds the executable with the cargo and the profile this demo was built with.
fn build_handler() -> Result<PathBuf, String> {
    let mut command = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    // With the demo's own package in the selection, both share one set of compiled dependencies.
    command.args(["build", "--quiet", "--package", "handler", "--package", "demo", "--bin", "handler"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.current_dir(repository()).status().map_err(|cause| format!("cannot run cargo: {cause}"))?;
    if !status.success() {
        return Err("the handler does not build".to_owned());
    }
    let demo = std::env::current_exe().map_err(|cause| cause.to_string())?;
    Ok(demo.with_file_name(format!("handler{}", std::env::consts::EXE_SUFFIX)))
}
