//! The strict look at a compact token before anything is believed: shape, encoding, header.
//!
//! jsonwebtoken would accept `crit`, any `typ` and more (RFC 8725 lists what that has cost others), so all of that is decided here,
//! before a key is even looked up.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer as _, MapAccess, Visitor,
};

use super::claims::AccessTokenClaims;
use super::error::TokenFault;

/// The longest key identifier. Entra's have 27 characters.
const MAX_KID_CHARS: usize = 128;

/// Room for the names of most tokens' claims.
const USUAL_MEMBERS: usize = 24;

/// Signature lengths of RSA keys with 2048 to 4096 bits, in bytes.
const SIGNATURE_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

/// A compact JWS whose shape and header are acceptable. Nothing in it is verified yet.
#[derive(Debug)]
pub(crate) struct UnverifiedJws<'a> {
    /// What is signed: header and claims as they were sent (RFC 7515 §2, "JWS Signing Input").
    pub(crate) signing_input: &'a [u8],
    /// The signature's bytes.
    pub(crate) unverified_signature: Vec<u8>,
    /// The key identifier the header names.
    pub(crate) unverified_kid: String,
    /// What the claims say, if they are all there and of the types that Entra gives them.
    pub(crate) unverified_claims: Result<AccessTokenClaims, TokenFault>,
}

/// Checks shape, encoding and header of a compact token.
pub(crate) fn parse(token: &str) -> Result<UnverifiedJws<'_>, TokenFault> {
    let three_parts = || {
        let (signing_input, signature) = token.rsplit_once('.')?;
        let (header, claims) = signing_input.split_once('.')?;
        (!claims.contains('.')).then_some((signing_input, header, claims, signature))
    };
    let (signing_input, header, claims, signature) = three_parts().ok_or(TokenFault::Malformed("not three parts"))?;
    let kid = acceptable_kid(read(header, || TokenFault::Header("alg, kid or typ"))?)?;
    let claims = match read(claims, || TokenFault::Claims) {
        Err(fault) if fault != TokenFault::Claims => return Err(fault),
        claims => claims,
    };
    let signature = decode(signature)?;
    if !SIGNATURE_BYTES.contains(&signature.len()) {
        return Err(TokenFault::Signature);
    }
    Ok(UnverifiedJws {
        signing_input: signing_input.as_bytes(),
        unverified_signature: signature,
        unverified_kid: kid,
        unverified_claims: claims,
    })
}

/// Base64url in its one canonical spelling: no padding, no white space, no stray bits (RFC 7515 §2, RFC 4648 §3.5).
fn decode(part: &str) -> Result<Vec<u8>, TokenFault> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed("not canonical base64url"))
}

/// What a part of the token says: a JSON object with unique member names. `otherwise`: it is one, but not of this type.
fn read<T: DeserializeOwned>(part: &str, otherwise: impl FnOnce() -> TokenFault) -> Result<T, TokenFault> {
    let text = String::from_utf8(decode(part)?).map_err(|_| TokenFault::Malformed("not UTF-8"))?;
    serde_json::from_str(&text).map(|Unique(read)| read).map_err(|_| {
        let is_object = serde_json::from_str::<Unique<IgnoredAny>>(&text).is_ok();
        if is_object { otherwise() } else { TokenFault::Malformed("not one object with unique names") }
    })
}

/// The members of a JOSE header that decide something. Whatever may only be absent is kept as its presence.
#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether a member is there at all")]
struct JoseHeader {
    alg: String,
    kid: String,
    #[serde(default, deserialize_with = "typed")]
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
    #[serde(default, deserialize_with = "present")]
    b64: bool,
    #[serde(default, deserialize_with = "present")]
    jku: bool,
    #[serde(default, deserialize_with = "present")]
    jwk: bool,
    #[serde(default, deserialize_with = "present")]
    x5u: bool,
    #[serde(default, deserialize_with = "present")]
    x5c: bool,
    #[serde(default, deserialize_with = "present")]
    cty: bool,
    #[serde(default, deserialize_with = "present")]
    enc: bool,
    #[serde(default, deserialize_with = "present")]
    zip: bool,
    #[serde(default, deserialize_with = "present")]
    nonce: bool,
}

