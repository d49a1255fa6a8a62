//! Client assertions: what proves the API application without a secret.

use std::sync::Arc;

use emulator::{
    API_CLIENT_ID, CLIENT_SECRET, Emulator, IDENTITY_CLIENT_ID, IDENTITY_PRINCIPAL_ID, PUBLIC_CLIENT_ID, TENANT_ID,
    TOKEN_EXCHANGE_APP_ID, TOKEN_EXCHANGE_URI, User,
};
use reqwest::StatusCode;
use serde_json::Value;
use support::keys::{Signing, SigningKey};
use support::token::TokenBuilder;

use super::grants::assert_refused;
use super::{ASSERTION_TYPE, part, world};

#[tokio::test]
async fn a_managed_identity_proves_the_application() {
    let world = world().await;
    let (url, header) = world.emulator.identity_endpoint();
    let query = [("api-version", "2019-08-01"), ("resource", TOKEN_EXCHANGE_URI), ("client_id", IDENTITY_CLIENT_ID)];
    let answer = world.http.get(url).header("x-identity-header", header).query(&query).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    let assertion = answer["access_token"].as_str().unwrap();
    let (status, answer) = world.on_behalf_of_by(assertion, &[]).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(part(&answer["access_token"], 1)["oid"], User::Alice.oid());
    let (status, answer) = world.probe(&[("client_assertion", assertion)]).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(part(&answer["access_token"], 1)["idtyp"], "app");
    let counters = world.emulator.counters();
    assert_eq!((counters.managed_identity, counters.token_obo, counters.token_client_credentials), (1, 1, 1));
    // It proves the application, not the identity it belongs to, and it is no user's token.
    let as_user = world.on_behalf_of(assertion, &[]).await;
    assert_refused(&as_user, (400, "invalid_grant", 500_131));
}

/// The identity's token with one thing changed, against the credential that is registered at first.
#[tokio::test]
async fn every_part_of_the_identity_counts() {
    let world = world().await;
    let token = world.emulator.identity_token();
    let upper = IDENTITY_PRINCIPAL_ID.replace('f', "F");
    let forged = |signing| token.clone().signing(signing);
    let system = token.clone().claim("sub", emulator::SYSTEM_PRINCIPAL_ID);
    let cases = [
        (token.clone().claim("iss", "https://elsewhere.example/v2.0"), 700_211),
        (system, 700_213),
        (token.clone().claim("sub", upper), 7_002_138),
        (token.clone().claim("aud", TOKEN_EXCHANGE_URI), 700_212),
        (token.clone().times(600, -1), 700_024),
        (token.clone().claim("nbf", support::unix_now() + 900), 700_024),
        (forged(Signing::Rs256OtherKey), 700_027),
        (forged(Signing::None), 700_027),
        (forged(Signing::Ps256).header("alg", "PS256"), 700_027),
        (token.clone().header("alg", "none").signing(Signing::None), 700_027),
        (token.clone().key(&SigningKey::generate("stranger")), 7_000_272),
        (token.clone().claim("scp", "User.Read"), 700_229),
    ];
    for (token, code) in cases {
        let assertion = token.build();
        assert_refused(&world.on_behalf_of_by(&assertion, &[]).await, (401, "invalid_client", code));
        assert_refused(&world.probe(&[("client_assertion", &assertion)]).await, (401, "invalid_client", code));
    }
    for nonsense in ["nonsense", "a.b.c", "e30.e30."] {
        let refused = world.probe(&[("client_assertion", nonsense)]).await;
        assert_refused(&refused, (400, "invalid_request", 50_027));
    }
}

