//! `authorization_code` (RFC 6749 §4.1.3, RFC 7636 §4.6).

use serde_json::Value;
use support::unix_now;

use crate::errors::EntraError;
use crate::keys::hashed;
use crate::params::{Params, asks_cp1};
use crate::scopes::Asked;
use crate::state::{Downstream, State};
use crate::tenant::User;
use crate::token::{Client, Issue};

/// What an authorization code stands for.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) asked: Asked,
    pub(crate) user: User,
    pub(crate) nonce: Option<String>,
    pub(crate) cp1: bool,
    pub(crate) issued_at: i64,
    pub(crate) redeemed: bool,
}

/// Exchanges a code for tokens.
pub(crate) fn redeem(state: &State, params: &Params, client: Client) -> Result<Value, EntraError> {
    let sent = params.require("code")?;
    let redirect_uri = params.require("redirect_uri")?;
    let verifier = params.get("code_verifier");
    let code = match state.codes().get_mut(sent) {
        Some(code) => code.spend(client, redirect_uri, verifier, unix_now())?,
        None => return Err(EntraError::new("invalid_grant", 70_000, "The provided authorization code is invalid.")),
    };
    code.asked.check_resource(params, &state.directory())?;
    Issue {
        user: code.user,
        client_id: client.id(),
        asked: &code.asked,
        nonce: code.nonce.as_deref(),
        cp1: code.cp1 || asks_cp1(params.get("claims"))?,
        downstream: Downstream { answers_challenge: false },
    }
    .answer(state)
}

impl Code {
    /// Uses the code up, whether or not the request is good: a code seen by someone else is worth nothing any more.
    fn spend(
        &mut self,
        client: Client,
        redirect_uri: &str,
        verifier: Option<&str>,
        now: i64,
    ) -> Result<Self, EntraError> {
        let refuse = |code, text| Err(EntraError::new("invalid_grant", code, text));
        if std::mem::replace(&mut self.redeemed, true) {
            return refuse(
                54_005,
                "OAuth2 Authorization code was already redeemed, please retry with a new valid code.",
            );
        }
        if now - self.issued_at > CODE_LIFETIME {
            return refuse(70_008, "The provided authorization code or refresh token has expired.");
        }
        if self.client_id != client.id() {
            return refuse(70_000, "The provided authorization code was issued to another client.");
        }
        if self.redirect_uri != redirect_uri {
            return refuse(500_112, "The reply address does not match the one provided when requesting the code.");
        }
        let Some(verifier) = verifier else {
            return refuse(50_148, "The code_verifier is missing, but the code was requested with a code_challenge.");
        };
        if hashed(verifier) != self.challenge {
            return refuse(501_481, "The Code_Verifier does not match the code_challenge supplied in the request.");
        }
        Ok(self.clone())
    }
}

/// Seconds. Entra's codes live about ten minutes; RFC 6749 §4.1.2 allows no more, and recommends less.
const CODE_LIFETIME: i64 = 5 * 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::{Directory, PUBLIC_CLIENT_ID};

    const REDIRECT: &str = "http://localhost/";

    fn code() -> Code {
        Code {
            client_id: PUBLIC_CLIENT_ID.into(),
            redirect_uri: REDIRECT.into(),
            challenge: hashed("verifier"),
            asked: Asked::parse("openid", &Directory::new(), "").unwrap(),
            user: User::Alice,
            nonce: None,
            cp1: false,
            issued_at: 1000,
            redeemed: false,
        }
    }

    #[track_caller]
    fn check(mut code: Code, verifier: Option<&str>, now: i64, expect: Option<u32>) {
        let refused = code.spend(Client::Public, REDIRECT, verifier, now).err().map(|error| error.code);
        assert_eq!(refused, expect);
        let again = code.spend(Client::Public, REDIRECT, Some("verifier"), 1000).err().map(|error| error.code);
        assert_eq!(again, Some(54_005), "a code is good once");
    }

    #[test]
    fn a_code_is_spent_once_in_time_by_its_owner() {
        check(code(), Some("verifier"), 1000, None);
        check(code(), Some("verifier"), 1300, None);
        check(code(), Some("verifier"), 1301, Some(70_008));
        check(code(), Some("other"), 1000, Some(501_481));
        check(code(), None, 1000, Some(50_148));
        check(Code { client_id: "other".into(), ..code() }, Some("verifier"), 1000, Some(70_000));
        check(Code { redirect_uri: "other".into(), ..code() }, Some("verifier"), 1000, Some(500_112));
    }
}
