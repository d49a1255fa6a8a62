//! RSA key pairs, their JWK form, and every way of signing that a hostile token may try.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair};
use serde_json::{Value, json};

use crate::base64url;

/// An RSA key pair under a `kid`, as an authorization server holds it.
#[derive(Debug)]
pub struct SigningKey {
    kid: String,
    pair: RsaKeyPair,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

/// How a token is signed. Only [`Signing::Rs256`] is what Entra does; the others are attacks or slips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// RSASSA-PKCS1-v1_5 with SHA-256: the one that must be accepted.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA P-256 with a key nobody published.
    Es256,
    /// Ed25519 with a key nobody published.
    EdDsa,
    /// HMAC-SHA-256 keyed with the public key's `SubjectPublicKeyInfo` in PEM form (algorithm confusion).
    Hs256PublicPem,
    /// HMAC-SHA-256 keyed with the public key's `SubjectPublicKeyInfo` in DER form.
    Hs256PublicDer,
    /// HMAC-SHA-256 keyed with the raw modulus.
    Hs256Modulus,
    /// HMAC-SHA-256 keyed with nothing.
    Hs256Empty,
    /// RS256 by another RSA key that nobody published, under this key's `kid`.
    Rs256OtherKey,
    /// No signature at all: the third part is empty.
    None,
    /// As many zero bytes as the modulus has.
    Zeros,
    /// As many 0xFF bytes as the modulus has (larger than the modulus, RFC 8017 §5.2.2).
    Ones,
    /// Random bytes of the modulus' length.
    Random,
}

impl SigningKey {
    /// A new 2048-bit key, the size Entra publishes.
    #[must_use]
    pub fn generate(kid: impl Into<String>) -> Arc<Self> {
        Self::generate_with_size(kid, KeySize::Rsa2048)
    }

    /// A new key of the given size.
    #[must_use]
    pub fn generate_with_size(kid: impl Into<String>, size: KeySize) -> Arc<Self> {
        let pair = RsaKeyPair::generate(size).expect("RSA key generation works");
        let public = pair.public_key();
        let modulus = public.modulus().big_endian_without_leading_zero().to_vec();
        let exponent = public.exponent().big_endian_without_leading_zero().to_vec();
        Arc::new(Self { kid: kid.into(), pair, modulus, exponent })
    }

    /// The key's identifier, as it stands in the token's header and in the key set.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The modulus, big-endian, without leading zeros.
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// The public half as a JWK in Entra's shape: no `alg`, `use` = `sig` and an `issuer` of Entra's own.
    #[must_use]
    pub fn jwk(&self, issuer: &str) -> Value {
        json!({
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": base64url(&self.modulus),
            "e": base64url(&self.exponent),
            "issuer": issuer,
        })
    }

    /// The `SubjectPublicKeyInfo` of the public half, in DER form.
    #[must_use]
    pub fn public_der(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der().expect("an RSA public key has a DER form");
        der.as_ref().to_vec()
    }

    /// The `SubjectPublicKeyInfo` of the public half, in PEM form.
    #[must_use]
    pub fn public_pem(&self) -> String {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(self.public_der());
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// The signature over `input`, in the asked way.
    #[must_use]
    pub fn sign(&self, signing: Signing, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let hmac_sha256 = |key: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), input).as_ref().to_vec();
        match signing {
            Signing::Rs256 => self.rsa(&signature::RSA_PKCS1_SHA256, input),
            Signing::Rs384 => self.rsa(&signature::RSA_PKCS1_SHA384, input),
            Signing::Rs512 => self.rsa(&signature::RSA_PKCS1_SHA512, input),
            Signing::Ps256 => self.rsa(&signature::RSA_PSS_SHA256, input),
            Signing::Ps384 => self.rsa(&signature::RSA_PSS_SHA384, input),
            Signing::Ps512 => self.rsa(&signature::RSA_PSS_SHA512, input),
            Signing::Es256 => {
                let pair = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).expect("EC key");
                pair.sign(&random, input).expect("EC signature").as_ref().to_vec()
            }
            Signing::EdDsa => Ed25519KeyPair::generate().expect("Ed25519 key").sign(input).as_ref().to_vec(),
            Signing::Hs256PublicPem => hmac_sha256(self.public_pem().as_bytes()),
            Signing::Hs256PublicDer => hmac_sha256(&self.public_der()),
            Signing::Hs256Modulus => hmac_sha256(&self.modulus),
            Signing::Hs256Empty => hmac_sha256(b""),
            Signing::Rs256OtherKey => Self::generate("nobody").rsa(&signature::RSA_PKCS1_SHA256, input),
            Signing::None => Vec::new(),
            Signing::Zeros => vec![0; self.modulus.len()],
            Signing::Ones => vec![0xFF; self.modulus.len()],
            Signing::Random => {
                let mut bytes = vec![0; self.modulus.len()];
                aws_lc_rs::rand::fill(&mut bytes).expect("random bytes");
                bytes
            }
        }
    }

    fn rsa(&self, padding: &'static dyn RsaEncoding, input: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(padding, &SystemRandom::new(), input, &mut signature).expect("RSA signature");
        signature
    }
}
