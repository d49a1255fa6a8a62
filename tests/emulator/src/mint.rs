//! The tokens that are issued here, each in Entra's shape (access-token-claims-reference, id-token-claims-reference).

use std::collections::BTreeSet;

use serde_json::json;
use support::token::TokenBuilder;
use support::{base64url, unix_now};
use uuid::Uuid;

use crate::keys::{hashed, with_nonce};
use crate::managed_identity::Identity;
use crate::state::{Downstream, State};
use crate::tenant::{
    API_CLIENT_ID, API_PRINCIPAL_ID, API_ROLE, GRAPH_APP_ID, PUBLIC_CLIENT_ID, TENANT_ID, TOKEN_EXCHANGE_APP_ID, User,
};

impl State {
    /// A v2.0 access token for the API application, as `client_id` gets it for `user`.
    pub(crate) fn access_token(&self, user: User, client_id: &str, scopes: &BTreeSet<String>) -> TokenBuilder {
        self.for_user(user, API_CLIENT_ID)
            .claim("azp", client_id)
            .claim("azpacr", if client_id == PUBLIC_CLIENT_ID { "0" } else { "1" })
            .claim("scp", joined(scopes))
            .times(0, self.settings.access_token_lifetime())
    }

    /// A v2.0 app-only access token for the API application, which asked for it itself.
    pub(crate) fn app_only_token(&self) -> TokenBuilder {
        self.for_application(API_CLIENT_ID, API_PRINCIPAL_ID, API_CLIENT_ID)
            .claim("azpacr", "1")
            .claim("roles", json!([API_ROLE]))
            .times(0, self.settings.access_token_lifetime())
    }

    /// A managed identity's token for the token exchange: the client assertion of a federated credential.
    pub(crate) fn identity_token(&self, identity: Identity) -> TokenBuilder {
        self.for_application(identity.client_id(), identity.principal_id(), TOKEN_EXCHANGE_APP_ID)
            // The host proves itself with a certificate that nobody sees.
            .claim("azpacr", "2")
            .times(0, self.settings.identity_token_lifetime())
    }

    /// An ID token for `client_id`.
    pub(crate) fn id_token(&self, user: User, client_id: &str, nonce: Option<&str>) -> TokenBuilder {
        let token = self.for_user(user, client_id);
        let token = ["scp", "azp", "azpacr"].into_iter().fold(token, TokenBuilder::without_claim);
        match nonce {
            Some(nonce) => token.claim("nonce", nonce),
            None => token,
        }
        .times(0, 3600)
    }

    /// A Graph access token for `user`.
    pub(crate) fn graph_token(
        &self,
        user: User,
        client_id: &str,
        scopes: &BTreeSet<String>,
        cp1: bool,
        issued: Downstream,
    ) -> String {
        let token = self.for_user(user, GRAPH_APP_ID).claim("idtyp", "user").claim("upn", user.upn());
        let token = token.claim("scp", joined(scopes));
        let token = if cp1 { token.claim("xms_cc", json!(["cp1"])) } else { token };
        self.graph(token, client_id, issued)
    }

    /// An app-only Graph token; no application permission on Graph has been granted.
    pub(crate) fn graph_app_token(&self, client_id: &str) -> String {
        let token = self.app_only_token().without_claim("roles").claim("aud", GRAPH_APP_ID);
        self.graph(token, client_id, Downstream { answers_challenge: false })
    }

    /// Seals a token as Graph's and remembers it as issued. Nobody but Graph can check its signature, see
    /// [`crate::keys::KeyRing::graph_claims`].
    fn graph(&self, token: TokenBuilder, client_id: &str, issued: Downstream) -> String {
        let (uti, nonce) = (uti(), base64url(rand::random::<[u8; 32]>()));
        let signed = ["azp", "azpacr", "preferred_username"]
            .into_iter()
            .fold(token, TokenBuilder::without_claim)
            .header("nonce", hashed(&nonce))
            .header("x5t", self.keys.signing().kid())
            // Graph asks for v1.0 tokens, whatever endpoint the client used (access-tokens page).
            .claim("iss", format!("https://sts.windows.net/{TENANT_ID}/"))
            .claim("ver", "1.0")
            .claim("appid", client_id)
            .claim("appidacr", if client_id == PUBLIC_CLIENT_ID { "0" } else { "1" })
            .claim("uti", uti.as_str())
            .times(0, self.settings.downstream_lifetime())
            .build();
        let sent = signed.split_once('.').and_then(|(header, rest)| Some((with_nonce(header, &nonce)?, rest)));
        let (header, rest) = sent.expect("a compact token has a header");
        self.downstream().insert(uti, issued);
        format!("{header}.{rest}")
    }

    fn for_application(&self, client_id: &str, principal_id: &str, audience: &str) -> TokenBuilder {
        let token = TokenBuilder::delegated(&self.issuer(), TENANT_ID, audience, &self.keys.signing());
        ["scp", "name", "preferred_username", "sid"]
            .into_iter()
            .fold(token, TokenBuilder::without_claim)
            .claim("azp", client_id)
            .claim("idtyp", "app")
            .claim("oid", principal_id)
            .claim("sub", principal_id)
            .claim("uti", uti())
    }

    fn for_user(&self, user: User, audience: &str) -> TokenBuilder {
        TokenBuilder::delegated(&self.issuer(), TENANT_ID, audience, &self.keys.signing())
            .claim("name", user.name())
            .claim("oid", user.oid())
            .claim("preferred_username", user.upn())
            // `sub` is pairwise: another one for every application (id-token-claims-reference).
            .claim("sub", hashed(&format!("{} {audience}", user.oid())))
            .claim("sid", Uuid::new_v4().to_string())
            .claim("uti", uti())
    }

    /// A claims challenge as Graph sends it after a critical event (app-resilience-continuous-access-evaluation).
    pub(crate) fn graph_claims() -> String {
        let claims = json!({ "access_token": { "nbf": { "essential": true, "value": unix_now().to_string() } } });
        claims.to_string()
    }
}

/// The `scp` claim: short names, ordered by their bytes as Entra does.
fn joined(scopes: &BTreeSet<String>) -> String {
    scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// A token identifier like Entra's `uti`: 16 bytes, base64url.
fn uti() -> String {
    base64url(rand::random::<[u8; 16]>())
}
