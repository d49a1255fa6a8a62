//! The steps, each with what it showed and how long it took.

use std::time::Instant;

use emulator::User;
use serde_json::Value;

use crate::client::{CallError, SignedIn, http_client};
use crate::stage::Stage;

/// Numbers the steps and takes their times.
struct Teller {
    step: u32,
    since: Instant,
}

impl Teller {
    #[expect(clippy::disallowed_methods, reason = "the demo shows how long things take")]
    fn start() -> Self {
        Self { step: 0, since: Instant::now() }
    }

    /// Reports the step that just ended.
    #[expect(clippy::disallowed_methods, reason = "the demo shows how long things take")]
    fn told(&mut self, what: &str, status: &str, detail: &str) {
        self.step += 1;
        let milliseconds = self.since.elapsed().as_secs_f64() * 1000.0;
        println!("{:3}  {what:<42} {status:<4} {milliseconds:7.1} ms   {detail}", self.step);
        self.since = Instant::now();
    }
}

/// Plays the whole story. The first step that goes another way ends it.
pub(crate) async fn tell(stage: &Stage, browser: bool) -> Result<(), String> {
    let mcp_url = stage.mcp_url();
    // Made before the clock runs: reading the machine's certificates takes longer than most steps.
    http_client()?;
    let mut teller = Teller::start();

    let challenge = knock(&mcp_url).await?;
    teller.told("POST /mcp without a token", "401", "WWW-Authenticate names metadata and scopes");
    let authority = read_metadata(&challenge, &mcp_url).await?;
    teller.told("GET the metadata it names", "200", &format!("sign in at {authority}"));

    let alice = SignedIn::sign_in(&mcp_url, &challenge, User::Alice, browser).await?;
    teller.told("sign in as Alice", "200", "code flow with PKCE, MCP session agreed");
    let tools = alice.tools().await?;
    expect(tools == ["get_my_profile", "whoami"], "both tools are listed")?;
    teller.told("tools/list", "200", &tools.join(", "));
    let who = succeed(alice.call("whoami").await)?;
    expect(who["objectId"] == User::Alice.oid(), "whoami names Alice")?;
    teller.told("tools/call whoami", "200", &format!("object {}", text(&who, "objectId")));
    let profile = succeed(alice.call("get_my_profile").await)?;
    expect(profile["id"] == User::Alice.oid(), "the profile is Alice's")?;
    teller.told("tools/call get_my_profile", "200", &format!("Graph knows her as {}", text(&profile, "displayName")));

    let mut bob = SignedIn::sign_in(&mcp_url, &challenge, User::Bob, browser).await?;
    teller.told("sign in as Bob", "200", "he leaves MCP.Tools unticked");
    let needed = match bob.call("get_my_profile").await {
        Err(CallError::Challenged(challenge)) => parameter(&challenge, "scope").ok_or("the 403 names no scope")?,
        Err(CallError::Failed(cause)) => return Err(cause),
        Ok(_) => return Err("Bob got a profile without MCP.Tools".to_owned()),
    };
    teller.told("tools/call get_my_profile as Bob", "403", &format!("insufficient_scope: needs {needed}"));
    bob.step_up(&mcp_url, &needed, browser).await?;
    teller.told("Bob signs in again for that scope", "200", "step-up");
    let before = stage.emulator.counters().token_obo;
    let profile = succeed(bob.call("get_my_profile").await)?;
    expect(profile["id"] == User::Bob.oid(), "the profile is Bob's")?;
    expect(stage.emulator.counters().token_obo == before + 1, "one exchange with Entra")?;
    teller.told(
        "tools/call get_my_profile as Bob",
        "200",
        &format!("Graph knows him as {}", text(&profile, "displayName")),
    );
    succeed(bob.call("get_my_profile").await)?;
    expect(stage.emulator.counters().token_obo == before + 1, "no further exchange")?;
    teller.told("the same call again", "200", "token from the cache: no exchange with Entra");

    println!("\nAll steps green.");
    Ok(())
}

fn expect(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("not so: {what}")) }
}

fn succeed(outcome: Result<Value, CallError>) -> Result<Value, String> {
    outcome.map_err(|error| match error {
        CallError::Challenged(challenge) => format!("the call was refused: {challenge}"),
        CallError::Failed(cause) => cause,
    })
}

fn text(value: &Value, member: &str) -> String {
    value.get(member).and_then(Value::as_str).unwrap_or("nobody").to_owned()
}

/// Asks without a token, as every client does first. The challenge that comes back.
#[expect(clippy::disallowed_methods, reason = "the demo is a client of its own")]
async fn knock(mcp_url: &str) -> Result<String, String> {
    let answer = http_client()?.post(mcp_url).send().await.map_err(|cause| cause.to_string())?;
    expect(answer.status() == 401, "a call without a token gets 401")?;
    let challenge = answer.headers().get("www-authenticate").and_then(|value| value.to_str().ok());
    challenge.map(str::to_owned).ok_or_else(|| "the 401 carries no challenge".to_owned())
}

/// Reads the metadata that the challenge names, and checks that it is about this server (RFC 9728 §3.3).
#[expect(clippy::disallowed_methods, reason = "the demo is a client of its own")]
async fn read_metadata(challenge: &str, mcp_url: &str) -> Result<String, String> {
    let url = parameter(challenge, "resource_metadata").ok_or("the challenge names no metadata")?;
    let answer = http_client()?.get(url).send().await.map_err(|cause| cause.to_string())?;
    expect(answer.status() == 200, "the metadata is there")?;
    let document: Value = answer.json().await.map_err(|cause| cause.to_string())?;
    expect(document["resource"] == mcp_url, "the metadata is about the MCP URL")?;
    Ok(document["authorization_servers"][0].as_str().unwrap_or_default().to_owned())
}

/// A quoted parameter of a challenge.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}
