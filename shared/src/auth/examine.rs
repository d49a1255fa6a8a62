//! Every check a token goes through, one row each, for `handler doctor --token`: where [`TokenVerifier::authenticate`]
//! stops at the first fault, this goes on and names them all.
//!
//! What a row shows is taken from a token that nobody has verified: printable characters only, cut short, and never
//! anything that names a person.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::bearer::BearerToken;
use super::claims::{AccessTokenClaims, is_guid};
use super::error::{AuthError, TokenFault};
use super::jwks::{JwksCache, VerificationKey};
use super::jws::{self, UnverifiedJws, present};
use super::verifier::{self, TokenVerifier};
use crate::moment::Moment;

/// Claims that Entra sends only if the app registration asks for them (optional-claims-reference), and what each is for.
const OPTIONAL_CLAIMS: [(&str, &str); 3] = [
    ("idtyp", "tells users from applications"),
    ("xms_cc", "tells whether the client can answer a claims challenge"),
    ("acct", "tells guests from members"),
];

/// One check.
#[derive(Clone, Debug)]
pub struct Row {
    /// The claim or the part that is checked: `token.aud` and so on.
    pub check: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// What was seen, printable, without a person's data; empty where the fault says it all.
    pub seen: String,
}

/// How a check went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it must be.
    Passed,
    /// The token is refused for this.
    Refused(TokenFault),
    /// Nothing that refuses the token, but worth knowing.
    Noted,
    /// Could not be looked at: something before it failed, or there are no keys.
    Skipped,
}

impl TokenVerifier {
    /// Walks all checks. Without `jwks` nothing is fetched and the signature is not looked at.
    pub async fn examine(&self, token: &BearerToken<'_>, jwks: Option<&'static JwksCache>, now: Moment) -> Vec<Row> {
        let mut rows = Vec::new();
        let parsed = jws::parse(token.expose());
        rows.extend(shape(parsed.as_ref().err()));
        match (&parsed, jwks) {
            (Ok(unverified), Some(jwks)) => {
                let key = jwks.key(&unverified.unverified_kid, now, || true).await;
                rows.extend(signature(unverified, key.as_deref()));
            }
            _ => rows.extend(["token.key", "token.signature"].map(|check| skipped(check, "not looked at"))),
        }
        match unverified_claims(token.expose()) {
            Some(document) => self.examine_claims(&document, now, &mut rows),
            None => rows.push(skipped("token.claims", "not readable")),
        }
        rows
    }

    fn examine_claims(&self, document: &str, now: Moment, rows: &mut Vec<Row>) {
        let Ok(claims) = serde_json::from_str::<AccessTokenClaims>(document) else {
            rows.push(refused("token.claims", TokenFault::Claims, odd_claims(document)));
            return;
        };
        rows.push(passed("token.claims", "all that are needed, each of its type".to_owned()));
        let version = self.check_issuer(&claims);
        rows.push(judged("token.iss", version.as_ref().err(), shown(&claims.iss)));
        rows.push(judged("token.tid", self.check_tenant(&claims).err().as_ref(), shown(&claims.tid)));
        if let Ok(version) = version {
            let fits = verifier::check_version(&claims, version);
            rows.push(judged("token.ver", fits.err().as_ref(), shown(&claims.ver)));
            rows.push(judged("token.aud", self.check_audience(&claims, version).err().as_ref(), shown(&claims.aud)));
        } else {
            rows.push(skipped("token.ver", &shown(&claims.ver)));
            rows.push(skipped("token.aud", &shown(&claims.aud)));
        }
        let (exp, nbf) = (distance(claims.exp, now), distance(claims.nbf, now));
        rows.push(judged("token.exp", verifier::is_past(claims.exp, now).then_some(&TokenFault::Expired), exp));
        let early = TokenFault::Times("not valid yet");
        rows.push(judged("token.nbf", (!verifier::is_reached(claims.nbf, now)).then_some(&early), nbf));
        let life = format!("{} min of life", claims.exp.saturating_sub(claims.iat) / 60);
        rows.push(judged("token.iat", verifier::check_times(&claims, now).err().as_ref(), life));
        let object = is_guid(&claims.oid);
        rows.push(judged("token.oid", (!object).then_some(&TokenFault::ObjectId), said("a GUID", "no GUID", object)));
        rows.push(judged(
            "token.cnf",
            claims.cnf.then_some(&TokenFault::KeyBound),
            said("bound", "not bound", claims.cnf),
        ));
        let client = verifier::client_of(&claims);
        let name = client.map_or_else(|| "no client is named".to_owned(), shown);
        rows.push(judged("token.azp", self.check_client(client).err().as_ref(), name));
        let (scp, roles) = (claims.scp.as_deref(), claims.roles.clone());
        let names = format!("scp {}, roles {}", shown(scp.unwrap_or("none")), list(roles.as_deref()));
        let permissions = verifier::permissions(scp, roles, claims.idtyp.as_deref());
        rows.push(judged("token.permissions", permissions.err().as_ref(), names));
        rows.extend(optional(document));
    }
}

