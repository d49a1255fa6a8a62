//! The authority and Graph: reachable, ours, agreeing with each other and with our clock.

use std::time::Duration;

use reqwest::Url;

use super::Check;
use crate::auth::examine::shown;
use crate::config::Config;
use crate::http::{self as client, HttpClient, HttpError, Limits};
use crate::process::Process;

/// A clock that is off by more than this is worth a look: the leeway of token checks.
const OFF: u64 = 60;

/// Beyond this Entra itself refuses what is signed here.
const FAR_OFF: u64 = 300;

/// A question to Graph that needs no token: only that something answers counts.
const GRAPH: Limits = Limits { total: Duration::from_secs(10), body: 64 * 1024 };

pub(super) async fn look(process: &'static Process, http: &HttpClient) -> Vec<Check> {
    let config = &process.config;
    let survey = process.jwks.survey().await;
    let mut checks = Vec::new();
    match &survey.discovery {
        Ok(found) => {
            checks.push(Check::ok("discovery", format!("{} is this tenant's issuer", config.issuer().as_str())));
            checks.push(clock(found.clock_ahead));
            checks.extend(found.graph_host.as_deref().and_then(|host| cloud(&config.graph_base_url, host)));
        }
        Err(cause) => {
            checks.push(Check::error(
                "discovery",
                cause.to_string(),
                "check TENANT_ID and AZURE_AUTHORITY_HOST, and that this machine may reach the authority on port 443",
            ));
        }
    }
    checks.push(match survey.keys {
        Some(Ok(keys)) => Check::ok("keys", format!("{} signing keys are usable", keys.len())),
        Some(Err(cause)) => Check::error(
            "keys",
            cause.to_string(),
            "without keys every request gets 503; check that nothing between here and the authority changes its answers",
        ),
        None => Check::skipped("keys", "the discovery document says where they are"),
    });
    checks.push(graph(config, http).await);
    checks
}

/// Our clock against the authority's.
fn clock(ahead: Option<i64>) -> Check {
    const NAME: &str = "clock";
    let Some(ahead) = ahead else { return Check::info(NAME, "the authority names no time") };
    let direction = if ahead < 0 { "behind" } else { "ahead of" };
    let off = ahead.unsigned_abs();
    let detail = format!("this machine's clock is {off} s {direction} the authority's");
    let fix = "synchronize the clock (NTP): tokens are judged by it";
    if off > FAR_OFF {
        Check::error(NAME, detail, fix)
    } else if off > OFF {
        Check::warning(NAME, detail, fix)
    } else {
        Check::ok(NAME, "agrees with the authority's")
    }
}

/// Graph as this cloud's authority names it, against the setting.
fn cloud(graph_base_url: &str, graph_host: &str) -> Option<Check> {
    let url = Url::parse(graph_base_url).ok()?;
    let ours = url.host_str()?;
    // http: an emulator on this machine, which plays every host.
    if ours.eq_ignore_ascii_case(graph_host) || url.scheme() == "http" {
        return None;
    }
    Some(Check::warning(
        "cloud",
        format!("the authority's Graph is {}, GRAPH_BASE_URL names {ours}", shown(graph_host)),
        "use the Graph of the same cloud: tokens of one are refused by the other",
    ))
}

async fn graph(config: &Config, http: &HttpClient) -> Check {
    const NAME: &str = "graph";
    let url = Url::parse(&format!("{}/v1.0/", config.graph_base_url));
    let answer = match url {
        Ok(url) => client::send(http.get(url), GRAPH).await,
        Err(_) => Err(HttpError::Broken("not a URL".to_owned())),
    };
    match answer {
        Ok(answer) if !answer.status.is_server_error() => Check::ok(NAME, format!("{} answers", config.graph_base_url)),
        Ok(answer) => Check::warning(
            NAME,
            format!("{} answers {}", config.graph_base_url, answer.status),
            "Graph or a proxy on the way is failing; try again later",
        ),
        Err(cause) => Check::error(
            NAME,
            format!("{}: {cause}", config.graph_base_url),
            "check GRAPH_BASE_URL, and that this machine may reach Graph on port 443",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_clock_is_judged_by_how_far_it_is_off() {
        let status = |ahead| clock(Some(ahead)).status;
        assert_eq!([status(-60), status(61), status(-301)], [Status::Ok, Status::Warning, Status::Error]);
        assert_eq!(clock(None).status, Status::Info);
    }

    #[test]
    fn another_clouds_graph_is_noticed_and_an_emulator_is_not() {
        assert!(cloud("https://graph.microsoft.com", "graph.microsoft.com").is_none());
        assert!(cloud("https://graph.microsoft.com", "graph.microsoft.us").is_some());
        assert!(cloud("http://127.0.0.1:8400", "graph.microsoft.com").is_none());
    }
}
