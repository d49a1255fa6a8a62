//! How this process proves to the token endpoint that it is the application.

mod managed_identity;

use secrecy::{ExposeSecret, SecretString};

pub(super) use self::managed_identity::Federation;
use self::managed_identity::ManagedIdentity;
use super::error::OboError;
use crate::config::{Config, CredentialConfig};

/// RFC 7521 §4.2: the assertion is a JWT.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client secret, or a managed identity whose token is the client assertion.
#[derive(Debug)]
pub(super) enum ClientCredential {
    Secret(SecretString),
    ManagedIdentity(ManagedIdentity),
}

impl ClientCredential {
    pub(super) fn new(config: &Config) -> Self {
        match &config.credential {
            CredentialConfig::Secret(secret) => Self::Secret(secret.clone()),
            CredentialConfig::ManagedIdentity(identity) => {
                Self::ManagedIdentity(ManagedIdentity::new(identity.clone(), &config.authority))
            }
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

    /// Gives up what is cached, so that the next proof is new. Whether that can change anything.
    pub(super) fn renew(&self) -> bool {
        match self {
            Self::Secret(_) => false,
            Self::ManagedIdentity(identity) => {
                identity.forget();
                true
            }
        }
    }

    /// What the application must trust for this credential to be accepted; nothing for a secret.
    pub(super) fn federation(&self) -> Option<Federation> {
        match self {
            Self::Secret(_) => None,
            Self::ManagedIdentity(identity) => identity.federation(),
        }
    }
}

/// A form field's value, for the wire only.
pub(super) fn wire_value<'a>(field: &'a (&'static str, SecretString)) -> (&'static str, &'a str) {
    (field.0, field.1.expose_secret())
}
