//! A pasted token: every check the server would make, and the exchange on the user's behalf.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::{Check, Options, Reach, Status};
use crate::auth::bearer::BearerToken;
use crate::auth::error::{AuthError, TokenFault};
use crate::auth::examine::{Outcome, Row};
use crate::auth::jwks::JwksCache;
use crate::moment::Moment;
use crate::obo::error::OboError;
use crate::process::Process;
use crate::tool::TOOLS;

pub(super) async fn look(process: &'static Process, pasted: &SecretString, options: &Options) -> Vec<Check> {
    let token = match BearerToken::pasted(pasted.expose_secret()) {
        Ok(token) => token,
        Err(cause) => {
            let fix = "paste the whole access token: three parts of letters, digits, - and _, separated by dots";
            return vec![Check::error("token", cause.to_string(), fix)];
        }
    };
    let jwks: Option<&'static JwksCache> = (options.reach != Reach::Nobody).then_some(&process.jwks);
    let rows = process.verifier.examine(&token, jwks, Moment::now()).await;
    let mut checks: Vec<Check> = rows.into_iter().map(check_of).collect();
    if options.reach == Reach::Nobody {
        return checks;
    }
    match process.verifier.authenticate(token, &process.jwks, Moment::now()).await {
        Ok(caller) => {
            checks.push(Check::ok("token", "the server accepts it"));
            let missing = TOOLS.iter().filter(|tool| !caller.has_scope(tool.scope) && caller.assertion().is_some());
            checks.extend(missing.map(|tool| {
                Check::info("token.scopes", format!("{} needs {}, which it does not carry", tool.name, tool.scope))
            }));
            if options.exchange {
                checks.extend(exchange(process, caller).await);
            }
        }
        Err(cause) => {
            // The rows above say what to do; where none of them minded, this one does.
            let told = checks.iter().any(|check| check.status == Status::Error);
            let fix = (!told).then(|| fix_of_refusal(&cause).to_owned());
            checks.push(Check { name: "token", status: Status::Error, detail: cause.to_string(), fix });
            if options.exchange {
                checks.push(Check::skipped("exchange", "the token is not accepted"));
            }
        }
    }
    checks
}

fn check_of(row: Row) -> Check {
    let name = row.check;
    match row.outcome {
        Outcome::Passed => Check::ok(name, row.seen),
        Outcome::Noted => Check::warning(
            name,
            row.seen,
            "add optional claims to the access token: app registration, Token configuration",
        ),
        Outcome::Skipped => Check::skipped(name, row.seen),
        Outcome::Refused(fault) if row.seen.is_empty() => Check::error(name, fault.to_string(), fix_of(fault)),
        Outcome::Refused(fault) => Check::error(name, format!("{fault}; seen: {}", row.seen), fix_of(fault)),
    }
}

fn fix_of_refusal(cause: &AuthError) -> &'static str {
    match cause {
        AuthError::InvalidToken(fault) => fix_of(*fault),
        AuthError::KeysUnavailable { .. } => "the signing key to check with cannot be had: mend `keys` first",
        _ => "sign in again and paste the new token",
    }
}

/// What to do about a token that is refused for this.
fn fix_of(fault: TokenFault) -> &'static str {
    match fault {
        TokenFault::NotBearer | TokenFault::TooLong | TokenFault::Malformed(_) => {
            "paste the whole access token and nothing else; an ID token, a refresh token or an authorization code is none"
        }
        TokenFault::Header(_) => "Entra issues no such header: the token comes from somewhere else",
        TokenFault::ForGraph => {
            "the client asked for a Graph scope: it must ask for this server's scopes, as the metadata names them"
        }
        TokenFault::UnknownKey | TokenFault::KeyIssuer => {
            "the key is none of this tenant's: the token was issued by another directory or cloud, or for an application \
             with custom signing keys"
        }
        TokenFault::Signature => "the token was changed on the way, or is none of Entra's: copy it again",
        TokenFault::Claims => "paste an access token for this API; ID tokens and tokens for other APIs lack claims",
        TokenFault::Expired => "sign in again: access tokens live 60 to 90 minutes",
        TokenFault::Times(_) => "check this machine's clock",
        TokenFault::Issuer => "the token is another directory's or cloud's: check TENANT_ID and AZURE_AUTHORITY_HOST",
        TokenFault::Tenant => "the user signed in to another directory: check TENANT_ID",
        TokenFault::Audience => {
            "the token is for another application: the client must ask for this API's scopes, and CLIENT_ID must be the \
             API registration's Application (client) ID; 00000003-0000-0000-c000-000000000000 is Microsoft Graph"
        }
        TokenFault::Version => {
            "the registration issues v1.0 tokens: az ad app update --id $CLIENT_ID --set \
             api.requestedAccessTokenVersion=2 (or set ACCEPT_V1_TOKENS=true)"
        }
        TokenFault::ObjectId => "an access token of Entra's for a user or application has one; this is none",
        TokenFault::KeyBound => {
            "the client uses a device-bound token (the Windows broker, WAM, in VS Code does): let it sign in without the \
             broker"
        }
        TokenFault::NoPermissions => {
            "the token has no scope of this API: the client asked for none, or an application without an app role asked"
        }
        TokenFault::Client => "add the client's application ID to ALLOWED_CLIENT_IDS, or remove that setting",
        TokenFault::Revoked | TokenFault::AboutToExpire => "sign in again",
    }
}

/// The exchange for what each tool asks of Graph.
async fn exchange(process: &'static Process, caller: Arc<crate::auth::caller::Caller>) -> Vec<Check> {
    const NAME: &str = "exchange";
    if caller.assertion().is_none() {
        let detail = "an application's own token: there is no user to act for (AADSTS7000114)";
        return vec![Check::error(NAME, detail, "paste the token of a user who signed in")];
    }
    let mut checks = Vec::new();
    for permissions in downstream() {
        let names = permissions.join(" ");
        checks.push(match process.obo.acquire_token(&caller, permissions).await {
            Ok(_) => Check::ok(NAME, format!("Entra gives a token for {names} on the user's behalf")),
            Err(cause) => failed(process, &names, &cause),
        });
    }
    checks
}

/// What the tools ask for, each set once.
fn downstream() -> Vec<&'static [&'static str]> {
    let mut sets: Vec<&'static [&'static str]> = Vec::new();
    for tool in TOOLS.iter().filter(|tool| !tool.downstream.is_empty()) {
        if !sets.contains(&tool.downstream) {
            sets.push(tool.downstream);
        }
    }
    sets
}

fn failed(process: &'static Process, names: &str, cause: &OboError) -> Check {
    const NAME: &str = "exchange";
    let detail = format!("{names}: {cause}");
    match cause {
        OboError::ConsentRequired { .. } => Check::error(
            NAME,
            detail,
            format!("an administrator consents once, here: {}", process.obo.admin_consent_url()),
        ),
        OboError::InteractionRequired { .. } => Check::warning(
            NAME,
            detail,
            "conditional access wants more of this user's sign-in; the server passes that on to the client as a 401",
        ),
        OboError::AssertionRejected { .. } | OboError::AssertionAboutToExpire => {
            Check::error(NAME, detail, "sign in again and paste the new token")
        }
        OboError::Configuration { .. } => {
            Check::error(NAME, detail, "see `credential` above, and `handler explain` for the code")
        }
        OboError::Credential(_) => Check::error(NAME, detail, "see `identity` above"),
        OboError::Unavailable { .. } => Check::warning(NAME, detail, "Entra is busy or down; try again"),
    }
}
