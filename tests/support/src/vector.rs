//! Hostile and odd tokens as data: one change in a valid whole, its source, and the answer it must get.
//!
//! In every string of a row `{{tid}}`, `{{cid}}` (our client id), `{{iss}}`, `{{kid}}`, `{{mcp}}` (the MCP URL) and
//! `{{token}}` (a valid token, in header rows) are filled in, `{{x*1000}}` is written out as a thousand times `x`, and
//! `{"$now": n}` becomes the present time plus n seconds.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::keys::Signing;
use crate::token::TokenBuilder;
use crate::{base64url, sentinel, unix_now};

/// One row of `vectors/tokens*.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenVector {
    /// What is odd about the token; unique.
    pub name: String,
    /// Where the rule stands: an RFC section, a CVE, a Microsoft page.
    pub source: String,
    /// The answer `POST /mcp` must give: `200`, `401 invalid_token`, `403 insufficient_scope`, …
    pub expect: String,
    /// Header members to set.
    #[serde(default)]
    pub header: Map<String, Value>,
    /// Header members to remove.
    #[serde(default)]
    pub drop_header: Vec<String>,
    /// Raw JSON text inserted before the header's closing brace (for duplicate members).
    #[serde(default)]
    pub header_append: String,
    /// Raw JSON text inserted after the header's opening brace.
    #[serde(default)]
    pub header_prepend: String,
    /// The whole header as raw text.
    #[serde(default)]
    pub header_text: Option<String>,
    /// Claims to set.
    #[serde(default)]
    pub claims: Map<String, Value>,
    /// Claims to remove.
    #[serde(default)]
    pub drop_claims: Vec<String>,
    /// Raw JSON text inserted before the claims' closing brace.
    #[serde(default)]
    pub claims_append: String,
    /// Raw JSON text inserted after the claims' opening brace.
    #[serde(default)]
    pub claims_prepend: String,
    /// The whole claims set as raw text.
    #[serde(default)]
    pub claims_text: Option<String>,
    /// How to sign; `rs256` where absent.
    #[serde(default)]
    pub sign: Option<String>,
    /// Changes of the finished compact token, in order.
    #[serde(default)]
    pub compact: Vec<CompactEdit>,
}

/// A change of the finished compact token.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CompactEdit {
    /// Text put before the token.
    Prepend(String),
    /// Text put after the token.
    Append(String),
    /// Text put after part n (0 header, 1 claims, 2 signature).
    AppendToPart(usize, String),
    /// Part n replaced by this text.
    ReplacePart(usize, String),
    /// Part n replaced by the base64url form of this text.
    EncodePart(usize, String),
    /// Part n removed, with its dot.
    RemovePart(usize),
    /// The last character of part n replaced by the next of the alphabet: other padding bits, same bytes.
    NonCanonicalPart(usize),
    /// The first n characters kept.
    Truncate(usize),
    /// Character n of the signature part replaced by another of the alphabet.
    FlipSignature(usize),
    /// `+` and `/` instead of `-` and `_` everywhere.
    StandardAlphabet,
    /// The whole token replaced.
    Whole(String),
    /// The text repeated n times, put after the token.
    Repeat(String, usize),
}

/// What the placeholders of a row stand for.
#[derive(Clone, Debug)]
pub struct Placeholders(BTreeMap<&'static str, String>);

impl Placeholders {
    /// The names and what they stand for, e.g. `("tid", …)`.
    #[must_use]
    pub fn new(pairs: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// `text` with every placeholder filled in.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        let filled =
            self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value));
        repeat(&filled)
    }

    /// `value` with every placeholder in every string filled in, and every `$now` turned into a time.
    #[must_use]
    pub fn fill_value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill(text)),
            Value::Array(items) => items.iter().map(|item| self.fill_value(item)).collect(),
            Value::Object(members) => match members.get("$now").and_then(Value::as_i64) {
                Some(offset) if members.len() == 1 => Value::from(unix_now() + offset),
                _ => members.iter().map(|(name, member)| (self.fill(name), self.fill_value(member))).collect(),
            },
            other => other.clone(),
        }
    }
}

