//! A real MCP client (rmcp's): discovery from the 401, code flow with PKCE, authorized calls, step-up.

use std::sync::OnceLock;

use emulator::{PUBLIC_CLIENT_ID, User};
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, AuthorizationCallback, AuthorizationRequest, OAuthState};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;

use crate::browser::Redirect;

/// A client that somebody is signed in with.
pub(crate) struct SignedIn {
    user: User,
    http: AuthClient<reqwest::Client>,
    mcp: RunningService<RoleClient, ()>,
}

/// Why a call did not succeed.
pub(crate) enum CallError {
    /// The server asks for more: the challenge it sent.
    Challenged(String),
    Failed(String),
}

impl SignedIn {
    /// Discovers where to sign in from the server's challenge, and signs in for the scopes it names.
    pub(crate) async fn sign_in(mcp_url: &str, challenge: &str, user: User, browser: bool) -> Result<Self, String> {
        let redirect = Redirect::new(browser).await?;
        let mut oauth = OAuthState::new(mcp_url, None).await.map_err(|cause| cause.to_string())?;
        let request = AuthorizationRequest::new(redirect.uri())
            .with_preregistered_client(PUBLIC_CLIENT_ID)
            .with_challenge(challenge);
        oauth.start_authorization(request).await.map_err(|cause| cause.to_string())?;
        let url = oauth.get_authorization_url().await.map_err(|cause| cause.to_string())?;
        let callback = redirect.follow(&url, user).await?;
        oauth.handle_callback_url(&callback).await.map_err(|cause| cause.to_string())?;
        let manager = oauth.into_authorization_manager().ok_or("the sign-in did not complete")?;
        let http = AuthClient::new(http_client()?, manager);
        let mcp = connect(&http, mcp_url).await?;
        Ok(Self { user, http, mcp })
    }

    pub(crate) async fn tools(&self) -> Result<Vec<String>, String> {
        let tools = self.mcp.list_all_tools().await.map_err(|cause| cause.to_string())?;
        Ok(tools.into_iter().map(|tool| tool.name.into_owned()).collect())
    }

    pub(crate) async fn call(&self, tool: &'static str) -> Result<serde_json::Value, CallError> {
        match self.mcp.call_tool(CallToolRequestParams::new(tool)).await {
            Ok(CallToolResult { structured_content: Some(content), is_error, .. }) if is_error != Some(true) => {
                Ok(content)
            }
            Ok(result) => Err(CallError::Failed(format!("{:?}", result.content))),
            Err(cause) => Err(match cause.auth_challenge() {
                Some(challenge) => CallError::Challenged(challenge.to_owned()),
                None => CallError::Failed(cause.to_string()),
            }),
        }
    }

    /// Signs the same user in again, for the scopes held and the one the server asks for.
    pub(crate) async fn step_up(&mut self, mcp_url: &str, scope: &str, browser: bool) -> Result<(), String> {
        {
            let manager = self.http.auth_manager.lock().await;
            let url = manager.request_scope_upgrade(scope).await.map_err(|cause| cause.to_string())?;
            let callback = Redirect::of(&url, browser).await?.follow(&url, self.user).await?;
            let AuthorizationCallback { code, csrf_token, issuer, .. } =
                AuthorizationCallback::from_redirect_url(&callback).map_err(|cause| cause.to_string())?;
            let exchanged = manager.exchange_code_for_token_with_issuer(&code, &csrf_token, issuer.as_deref()).await;
            exchanged.map_err(|cause| cause.to_string())?;
        }
        self.mcp = connect(&self.http, mcp_url).await?;
        Ok(())
    }
}

async fn connect(http: &AuthClient<reqwest::Client>, mcp_url: &str) -> Result<RunningService<RoleClient, ()>, String> {
    let config = StreamableHttpClientTransportConfig::with_uri(mcp_url);
    let transport = StreamableHttpClientTransport::with_client(http.clone(), config);
    ().serve(transport).await.map_err(|cause| format!("cannot connect: {cause}"))
}

/// The demo's one client: for this machine, no redirects, no proxy from the environment.
#[expect(clippy::disallowed_methods, reason = "the demo is a client of its own and must not share the server's code")]
pub(crate) fn http_client() -> Result<reqwest::Client, String> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client.clone());
    }
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let client = builder.build().map_err(|cause| cause.to_string())?;
    Ok(CLIENT.get_or_init(|| client).clone())
}
