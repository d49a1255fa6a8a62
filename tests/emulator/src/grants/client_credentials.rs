//! `client_credentials` (v2-oauth2-client-creds-grant-flow): the application for itself.

use serde_json::{Value, json};

use crate::errors::EntraError;
use crate::params::Params;
use crate::scopes::Asked;
use crate::state::State;
use crate::tenant::Resource;
use crate::token::Client;

/// Issues an app-only token for the API application.
pub(crate) fn issue(state: &State, params: &Params, client: Client) -> Result<Value, EntraError> {
    client.confidential()?;
    let scope = params.require("scope")?;
    if !scope.ends_with("/.default") {
        let text = format!(
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with \
             /.default suffixed to the resource identifier (application ID URI)."
        );
        return Err(EntraError::new("invalid_scope", 1_002_012, &text));
    }
    let asked = Asked::parse(scope, &state.directory(), &state.base_url)?;
    asked.check_resource(params, &state.directory())?;
    let (token, lifetime) = match asked.resource {
        Resource::Api => (state.app_only_token().build(), state.settings.access_token_lifetime()),
        Resource::Graph => (state.graph_app_token(client.id()), state.settings.downstream_lifetime()),
    };
    Ok(json!({
        "token_type": "Bearer",
        "expires_in": lifetime.max(0),
        "ext_expires_in": lifetime.max(0),
        "access_token": token,
    }))
}