/// The identity's good token, against a credential that was registered wrong.
#[tokio::test]
async fn every_part_of_the_credential_counts() {
    let world = world().await;
    let assertion = world.emulator.identity_token().build();
    let issuer = world.emulator.issuer();
    let slash = format!("{issuer}/");
    let other = "api://AzureADTokenExchangeUSGov";
    let cases = [
        ((slash.as_str(), IDENTITY_PRINCIPAL_ID, TOKEN_EXCHANGE_URI), 700_211),
        ((&issuer, IDENTITY_CLIENT_ID, TOKEN_EXCHANGE_URI), 700_213),
        ((&issuer, IDENTITY_PRINCIPAL_ID, other), 700_214),
        ((&issuer, IDENTITY_PRINCIPAL_ID, TOKEN_EXCHANGE_APP_ID), 700_214),
    ];
    for ((issuer, subject, audience), code) in cases {
        world.emulator.federated_credential(issuer, subject, audience);
        let refused = world.on_behalf_of_by(&assertion, &[]).await;
        assert_refused(&refused, (401, "invalid_client", code));
    }
    world.emulator.no_federated_credential();
    let refused = world.on_behalf_of_by(&assertion, &[]).await;
    assert_refused(&refused, (400, "invalid_request", 70_021));
    let description = refused.1["error_description"].as_str().unwrap();
    assert!(description.contains(IDENTITY_PRINCIPAL_ID) && description.contains(&issuer), "{description}");
    world.emulator.federated_credential(&issuer, IDENTITY_PRINCIPAL_ID, TOKEN_EXCHANGE_URI);
    assert_eq!(world.on_behalf_of_by(&assertion, &[]).await.0, StatusCode::OK);
}

#[tokio::test]
async fn identity_tokens_survive_a_rotation_but_not_a_withdrawal() {
    let world = world().await;
    let old = world.emulator.identity_token().build();
    let new = world.emulator.rotate_keys();
    assert_eq!(world.on_behalf_of_by(&old, &[]).await.0, StatusCode::OK);
    world.emulator.publish(&[new]);
    assert_refused(&world.on_behalf_of_by(&old, &[]).await, (401, "invalid_client", 7_000_272));
    let fresh = world.emulator.identity_token().build();
    assert_eq!(world.on_behalf_of_by(&fresh, &[]).await.0, StatusCode::OK);
}

/// A service account's token, as a cluster projects it into a file: another issuer, and the audience by its URI.
#[tokio::test]
async fn another_issuers_tokens_can_be_trusted() {
    let world = world().await;
    let (issuer, subject) = ("https://oidc.example/cluster/", "system:serviceaccount:mcp:server");
    world.emulator.federated_credential(issuer, subject, TOKEN_EXCHANGE_URI);
    let key = world.emulator.signing_key();
    let token = TokenBuilder::delegated(issuer, TENANT_ID, TOKEN_EXCHANGE_URI, &key).claim("sub", subject);
    assert_eq!(world.on_behalf_of_by(&token.build(), &[]).await.0, StatusCode::OK);
    let other = token.claim("aud", "https://kubernetes.default.svc").build();
    assert_refused(&world.on_behalf_of_by(&other, &[]).await, (401, "invalid_client", 700_212));
}

#[tokio::test]
async fn one_proof_and_of_the_right_kind() {
    let world = world().await;
    let assertion = world.emulator.identity_token().build();
    let both = world.on_behalf_of_by(&assertion, &[("client_secret", CLIENT_SECRET)]).await;
    assert_refused(&both, (400, "invalid_request", 9_002_313));
    let untyped = world.on_behalf_of_by(&assertion, &[("client_assertion_type", "")]).await;
    assert_refused(&untyped, (400, "invalid_request", 900_144));
    let saml = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer");
    assert_refused(&world.on_behalf_of_by(&assertion, &[saml]).await, (400, "invalid_request", 9_002_313));
    let public = world.on_behalf_of_by(&assertion, &[("client_id", PUBLIC_CLIENT_ID)]).await;
    assert_refused(&public, (401, "invalid_client", 700_025));
    let stranger = world.on_behalf_of_by(&assertion, &[("client_id", IDENTITY_CLIENT_ID)]).await;
    assert_refused(&stranger, (400, "unauthorized_client", 700_016));
}

