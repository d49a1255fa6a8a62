//! How this process proves to the token endpoint that it is the application.

mod certificate;
mod federation;
mod managed_identity;
mod token_file;

use secrecy::{ExposeSecret, SecretString};

use self::certificate::Certificate;
pub(crate) use self::federation::Federation;
use self::managed_identity::ManagedIdentity;
use self::token_file::TokenFile;
use super::error::OboError;
use crate::config::{Config, CredentialConfig};

/// RFC 7521 §4.2: the assertion is a JWT.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client secret, or something that yields a client assertion.
#[derive(Debug)]
pub(super) enum ClientCredential {
    Secret(SecretString),
    ManagedIdentity(ManagedIdentity),
    TokenFile(TokenFile),
    Certificate(Certificate),
}

impl ClientCredential {
    pub(super) fn new(config: &Config) -> Self {
        match &config.credential {
            CredentialConfig::Secret(secret) => Self::Secret(secret.clone()),
            CredentialConfig::ManagedIdentity(identity) => {
                Self::ManagedIdentity(ManagedIdentity::new(identity.clone(), &config.authority))
            }
            CredentialConfig::TokenFile(path) => Self::TokenFile(TokenFile::new(path.clone())),
            CredentialConfig::Certificate(path) => {
                Self::Certificate(Certificate::new(path.clone(), config.client_id.clone(), config.token_endpoint()))
            }
        }
    }

    /// The form fields that authenticate the client (RFC 6749 §2.3.1, RFC 7521 §4.2).
    pub(super) async fn form_fields(&self) -> Result<Vec<(&'static str, SecretString)>, OboError> {
        let assertion = match self {
            Self::Secret(secret) => return Ok(vec![("client_secret", secret.clone())]),
            Self::ManagedIdentity(identity) => identity.token().await?,
            Self::TokenFile(file) => file.assertion().await?,
            Self::Certificate(certificate) => certificate.assertion()?,
        };
        Ok(vec![("client_assertion_type", SecretString::from(ASSERTION_TYPE)), ("client_assertion", assertion)])
    }

    /// Whether somebody has to be asked for the proof, so that it pays to ask ahead.
    pub(super) fn is_fetched(&self) -> bool {
        match self {
            Self::ManagedIdentity(_) => true,
            Self::Secret(_) | Self::TokenFile(_) | Self::Certificate(_) => false,
        }
    }

    /// Gives up what is cached, so that the next proof is new. Whether that can change anything.
    pub(super) fn renew(&self) -> bool {
        match self {
            Self::ManagedIdentity(identity) => {
                identity.forget();
                true
            }
            Self::Secret(_) | Self::TokenFile(_) | Self::Certificate(_) => false,
        }
    }

    /// What the application must trust for somebody else's token to be accepted, as far as it is known.
    pub(super) fn federation(&self) -> Option<Federation> {
        match self {
            Self::ManagedIdentity(identity) => identity.federation(),
            Self::TokenFile(file) => file.federation(),
            Self::Secret(_) | Self::Certificate(_) => None,
        }
    }
}

/// A form field's value, for the wire only.
pub(super) fn wire_value<'a>(field: &'a (&'static str, SecretString)) -> (&'static str, &'a str) {
    (field.0, field.1.expose_secret())
}
