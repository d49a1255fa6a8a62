use serde_json::json;

use super::*;

const TENANT: &str = "aaaabbbb-0000-cccc-1111-dddd2222eeee";
const TTL: Duration = Duration::from_hours(24);

fn issuer() -> String {
    format!("https://login.microsoftonline.com/{TENANT}/v2.0")
}

fn modulus(last: u8) -> String {
    let mut bytes = vec![0xC5; 256];
    bytes[255] = last;
    support::base64url(bytes)
}

fn jwk(kid: &str, last: u8) -> Value {
    json!({ "kty": "RSA", "use": "sig", "kid": kid, "n": modulus(last), "e": "AQAB", "issuer": issuer() })
}

fn keys(entries: &[Value]) -> Vec<VerificationKey> {
    parse(json!({ "keys": entries }).to_string().as_bytes(), TENANT, &[issuer()]).unwrap()
}

#[test]
fn a_fetch_that_lacks_a_live_key_does_not_lose_it() {
    let start = Moment::now();
    let (set, _) = KeySet::default().merged(keys(&[jwk("a", 1), jwk("b", 3)]), start, TTL);
    let later = start.plus(Duration::from_hours(1));
    let (set, _) = set.merged(keys(&[jwk("b", 3)]), later, TTL);
    assert!(set.lookup("a", later, TTL).is_some());
    assert_eq!(set.usable(later, TTL), 2);
}

#[test]
fn a_key_not_seen_for_its_lifetime_is_gone() {
    let start = Moment::now();
    let (set, _) = KeySet::default().merged(keys(&[jwk("a", 1), jwk("b", 3)]), start, TTL);
    let (set, _) = set.merged(keys(&[jwk("b", 3)]), start.plus(Duration::from_hours(23)), TTL);
    let end = start.plus(TTL);
    assert!(set.lookup("a", end, TTL).is_none());
    assert!(set.lookup("b", end, TTL).is_some());
    let (set, _) = set.merged(keys(&[jwk("b", 3)]), end, TTL);
    assert_eq!(set.known.len(), 1);
}

#[test]
fn without_any_fetch_all_keys_serve_for_their_lifetime_and_no_longer() {
    let start = Moment::now();
    let (set, _) = KeySet::default().merged(keys(&[jwk("a", 1)]), start, TTL);
    assert_eq!(set.usable(start.plus(TTL.mul_f64(0.999)), TTL), 1);
    assert_eq!(set.usable(start.plus(TTL), TTL), 0);
}

#[test]
fn a_key_that_changes_under_its_name_is_replaced_and_reported() {
    let start = Moment::now();
    let (set, _) = KeySet::default().merged(keys(&[jwk("a", 1)]), start, TTL);
    let (set, merge) = set.merged(keys(&[jwk("a", 3)]), start, TTL);
    assert_eq!(merge.replaced, ["a"]);
    assert_eq!(set.usable(start, TTL), 1);
}

#[test]
fn an_odd_key_never_costs_the_set() {
    let odd = [
        Value::Null,
        json!("text"),
        json!({ "kty": "EC", "kid": "x" }),
        json!({ "kty": "RSA", "kid": 5, "n": modulus(1), "e": "AQAB", "issuer": issuer() }),
        json!({ "kty": "RSA", "use": 1, "kid": "x", "n": modulus(1), "e": "AQAB", "issuer": issuer() }),
        json!({ "kty": "RSA", "key_ops": "verify", "kid": "x", "n": modulus(1), "e": "AQAB", "issuer": issuer() }),
    ];
    for entry in odd {
        assert_eq!(keys(&[entry.clone(), jwk("good", 1)]).len(), 1, "{entry}");
    }
}

#[test]
fn keys_of_other_tenants_and_weak_keys_are_left_out() {
    let with = |name: &str, value: Value| {
        let mut key = jwk("x", 1);
        key[name] = value;
        json!({ "keys": [key] }).to_string()
    };
    let refused = |document: String| parse(document.as_bytes(), TENANT, &[issuer()]).unwrap_err();
    let none = KeySetError::NoUsableKey(1);
    assert_eq!(refused(with("issuer", json!("https://login.microsoftonline.com/9188040d/v2.0"))), none);
    assert_eq!(refused(with("e", json!("Aw"))), none);
    assert_eq!(refused(with("n", json!(support::base64url([0xC5; 128])))), none);
    assert_eq!(refused(with("n", json!(support::base64url([0xC5; 513])))), none);
    assert_eq!(refused(with("alg", json!("RS512"))), none);
    assert_eq!(refused(with("d", json!("AQAB"))), none);
    let template = with("issuer", json!("https://login.microsoftonline.com/{tenantid}/v2.0"));
    assert!(parse(template.as_bytes(), TENANT, &[issuer()]).is_ok());
}

#[test]
fn two_keys_under_one_name_are_both_left_out() {
    let document = json!({ "keys": [jwk("a", 1), jwk("a", 3), jwk("a", 1), jwk("b", 5)] }).to_string();
    let found = parse(document.as_bytes(), TENANT, &[issuer()]).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(&*found[0].kid, "b");
}
