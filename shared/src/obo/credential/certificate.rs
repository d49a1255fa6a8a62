//! A client certificate: signs the client assertion here (certificate-credentials). For developers' machines and for hosts
//! without managed identity.

use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PSS_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use once_cell::sync::OnceCell;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::digest;
use crate::moment::Moment;
use crate::obo::error::OboError;

/// How long an assertion is good for, in seconds: Microsoft recommends five to ten minutes.
const LIFETIME: u64 = 300;

/// A certificate with its private key, read from one PEM file when it is first used.
#[derive(Debug)]
pub(in crate::obo) struct Certificate {
    path: PathBuf,
    client_id: String,
    token_endpoint: String,
    loaded: OnceCell<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    key: RsaKeyPair,
    /// SHA-256 of the certificate's DER form, base64url.
    thumbprint: String,
}

impl Certificate {
    pub(super) fn new(path: PathBuf, client_id: String, token_endpoint: String) -> Self {
        Self { path, client_id, token_endpoint, loaded: OnceCell::new() }
    }

    /// A new assertion: PS256, named by the certificate's SHA-256 thumbprint.
    pub(super) fn assertion(&self) -> Result<SecretString, OboError> {
        let Loaded { key, thumbprint } = self.loaded.get_or_try_init(|| load(&self.path))?;
        let now = Moment::now().unix_seconds();
        let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint });
        let claims = json!({
            "aud": self.token_endpoint,
            "iss": self.client_id,
            "sub": self.client_id,
            "jti": Uuid::new_v4().to_string(),
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME,
        });
        let input = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature)
            .map_err(|_| OboError::Credential("the certificate's key cannot sign".to_owned()))?;
        Ok(SecretString::from(format!("{input}.{}", encode(signature))))
    }
}

fn load(path: &Path) -> Result<Loaded, OboError> {
    let fault = |problem: &str| OboError::Credential(format!("CLIENT_CERTIFICATE_PATH: {problem}"));
    let pem = std::fs::read(path).map_err(|_| fault("the file cannot be read"))?;
    let certificate = CertificateDer::from_pem_slice(&pem).map_err(|_| fault("holds no certificate in PEM form"))?;
    let key = PrivatePkcs8KeyDer::from_pem_slice(&pem)
        .map_err(|_| fault("holds no private key in PKCS#8 PEM form (BEGIN PRIVATE KEY)"))?;
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der())
        .map_err(|_| fault("the private key is no RSA key of 2048 bits or more"))?;
    Ok(Loaded { key, thumbprint: encode(digest::of(&certificate)) })
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