/// Shape and header: [`jws::parse`] knows both.
fn shape(fault: Option<&TokenFault>) -> [Row; 2] {
    let (shape, header) = ("three parts in canonical base64url", "RS256, a kid, nothing that changes the meaning");
    match fault {
        None => [passed("token.shape", shape.to_owned()), passed("token.header", header.to_owned())],
        Some(fault @ (TokenFault::Header(_) | TokenFault::ForGraph)) => {
            [passed("token.shape", shape.to_owned()), refused("token.header", *fault, String::new())]
        }
        Some(fault) => [refused("token.shape", *fault, String::new()), skipped("token.header", "not looked at")],
    }
}

fn signature(unverified: &UnverifiedJws<'_>, key: Result<&VerificationKey, &AuthError>) -> [Row; 2] {
    let kid = shown(&unverified.unverified_kid);
    match key {
        Ok(key) => {
            let fault = (!verifier::is_signed(unverified, key)).then_some(&TokenFault::Signature);
            let fits = said("fits the key", "does not fit the key", fault.is_none());
            [passed("token.key", kid), judged("token.signature", fault, fits)]
        }
        Err(AuthError::InvalidToken(fault)) => {
            [refused("token.key", *fault, kid), skipped("token.signature", "no key to check with")]
        }
        Err(_) => [skipped("token.key", "no keys at hand"), skipped("token.signature", "no key to check with")],
    }
}

/// Whether each of [`OPTIONAL_CLAIMS`] is there.
#[derive(Default, Deserialize)]
struct OptionalClaims {
    #[serde(default, deserialize_with = "present")]
    idtyp: bool,
    #[serde(default, deserialize_with = "present")]
    xms_cc: bool,
    #[serde(default, deserialize_with = "present")]
    acct: bool,
}

/// Claims of which none is read.
#[derive(Deserialize)]
struct AnyClaims {}

fn unverified_claims(token: &str) -> Option<String> {
    let text = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    String::from_utf8(text).ok().filter(|text| serde_json::from_str::<AnyClaims>(text).is_ok())
}

/// What a claim looks like. Not a `Value`: see [`super::claims::ClientCapabilities`].
#[derive(Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "which one it is is all that counts")]
enum Shape {
    Time(u64),
    Text(String),
    Texts(Vec<String>),
    Other(IgnoredAny),
}

/// Which claims are missing or of another type than Entra gives them.
fn odd_claims(document: &str) -> String {
    let Ok(document) = serde_json::from_str::<HashMap<String, Shape>>(document) else {
        return "not readable as a whole".to_owned();
    };
    let is_text = |name: &&str| matches!(document.get(*name), Some(Shape::Text(_)));
    let is_time = |name: &&str| matches!(document.get(*name), Some(Shape::Time(_)));
    let mut odd: Vec<&str> = ["iss", "aud", "tid", "ver", "oid"].into_iter().filter(|name| !is_text(name)).collect();
    odd.extend(["exp", "nbf", "iat"].into_iter().filter(|name| !is_time(name)));
    let optional = ["scp", "idtyp", "azp", "appid", "uti"];
    odd.extend(optional.into_iter().filter(|name| document.contains_key(*name) && !is_text(name)));
    if document.get("roles").is_some_and(|roles| !matches!(roles, Shape::Texts(_))) {
        odd.push("roles");
    }
    if odd.is_empty() { "a member name occurs twice".to_owned() } else { format!("missing or odd: {}", odd.join(", ")) }
}

/// The optional claims that the registration does not ask for.
fn optional(document: &str) -> Option<Row> {
    let present: OptionalClaims = serde_json::from_str(document).unwrap_or_default();
    let present = [present.idtyp, present.xms_cc, present.acct];
    let missing: Vec<String> = OPTIONAL_CLAIMS
        .iter()
        .zip(present)
        .filter(|(_, present)| !present)
        .map(|(claim, _)| claim)
        .map(|(name, what)| format!("{name} ({what})"))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let seen = format!("not in this token: {}", missing.join(", "));
    Some(Row { check: "token.optional-claims", outcome: Outcome::Noted, seen })
}

/// How far a time is from now, in words.
fn distance(time: u64, now: Moment) -> String {
    let now = now.unix_seconds();
    match time.abs_diff(now) {
        0..60 => "now".to_owned(),
        off if time > now => format!("{} min ahead", off / 60),
        off => format!("{} min ago", off / 60),
    }
}

fn said(yes: &str, no: &str, which: bool) -> String {
    if which { yes.to_owned() } else { no.to_owned() }
}

fn list(roles: Option<&[String]>) -> String {
    match roles {
        None | Some([]) => "none".to_owned(),
        Some(roles) => shown(&roles.join(" ")),
    }
}

/// Text of a stranger's, fit for a terminal: printable ASCII, 120 characters at most.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 120;
    let clean = |character: char| if character.is_ascii_graphic() || character == ' ' { character } else { '?' };
    let mut shown: String = text.chars().take(MOST).map(clean).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

fn passed(check: &'static str, seen: String) -> Row {
    Row { check, outcome: Outcome::Passed, seen }
}

fn refused(check: &'static str, fault: TokenFault, seen: String) -> Row {
    Row { check, outcome: Outcome::Refused(fault), seen }
}

fn skipped(check: &'static str, seen: &str) -> Row {
    Row { check, outcome: Outcome::Skipped, seen: seen.to_owned() }
}

fn judged(check: &'static str, fault: Option<&TokenFault>, seen: String) -> Row {
    match fault {
        None => passed(check, seen),
        Some(fault) => refused(check, *fault, seen),
    }
}
