//! What an application must trust for somebody else's token to prove it: a federated identity credential
//! (workload-identity-federation-config-app-trust-managed-identity).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// The federated credential to register on the application, to the letter, as a token itself says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Federation {
    pub(crate) issuer: String,
    /// Of a managed identity: its object (principal) ID.
    pub(crate) subject: String,
    pub(crate) audience: String,
    /// The directory of a managed identity.
    pub(crate) tenant_id: Option<String>,
    /// Whether the managed identity is user-assigned, as far as its token says: no other can be trusted this way.
    pub(crate) user_assigned: Option<bool>,
}

/// Claims of a federated token. `aud` may be a list in other issuers' tokens.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    #[serde(default)]
    aud: serde_json::Value,
    #[serde(default)]
    tid: Option<String>,
    /// The identity's Azure resource ID.
    #[serde(default)]
    xms_mirid: Option<String>,
}

impl Federation {
    /// Reads the token, to show it: nothing is decided on it. `audience` where it was asked for by another name than
    /// the token has it: a managed identity's token carries the exchange's application ID instead of its URI.
    pub(super) fn of(token: &str, audience: Option<&str>) -> Option<Self> {
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let claims: Claims = serde_json::from_slice(&claims).ok()?;
        let first = claims.aud.as_str().or_else(|| claims.aud.get(0)?.as_str());
        Some(Self {
            audience: audience.or(first).unwrap_or_default().to_owned(),
            issuer: claims.iss,
            subject: claims.sub,
            tenant_id: claims.tid,
            user_assigned: claims
                .xms_mirid
                .map(|id| id.to_ascii_lowercase().contains("/microsoft.managedidentity/userassignedidentities/")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.x", support::base64url(claims))
    }

    #[test]
    fn issuer_and_subject_are_read_to_be_shown() {
        let token = token(r#"{"iss":"https://i/v2.0","sub":"principal","aud":"guid"}"#);
        let federation = Federation::of(&token, Some("api://AzureADTokenExchange")).unwrap();
        assert_eq!((federation.issuer.as_str(), federation.subject.as_str()), ("https://i/v2.0", "principal"));
        assert_eq!(federation.audience, "api://AzureADTokenExchange");
        assert_eq!(Federation::of("nonsense", None), None);
    }

    #[test]
    fn another_platforms_token_names_its_own_audience() {
        let token = token(r#"{"iss":"https://oidc.example","sub":"system:serviceaccount:a:b","aud":["api://X"]}"#);
        assert_eq!(Federation::of(&token, None).unwrap().audience, "api://X");
    }

    #[test]
    fn a_system_assigned_identity_is_told_apart() {
        let of = |id: &str| {
            Federation::of(&token(&format!(r#"{{"iss":"i","sub":"s","xms_mirid":"{id}"}}"#)), None)
                .unwrap()
                .user_assigned
        };
        assert_eq!(of("/subscriptions/s/providers/Microsoft.ManagedIdentity/userAssignedIdentities/n"), Some(true));
        assert_eq!(of("/subscriptions/s/providers/Microsoft.Web/sites/n"), Some(false));
        assert_eq!(Federation::of(&token(r#"{"iss":"i","sub":"s"}"#), None).unwrap().user_assigned, None);
    }
}
