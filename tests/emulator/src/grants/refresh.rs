//! `refresh_token` (RFC 6749 §6), rotating: the old one is worth nothing once it was used (OAuth 2.1 §4.3.1).

use serde_json::Value;

use crate::errors::EntraError;
use crate::params::{Params, asks_cp1};
use crate::scopes::Asked;
use crate::state::{Downstream, State};
use crate::tenant::User;
use crate::token::{Client, Issue};

/// What a refresh token stands for.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) client_id: &'static str,
    pub(crate) user: User,
    pub(crate) asked: Asked,
    pub(crate) cp1: bool,
}

/// Exchanges a refresh token for tokens and the next refresh token.
pub(crate) fn redeem(state: &State, params: &Params, client: Client) -> Result<Value, EntraError> {
    let sent = params.require("refresh_token")?;
    let session = state.sessions().get(sent).cloned();
    let Some(session) = session.filter(|session| session.client_id == client.id()) else {
        let text = "The provided value for the input parameter 'refresh_token' is not valid.";
        return Err(EntraError::new("invalid_grant", 70_000, text).with_suberror("bad_token"));
    };
    let mut asked = match params.get("scope") {
        Some(scope) => Asked::parse(scope, &state.directory(), &state.base_url)?,
        None => session.asked,
    };
    // A refresh token begets the next one, whether or not the request names `offline_access` again.
    asked.offline_access = true;
    asked.check_resource(params, &state.directory())?;
    let answer = Issue {
        user: session.user,
        client_id: session.client_id,
        asked: &asked,
        nonce: None,
        cp1: session.cp1 || asks_cp1(params.get("claims"))?,
        downstream: Downstream { answers_challenge: false },
    }
    .answer(state)?;
    state.sessions().remove(sent);
    Ok(answer)
}