#[tokio::test]
async fn an_assertion_serves_every_grant_of_the_application() {
    let world = world().await;
    let assertion = world.emulator.identity_token().build();
    let code = world.code(&[("client_id", API_CLIENT_ID)]).await;
    let proof = [
        ("client_id", API_CLIENT_ID),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion.as_str()),
    ];
    let (status, answer) = world.redeem(&code, &proof).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

/// What `x5t#S256` names; the emulator compares it and looks no further.
const THUMBPRINT: &str = "CsMxtpKR5q6TSFK0ZkTrxrcvQqvhKMeHYrwyQqrrGNo";

/// A good assertion of a certificate (certificate-credentials, "Assertion format").
fn self_signed(emulator: &Emulator, key: &Arc<SigningKey>) -> TokenBuilder {
    let audience = format!("{}/{TENANT_ID}/oauth2/v2.0/token", emulator.base_url());
    let token = TokenBuilder::delegated(API_CLIENT_ID, TENANT_ID, &audience, key);
    let foreign =
        ["aio", "azp", "azpacr", "name", "oid", "preferred_username", "rh", "scp", "sid", "tid", "uti", "ver"];
    foreign
        .into_iter()
        .fold(token, TokenBuilder::without_claim)
        .claim("sub", API_CLIENT_ID)
        .claim("jti", "22b3bb26-e046-42df-9c96-65dbd72c1c81")
        .times(0, 300)
        .without_header("kid")
        .header("alg", "PS256")
        .header("x5t#S256", THUMBPRINT)
        .signing(Signing::Ps256)
}

#[tokio::test]
async fn a_certificate_proves_the_application() {
    let world = world().await;
    let key = SigningKey::generate("certificate");
    let assertion = self_signed(&world.emulator, &key).build();
    let refused = world.on_behalf_of_by(&assertion, &[]).await;
    assert_refused(&refused, (401, "invalid_client", 700_027));
    assert!(refused.1["error_description"].as_str().unwrap().contains("The key was not found."));
    world.emulator.register_certificate(&key.public_der(), THUMBPRINT);
    world.emulator.no_federated_credential();
    // Entra does not look at `jti`: the same assertion serves until it expires.
    for _ in 0..2 {
        let (status, answer) = world.on_behalf_of_by(&assertion, &[]).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(world.probe(&[("client_assertion", &assertion)]).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn every_part_of_a_self_signed_assertion_counts() {
    let world = world().await;
    let key = SigningKey::generate("certificate");
    world.emulator.register_certificate(&key.public_der(), THUMBPRINT);
    let good = self_signed(&world.emulator, &key);
    let stranger = SigningKey::generate("stranger");
    let cases = [
        (good.clone().header("x5t#S256", "another"), (401, "invalid_client", 700_027)),
        (good.clone().without_header("x5t#S256"), (400, "invalid_request", 50_027)),
        (good.clone().key(&stranger), (401, "invalid_client", 700_027)),
        (good.clone().signing(Signing::Rs256), (401, "invalid_client", 700_027)),
        (good.clone().signing(Signing::Rs256).header("alg", "RS256"), (401, "invalid_client", 5_002_738)),
        (good.clone().claim("sub", IDENTITY_CLIENT_ID), (401, "invalid_client", 700_021)),
        (good.clone().claim("iss", IDENTITY_CLIENT_ID), (401, "invalid_client", 700_021)),
        (good.clone().claim("aud", world.emulator.issuer()), (401, "invalid_client", 700_023)),
        (good.clone().times(300, -1), (401, "invalid_client", 700_024)),
        (good.clone().times(0, 660), (401, "invalid_client", 700_024)),
        (good.clone().without_claim("exp"), (401, "invalid_client", 700_024)),
    ];
    for (token, expect) in cases {
        assert_refused(&world.on_behalf_of_by(&token.build(), &[]).await, expect);
    }
    assert_eq!(world.on_behalf_of_by(&good.times(0, 600).build(), &[]).await.0, StatusCode::OK);
}