fn acceptable_kid(header: JoseHeader) -> Result<String, TokenFault> {
    if header.alg != "RS256" {
        return Err(TokenFault::Header("alg is not RS256"));
    }
    if !header.typ.as_deref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt")) {
        return Err(TokenFault::Header("typ is not an access token's"));
    }
    // RFC 7515 §4.1.11: whoever does not know a critical member must refuse; none is known here. RFC 7797 §7: `b64`.
    if header.crit || header.b64 {
        return Err(TokenFault::Header("crit or b64"));
    }
    // RFC 8725 §3.10: key material of the sender's choice is never used; Entra sends none.
    if header.jku || header.jwk || header.x5u || header.x5c {
        return Err(TokenFault::Header("key material"));
    }
    if header.cty || header.enc || header.zip {
        return Err(TokenFault::Header("nested, encrypted or compressed"));
    }
    // Graph's tokens carry a nonce that is hashed before signing: they never verify here (access-tokens).
    if header.nonce {
        return Err(TokenFault::ForGraph);
    }
    if !is_kid(&header.kid) {
        return Err(TokenFault::Header("kid is not an identifier"));
    }
    Ok(header.kid)
}

/// Whether the text may serve as a key identifier: a map key and nothing else (RFC 8725 §3.10).
pub(crate) fn is_kid(text: &str) -> bool {
    (1..=MAX_KID_CHARS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// An optional member that, where it is present, has exactly this type: `null` is not absence.
pub(crate) fn typed<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A member whose mere presence counts, whatever its value.
pub(crate) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// What is read of a JSON object in which no member name occurs twice, escapes resolved (RFC 7515 §4, RFC 7519 §4).
struct Unique<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Unique<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object with unique member names")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Unique<T>, A::Error> {
                let mut names = Vec::with_capacity(USUAL_MEMBERS);
                let read = T::deserialize(MapAccessDeserializer::new(Noted { members, names: &mut names }))?;
                names.sort_unstable();
                if names.windows(2).any(|pair| matches!(pair, [one, next] if one == next)) {
                    return Err(de::Error::custom("a member name occurs twice"));
                }
                Ok(Unique(read))
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// Members whose names are noted as they are read.
struct Noted<'de, 'a, A> {
    members: A,
    names: &'a mut Vec<Cow<'de, str>>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Noted<'de, '_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some(Name(name)) = self.members.next_key()? else { return Ok(None) };
        let key = seed.deserialize(name.as_ref().into_deserializer())?;
        self.names.push(name);
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.members.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(json: &str) -> Result<String, TokenFault> {
        acceptable_kid(read(&URL_SAFE_NO_PAD.encode(json), || TokenFault::Header("alg, kid or typ"))?)
    }

    #[test]
    fn entras_header_is_accepted() {
        assert_eq!(header(r#"{"typ":"JWT","alg":"RS256","kid":"k-1_A"}"#).unwrap(), "k-1_A");
        assert_eq!(header(r#"{"alg":"RS256","kid":"k","typ":"AT+jwt","x5t":"k","other":[1]}"#).unwrap(), "k");
    }

    #[test]
    fn a_member_name_may_not_occur_twice_even_escaped() {
        assert!(serde_json::from_str::<Unique<IgnoredAny>>(r#"{"a":1,"b":[{"a":2,"a":3}]}"#).is_ok());
        assert!(serde_json::from_str::<Unique<IgnoredAny>>(r#"{"a":1,"a":1}"#).is_err());
        assert!(serde_json::from_str::<Unique<IgnoredAny>>(r#"{"a":1,"\u0061":1}"#).is_err());
        assert!(serde_json::from_str::<Unique<IgnoredAny>>(r#"["a"]"#).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,300}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_bytes_in_a_part_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let part = URL_SAFE_NO_PAD.encode(&bytes);
            let _ = parse(&format!("{part}.{part}.{part}"));
        }
    }
}
