//! `whoami`: who the caller is, as this server sees it. From the verified token alone: reaches nothing.

use rmcp::handler::server::common::Extension;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::Serialize;
use shared::auth::caller::Permissions;
use shared::moment::Moment;

use super::ToolCall;
use super::json::Json;
use crate::server::McpServer;

/// The verified caller.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WhoAmI {
    /// The tenant the caller signed in to (tid).
    tenant_id: String,
    /// The caller's object in that tenant (oid).
    object_id: String,
    /// The client application that calls (azp).
    client_id: Option<String>,
    /// Delegated permissions in the token (scp), short names.
    scopes: Vec<String>,
    /// App roles in the token (roles).
    roles: Vec<String>,
    /// Seconds until the token expires.
    token_expires_in_seconds: u64,
}

#[tool_router(router = whoami_router, vis = "pub(crate)")]
impl McpServer {
    /// Who the caller is to this server.
    #[tool(
        name = "whoami",
        title = "Who am I",
        description = "Tells as whom you are signed in to this server: tenant, object id, client application, scopes, \
                       roles and how long the token lives on."
    )]
    async fn whoami(&self, Extension(call): Extension<ToolCall>) -> Json<WhoAmI> {
        let caller = call.caller();
        let (scopes, roles) = match caller.permissions() {
            Permissions::Delegated { scopes, roles } => (scopes.clone(), roles.clone()),
            Permissions::Application { roles } => (Vec::new(), roles.clone()),
        };
        Json(WhoAmI {
            tenant_id: caller.tenant_id().to_owned(),
            object_id: caller.object_id().to_owned(),
            client_id: caller.client_id().map(str::to_owned),
            scopes,
            roles,
            token_expires_in_seconds: caller.expires_at().saturating_sub(Moment::now().unix_seconds()),
        })
    }
}
