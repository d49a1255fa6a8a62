//! What the API application may prove itself with in place of its secret: a federated credential
//! (workload-identity-federation-config-app-trust-managed-identity) and certificates (certificate-credentials).

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256};
use serde::Deserialize;
use serde_json::Value;

use crate::errors::EntraError;
use crate::keys::{Jws, KeyRing};
use crate::tenant::{API_CLIENT_ID, IDENTITY_PRINCIPAL_ID, TOKEN_EXCHANGE_APP_ID, TOKEN_EXCHANGE_URI};

/// The API application's registered credentials, its secret apart.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    federated: Option<FederatedCredential>,
    certificates: Vec<Certificate>,
}

/// Whose tokens the application accepts as its own proof.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FederatedCredential {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) audience: String,
}

/// A certificate of which only what is checked here was uploaded.
#[derive(Clone, Debug)]
struct Certificate {
    public_key_der: Vec<u8>,
    x5t_s256: String,
}

/// What an assertion is held against.
#[derive(Clone, Copy)]
pub(crate) struct Verifier<'a> {
    pub(crate) keys: &'a KeyRing,
    pub(crate) issuer: &'a str,
    pub(crate) token_endpoint: &'a str,
    pub(crate) now: i64,
}

impl Credentials {
    /// The managed identity is trusted, no certificate is registered.
    pub(crate) fn new(issuer: &str) -> Self {
        let federated = FederatedCredential {
            issuer: issuer.to_owned(),
            subject: IDENTITY_PRINCIPAL_ID.to_owned(),
            audience: TOKEN_EXCHANGE_URI.to_owned(),
        };
        Self { federated: Some(federated), certificates: Vec::new() }
    }

    /// Replaces the federated credential.
    pub(crate) fn federate(&mut self, federated: Option<FederatedCredential>) {
        self.federated = federated;
    }

    pub(crate) fn add_certificate(&mut self, public_key_der: &[u8], x5t_s256: &str) {
        let certificate = Certificate { public_key_der: public_key_der.to_vec(), x5t_s256: x5t_s256.to_owned() };
        self.certificates.push(certificate);
    }

    /// Whether `assertion` proves the API application. An issuer that is no address is a client which signed itself.
    pub(crate) fn prove(&self, assertion: &str, verifier: Verifier<'_>) -> Result<(), EntraError> {
        let malformed = || EntraError::new("invalid_request", 50_027, "JWT token is invalid or malformed.");
        let jws = Jws::parse(assertion).ok_or_else(malformed)?;
        let (Some(issuer), Some(subject)) = (jws.claim("iss"), jws.claim("sub")) else { return Err(malformed()) };
        if issuer.contains("://") {
            self.prove_federated(&jws, (issuer, subject), verifier)
        } else {
            self.prove_self_signed(&jws, (issuer, subject), verifier)
        }
    }

    /// A token of somebody else's, most often a managed identity's. Our own keys stand for every issuer's: nothing is
    /// fetched here.
    fn prove_federated(
        &self,
        jws: &Jws,
        (issuer, subject): (&str, &str),
        verifier: Verifier<'_>,
    ) -> Result<(), EntraError> {
        let audience = jws.claim("aud").unwrap_or_default();
        let Some(registered) = &self.federated else {
            return Err(no_federated_credential(issuer, subject, audience));
        };
        registered.matches(issuer, subject, audience, verifier.issuer)?;
        let kid = jws.header("kid").unwrap_or_default();
        let key = verifier.keys.key(kid).ok_or_else(|| unpublished_key(kid, issuer))?;
        if jws.header("alg") != Some("RS256") || !jws.is_signed_by(&RSA_PKCS1_2048_8192_SHA256, &key.public_der()) {
            return Err(bad_signature("The provided signature value did not match the expected signature value.", kid));
        }
        if issuer == verifier.issuer && jws.claim("scp").is_some() {
            let text = "Only app-only tokens can be used as Federated Identity Credentials for Microsoft Entra issuer.";
            return Err(EntraError::new("invalid_client", 700_229, text));
        }
        within_time(&jws.claims, verifier.now, None)
    }

