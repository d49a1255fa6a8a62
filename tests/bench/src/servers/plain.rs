//! What one writes in an afternoon: rmcp's transport behind a middleware that checks the token with jsonwebtoken, keys fetched
//! once, no caches, no limits, no audit, no telemetry.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use rmcp::handler::server::common::Extension;
use rmcp::handler::server::wrapper::Json;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Deserialize)]
struct Claims {
    tid: String,
    oid: String,
    azp: Option<String>,
    scp: String,
    #[serde(default)]
    roles: Vec<String>,
    exp: u64,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct WhoAmI {
    tenant_id: String,
    object_id: String,
    client_id: Option<String>,
    scopes: Vec<String>,
    roles: Vec<String>,
    token_expires_in_seconds: u64,
}

struct Plain;

#[tool_router]
impl Plain {
    #[tool(name = "whoami", description = "Tells as whom you are signed in.")]
    async fn whoami(&self, Extension(parts): Extension<Parts>) -> Json<WhoAmI> {
        let claims = parts.extensions.get::<Claims>().cloned().expect("the middleware left them");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Json(WhoAmI {
            tenant_id: claims.tid,
            object_id: claims.oid,
            client_id: claims.azp,
            scopes: claims.scp.split(' ').map(str::to_owned).collect(),
            roles: claims.roles,
            token_expires_in_seconds: claims.exp.saturating_sub(now),
        })
    }
}

#[tool_handler]
impl ServerHandler for Plain {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

struct Verifier {
    keys: HashMap<String, DecodingKey>,
    validation: Validation,
}

async fn verify(State(verifier): State<Arc<Verifier>>, mut request: Request, next: Next) -> Response {
    let token = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let claims = token.and_then(|token| {
        let key = verifier.keys.get(&decode_header(token).ok()?.kid?)?;
        decode::<Claims>(token, key, &verifier.validation).ok().map(|decoded| decoded.claims)
    });
    let Some(claims) = claims else { return StatusCode::UNAUTHORIZED.into_response() };
    request.extensions_mut().insert(claims);
    next.run(request).await
}

/// The one route. Fetches the keys first.
pub async fn app(authority: &str, tenant: &str, client_id: &str) -> Router {
    let keys = reqwest::get(format!("{authority}/{tenant}/discovery/v2.0/keys")).await.expect("keys");
    let keys: JwkSet = serde_json::from_slice(&keys.bytes().await.expect("keys")).expect("a key set");
    let key = |jwk: &Jwk| Some((jwk.common.key_id.clone()?, DecodingKey::from_jwk(jwk).ok()?));
    let keys = keys.keys.iter().filter_map(key).collect();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[client_id]);
    validation.set_issuer(&[format!("{authority}/{tenant}/v2.0")]);
    let config = StreamableHttpServerConfig::default().with_legacy_session_mode(false).with_json_response(true);
    let mcp = StreamableHttpService::new(|| Ok(Plain), Arc::new(NeverSessionManager::default()), config);
    let verifier = Arc::new(Verifier { keys, validation });
    Router::new().route_service("/mcp", mcp).layer(from_fn_with_state(verifier, verify))
}