/// `text` with each `{{part*count}}` written out, so that large values stay small in the files.
fn repeat(text: &str) -> String {
    let Some((before, rest)) = text.split_once("{{") else { return text.to_owned() };
    let Some((inside, after)) = rest.split_once("}}") else { return text.to_owned() };
    let repeated = inside.rsplit_once('*').and_then(|(part, count)| Some(part.repeat(count.parse().ok()?)));
    format!("{before}{}{}", repeated.unwrap_or_else(|| format!("{{{{{inside}}}}}")), repeat(after))
}

impl TokenVector {
    /// The row's token: `valid` with this row's one change.
    #[must_use]
    pub fn build(&self, valid: &TokenBuilder, placeholders: &Placeholders) -> String {
        let mut token = valid.clone();
        for (name, value) in &self.header {
            token = token.header(&placeholders.fill(name), placeholders.fill_value(value));
        }
        for name in &self.drop_header {
            token = token.without_header(name);
        }
        for (name, value) in &self.claims {
            token = token.claim(&placeholders.fill(name), placeholders.fill_value(value));
        }
        for name in &self.drop_claims {
            token = token.without_claim(name);
        }
        if let Some(text) = &self.header_text {
            token = token.header_text(placeholders.fill(text));
        }
        if let Some(text) = &self.claims_text {
            token = token.claims_text(placeholders.fill(text));
        }
        if !self.header_append.is_empty() || !self.header_prepend.is_empty() {
            let text = splice(&token.header_json(), &self.header_prepend, &self.header_append);
            token = token.header_text(placeholders.fill(&text));
        }
        if !self.claims_append.is_empty() || !self.claims_prepend.is_empty() {
            let text = splice(&token.claims_json(), &self.claims_prepend, &self.claims_append);
            token = token.claims_text(placeholders.fill(&text));
        }
        if let Some(sign) = &self.sign {
            token = token.signing(signing(sign));
        }
        let compact = self.compact.iter().fold(token.build(), |compact, edit| edit.apply(&compact, placeholders));
        sentinel::register(&compact);
        compact
    }
}

fn splice(object: &str, prepend: &str, append: &str) -> String {
    let inner = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).expect("a JSON object");
    format!("{{{prepend}{inner}{append}}}")
}

