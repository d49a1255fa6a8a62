//! How this process proves to the token endpoint that it is the application.

use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_core::http::{ClientOptions, RetryOptions};
use azure_identity::{ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId};
use once_cell::sync::OnceCell;
use secrecy::{ExposeSecret, SecretString};

use super::error::OboError;
use crate::config::{Config, CredentialConfig, UserAssignedIdentity};

/// How long the managed-identity endpoint may take: it is on this machine or one hop away.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(5);

/// RFC 7521 §4.2: the assertion is a JWT.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client secret, or a managed identity whose token is the client assertion.
#[derive(Debug)]
pub(super) enum ClientCredential {
    Secret(SecretString),
    ManagedIdentity(ManagedIdentity),
}

/// The user-assigned managed identity that the application's federated credential trusts.
#[derive(Debug)]
pub(super) struct ManagedIdentity {
    identity: UserAssignedIdentity,
    scope: &'static str,
    credential: OnceCell<Arc<ManagedIdentityCredential>>,
}

impl ClientCredential {
    pub(super) fn new(config: &Config) -> Self {
        match &config.credential {
            CredentialConfig::Secret(secret) => Self::Secret(secret.clone()),
            CredentialConfig::ManagedIdentity(identity) => Self::ManagedIdentity(ManagedIdentity {
                identity: identity.clone(),
                scope: exchange_scope(&config.authority),
                credential: OnceCell::new(),
            }),
        }
    }

    /// The form fields that authenticate the client (RFC 6749 §2.3.1, RFC 7521 §4.2).
    pub(super) async fn form_fields(&self) -> Result<Vec<(&'static str, SecretString)>, OboError> {
        match self {
            Self::Secret(secret) => Ok(vec![("client_secret", secret.clone())]),
            Self::ManagedIdentity(identity) => Ok(vec![
                ("client_assertion_type", SecretString::from(ASSERTION_TYPE)),
                ("client_assertion", identity.token().await?),
            ]),
        }
    }
}

impl ManagedIdentity {
    async fn token(&self) -> Result<SecretString, OboError> {
        let credential = self.credential.get_or_try_init(|| self.connect())?;
        let scopes = [self.scope];
        let token = tokio::time::timeout(IDENTITY_TIMEOUT, credential.get_token(&scopes, None)).await;
        match token {
            Ok(Ok(token)) => Ok(SecretString::from(token.token.secret())),
            // The library's error text carries the endpoint's answer: it stays out of the log.
            Ok(Err(_)) => Err(OboError::Credential("the managed-identity endpoint refused or failed".to_owned())),
            Err(_) => Err(OboError::Credential("the managed-identity endpoint did not answer in time".to_owned())),
        }
    }

    fn connect(&self) -> Result<Arc<ManagedIdentityCredential>, OboError> {
        let user_assigned_id = match &self.identity {
            UserAssignedIdentity::ClientId(id) => UserAssignedId::ClientId(id.clone()),
            UserAssignedIdentity::ObjectId(id) => UserAssignedId::ObjectId(id.clone()),
        };
        // The library would make nine requests over 82 seconds on a failing endpoint.
        let client_options = ClientOptions { retry: RetryOptions::none(), ..ClientOptions::default() };
        let options = ManagedIdentityCredentialOptions { user_assigned_id: Some(user_assigned_id), client_options };
        ManagedIdentityCredential::new(Some(options))
            .map_err(|_| OboError::Credential("this host offers no managed identity".to_owned()))
    }
}

/// The audience a federated credential expects, by cloud (workload-identity-federation-config-app-trust-managed-identity).
fn exchange_scope(authority: &str) -> &'static str {
    if authority.ends_with("login.microsoftonline.us") {
        "api://AzureADTokenExchangeUSGov/.default"
    } else if authority.ends_with("login.partner.microsoftonline.cn") || authority.ends_with("login.chinacloudapi.cn") {
        "api://AzureADTokenExchangeChina/.default"
    } else {
        "api://AzureADTokenExchange/.default"
    }
}

/// A form field's value, for the wire only.
pub(super) fn wire_value<'a>(field: &'a (&'static str, SecretString)) -> (&'static str, &'a str) {
    (field.0, field.1.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_has_its_own_exchange_audience() {
        assert_eq!(exchange_scope("https://login.microsoftonline.com"), "api://AzureADTokenExchange/.default");
        assert_eq!(exchange_scope("https://login.microsoftonline.us"), "api://AzureADTokenExchangeUSGov/.default");
        assert_eq!(exchange_scope("https://login.chinacloudapi.cn"), "api://AzureADTokenExchangeChina/.default");
    }
}