    /// A token that the client signed with the key of its certificate. Entra does not look whether a `jti` comes again.
    fn prove_self_signed(
        &self,
        jws: &Jws,
        (issuer, subject): (&str, &str),
        verifier: Verifier<'_>,
    ) -> Result<(), EntraError> {
        let refuse = |code, text| Err(EntraError::new("invalid_client", code, text));
        if issuer != API_CLIENT_ID || subject != API_CLIENT_ID {
            return refuse(700_021, "Client assertion application identifier doesn't match 'client_id' parameter.");
        }
        // Entra takes RS256 and a SHA-1 thumbprint as well; here it is only what the page recommends.
        if jws.header("alg") != Some("PS256") {
            return refuse(5_002_738, "Invalid JWT token. The signature algorithm is not supported.");
        }
        let Some(thumbprint) = jws.header("x5t#S256") else {
            let text = "Invalid JWT token. No certificate thumbprint specified in token header.";
            return Err(EntraError::new("invalid_request", 50_027, text));
        };
        let certificate = self.certificates.iter().find(|certificate| certificate.x5t_s256 == thumbprint);
        let Some(certificate) = certificate else {
            return Err(bad_signature("The key was not found.", thumbprint));
        };
        if !jws.is_signed_by(&RSA_PSS_2048_8192_SHA256, &certificate.public_key_der) {
            let reason = "The provided signature value did not match the expected signature value.";
            return Err(bad_signature(reason, thumbprint));
        }
        if jws.claim("aud") != Some(verifier.token_endpoint) {
            return refuse(700_023, "Client assertion audience claim does not match Realm issuer.");
        }
        within_time(&jws.claims, verifier.now, Some(MOST_SELF_SIGNED))
    }
}

impl FederatedCredential {
    /// Entra looks for the issuer first, then for the subject, then for the audience; all three to the letter.
    fn matches(&self, issuer: &str, subject: &str, audience: &str, entra: &str) -> Result<(), EntraError> {
        let refuse = |code, which, value, more| {
            let text = format!(
                "No matching federated identity record found for presented assertion {which} '{value}'. {more}Check \
                 your federated identity credential Subject, Audience and Issuer against the presented assertion. \
                 https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
            );
            Err(EntraError::new("invalid_client", code, &text))
        };
        if self.issuer != issuer {
            return refuse(700_211, "issuer", issuer, "");
        }
        if self.subject != subject {
            return if self.subject.eq_ignore_ascii_case(subject) {
                let more =
                    "The subject matches with case-insensitive comparison, but not with case-sensitive comparison. ";
                refuse(7_002_138, "subject", subject, more)
            } else {
                refuse(700_213, "subject", subject, "")
            };
        }
        // For Entra's own tokens the credential names the exchange by its URI and the token by its application id.
        let expected = if issuer == entra { TOKEN_EXCHANGE_APP_ID } else { &self.audience };
        if issuer == entra && self.audience != TOKEN_EXCHANGE_URI {
            let text = format!(
                "The audience of a federated identity credential for tokens issued by Microsoft Entra must be \
                 '{TOKEN_EXCHANGE_URI}'."
            );
            return Err(EntraError::new("invalid_client", 700_214, &text));
        }
        if audience == expected { Ok(()) } else { refuse(700_212, "audience", audience, "") }
    }
}

/// `exp` and `nbf`, and where there is a `most`, that the assertion does not outlive it.
fn within_time(claims: &Value, now: i64, most: Option<i64>) -> Result<(), EntraError> {
    let time = |name: &str| claims.get(name).and_then(Value::as_i64);
    let (not_before, expires) = (time("nbf").unwrap_or_default(), time("exp").unwrap_or_default());
    let too_long = most.is_some_and(|most| expires - now > most);
    if expires <= now || not_before > now + SKEW || too_long {
        return Err(EntraError::client_assertion_expired(now, not_before, expires));
    }
    Ok(())
}

fn no_federated_credential(issuer: &str, subject: &str, audience: &str) -> EntraError {
    let text = format!(
        "No matching federated identity record found for presented assertion. Assertion Issuer: '{issuer}'. Assertion \
         Subject: '{subject}'. Assertion Audience: '{audience}'. \
         https://docs.microsoft.com/en-us/azure/active-directory/develop/workload-identity-federation"
    );
    EntraError::new("invalid_request", 70_021, &text)
}

fn unpublished_key(kid: &str, issuer: &str) -> EntraError {
    let text = format!(
        "The certificate with identifier {kid} used to sign the federated credential could not be found in the \
         metadata of identity provider {issuer}. Please validate that your Identity Provider's metadata exposes the \
         key used to sign the incoming token."
    );
    EntraError::new("invalid_client", 7_000_272, &text)
}

fn bad_signature(reason: &str, thumbprint: &str) -> EntraError {
    let text = format!(
        "Client assertion contains an invalid signature. [Reason - {reason}, Thumbprint of key used by client: \
         '{thumbprint}', Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys \
         for app Id '{API_CLIENT_ID}'.]"
    );
    EntraError::new("invalid_client", 700_027, &text)
}

/// Seconds that a client's clock may be ahead.
const SKEW: i64 = 300;
/// Seconds that an assertion which the client signed itself may live (certificate-credentials, "Claims").
const MOST_SELF_SIGNED: i64 = 600;