fn signing(name: &str) -> Signing {
    match name {
        "rs256" => Signing::Rs256,
        "rs384" => Signing::Rs384,
        "rs512" => Signing::Rs512,
        "ps256" => Signing::Ps256,
        "ps384" => Signing::Ps384,
        "ps512" => Signing::Ps512,
        "es256" => Signing::Es256,
        "eddsa" => Signing::EdDsa,
        "hs256_public_pem" => Signing::Hs256PublicPem,
        "hs256_public_der" => Signing::Hs256PublicDer,
        "hs256_modulus" => Signing::Hs256Modulus,
        "hs256_empty" => Signing::Hs256Empty,
        "other_key" => Signing::Rs256OtherKey,
        "none" => Signing::None,
        "zeros" => Signing::Zeros,
        "ones" => Signing::Ones,
        "random" => Signing::Random,
        other => panic!("no such way of signing: {other}"),
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn next_of_alphabet(character: u8) -> char {
    let position = ALPHABET.iter().position(|&known| known == character).expect("a base64url character");
    char::from(ALPHABET[(position + 1) % ALPHABET.len()])
}

impl CompactEdit {
    fn apply(&self, compact: &str, placeholders: &Placeholders) -> String {
        let mut parts: Vec<String> = compact.split('.').map(str::to_owned).collect();
        match self {
            Self::Prepend(text) => return format!("{}{compact}", placeholders.fill(text)),
            Self::Append(text) => return format!("{compact}{}", placeholders.fill(text)),
            Self::Whole(text) => return placeholders.fill(text),
            Self::Repeat(text, times) => return format!("{compact}{}", text.repeat(*times)),
            Self::Truncate(length) => return compact.chars().take(*length).collect(),
            Self::StandardAlphabet => return compact.replace('-', "+").replace('_', "/"),
            Self::AppendToPart(part, text) => parts[*part].push_str(text),
            Self::ReplacePart(part, text) => parts[*part] = placeholders.fill(text),
            Self::EncodePart(part, text) => parts[*part] = base64url(placeholders.fill(text)),
            Self::RemovePart(part) => {
                parts.remove(*part);
            }
            Self::NonCanonicalPart(part) => {
                let last = parts[*part].pop().expect("a part that is not empty");
                let last = u8::try_from(last).expect("ASCII");
                parts[*part].push(next_of_alphabet(last));
            }
            Self::FlipSignature(at) => {
                let mut bytes: Vec<char> = parts[2].chars().collect();
                bytes[*at] = next_of_alphabet(u8::try_from(bytes[*at]).expect("ASCII"));
                parts[2] = bytes.into_iter().collect();
            }
        }
        parts.join(".")
    }
}

/// One row of `vectors/requests.json`: how a (valid) token may and may not travel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestVector {
    /// What is odd about the request; unique.
    pub name: String,
    /// Where the rule stands.
    pub source: String,
    /// The answer it must get.
    pub expect: String,
    /// `POST` where absent.
    #[serde(default)]
    pub method: Option<String>,
    /// `/mcp` where absent; may carry a query.
    #[serde(default)]
    pub target: Option<String>,
    /// Header fields, in order; names may repeat. Values may hold any byte as `\u0080`..`\u00ff`.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body; a `tools/list` request where absent.
    #[serde(default)]
    pub body: Option<String>,
}

/// One row of `vectors/keysets.json`: what the key endpoint may answer, and what then happens to a good token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySetVector {
    /// What is odd about the key set; unique.
    pub name: String,
    /// Where the rule stands.
    pub source: String,
    /// The answer a good token then gets: `200`, `401 invalid_token` or `503`.
    pub expect: String,
    /// The document. `"$good"` stands for the good key's JWK, `{"$good": {…}}` for that JWK with members replaced
    /// (`null` removes one; `{"$null": true}` sets one to null), `"$weak"` for a 1024-bit modulus in place of `n`.
    #[serde(default)]
    pub jwks: Option<Value>,
    /// The document as raw text instead; `{{good}}` stands for the good key's JWK.
    #[serde(default)]
    pub text: Option<String>,
    /// The answer's status; 200 where absent.
    #[serde(default)]
    pub status: Option<u16>,
    /// Header fields of the answer.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Members to replace in the discovery document, instead of or beside the key set.
    #[serde(default)]
    pub discovery: Map<String, Value>,
}

impl KeySetVector {
    /// The text the key endpoint answers with.
    #[must_use]
    pub fn document(&self, good: &Value, placeholders: &Placeholders) -> String {
        if let Some(text) = &self.text {
            return placeholders.fill(&text.replace("{{good}}", &good.to_string()));
        }
        let document = self.jwks.as_ref().map_or_else(
            || serde_json::json!({ "keys": [good] }),
            |jwks| fill_good(&placeholders.fill_value(jwks), good),
        );
        document.to_string()
    }
}

fn fill_good(value: &Value, good: &Value) -> Value {
    match value {
        Value::String(text) if text == "$good" => good.clone(),
        Value::Object(members) if members.len() == 1 && members.contains_key("$good") => {
            let mut jwk = good.as_object().cloned().unwrap_or_default();
            for (name, member) in members["$good"].as_object().expect("$good takes an object") {
                match member {
                    Value::Null => {
                        jwk.remove(name);
                    }
                    Value::Object(inner) if inner.contains_key("$null") => {
                        jwk.insert(name.clone(), Value::Null);
                    }
                    Value::Object(inner) if inner.contains_key("$repeat") => {
                        let text = inner["$repeat"][0].as_str().expect("a text");
                        let times = inner["$repeat"][1].as_u64().expect("a count");
                        let times = usize::try_from(times).expect("a small count");
                        jwk.insert(name.clone(), Value::String(text.repeat(times)));
                    }
                    other => {
                        jwk.insert(name.clone(), other.clone());
                    }
                }
            }
            Value::Object(jwk)
        }
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), fill_good(member, good))).collect()
        }
        Value::Array(items) => items.iter().map(|item| fill_good(item, good)).collect(),
        other => other.clone(),
    }
}
