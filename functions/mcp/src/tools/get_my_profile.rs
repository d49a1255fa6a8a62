//! `get_my_profile`: the signed-in user's profile from Microsoft Graph, on the user's behalf.

use rmcp::handler::server::common::Extension;
use rmcp::model::CallToolResult;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::Serialize;
use shared::graph::UserProfile;

use super::ToolCall;
use super::json::Json;
use crate::server::McpServer;

/// The user's profile, as Microsoft Graph has it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Profile {
    /// The user's object ID.
    id: String,
    /// Name for display.
    display_name: Option<String>,
    /// Sign-in name.
    user_principal_name: Option<String>,
    /// Mail address.
    mail: Option<String>,
    /// Job title.
    job_title: Option<String>,
    /// Office.
    office_location: Option<String>,
    /// Language, such as en-GB.
    preferred_language: Option<String>,
}

impl From<UserProfile> for Profile {
    fn from(user: UserProfile) -> Self {
        Self {
            id: user.id,
            display_name: user.display_name,
            user_principal_name: user.user_principal_name,
            mail: user.mail,
            job_title: user.job_title,
            office_location: user.office_location,
            preferred_language: user.preferred_language,
        }
    }
}

#[tool_router(router = get_my_profile_router, vis = "pub(crate)")]
impl McpServer {
    /// The user's own profile.
    #[tool(
        name = "get_my_profile",
        title = "Get my profile",
        description = "Reads your own profile from Microsoft Graph: name, mail, job title, office, language."
    )]
    async fn get_my_profile(&self, Extension(call): Extension<ToolCall>) -> Result<Json<Profile>, CallToolResult> {
        let profile = call.graph(async |graph, token| graph.me(token).await).await;
        profile.map(|user| Json(user.into())).map_err(|failure| call.fail(failure))
    }
}
