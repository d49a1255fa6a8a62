//! The same routes on AWS Lambda: Function URL, API Gateway (REST and HTTP APIs), Application Load Balancer.

use std::process::ExitCode;

use axum::Router;
use http::Uri;
use http::uri::PathAndQuery;
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt as _};
use shared::host;
use shared::process::Process;
use tokio::runtime::Runtime;
use tower::ServiceBuilder;

/// Serves what `app` makes until the runtime ends the process. Answers stream where the front does: a Function URL in the
/// invoke mode `RESPONSE_STREAM`. The rest of an executable's `main`, after [`host::prepare`].
pub fn run(process: &'static Process, runtime: &Runtime, app: impl FnOnce(&'static Process) -> Router) -> ExitCode {
    let served = runtime.block_on(async {
        // In the background: Lambda freezes the process between events, and a stale key set catches up by itself.
        process.start();
        let service = ServiceBuilder::new().map_request(without_stage).service(app(process));
        lambda_http::run_with_streaming_response(service).await
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => host::failed(&cause.to_string()),
    }
}

/// API Gateway puts the stage's name before the path, which would be another route (and another resource: RFC 9728 §3).
fn without_stage(mut request: Request) -> Request {
    let stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.stage.clone(),
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.clone(),
        _ => None,
    };
    if let Some(stage) = stage
        && let Some(uri) = without_prefix(request.uri(), &stage)
    {
        *request.uri_mut() = uri;
    }
    request
}

/// The URI without this first segment of its path; `None` where it does not begin with it.
fn without_prefix(uri: &Uri, segment: &str) -> Option<Uri> {
    let rest = uri.path().strip_prefix('/')?.strip_prefix(segment)?;
    if !(rest.is_empty() || rest.starts_with('/')) {
        return None;
    }
    let path = if rest.is_empty() { "/" } else { rest };
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stage_is_taken_off_and_nothing_else() {
        let without = |uri: &str, stage: &str| {
            without_prefix(&uri.parse().unwrap(), stage).map(|uri| uri.to_string()).unwrap_or_default()
        };
        assert_eq!(without("https://a.example/prod/mcp?x=1", "prod"), "https://a.example/mcp?x=1");
        assert_eq!(without("/prod/.well-known/x", "prod"), "/.well-known/x");
        assert_eq!(without("https://a.example/prod", "prod"), "https://a.example/");
        assert_eq!(without("/production/mcp", "prod"), "");
        assert_eq!(without("/mcp/prod", "prod"), "");
    }
}
