//! The credential: obtained as the server obtains it, then shown to Entra without a user.

use super::Check;
use crate::auth::examine::shown;
use crate::config::CredentialConfig;
use crate::obo::credential::Federation;
use crate::obo::error::OboError;
use crate::obo::is_federation;
use crate::process::Process;

pub(super) async fn look(process: &'static Process) -> Vec<Check> {
    let federation = match process.obo.credential().await {
        Ok(federation) => federation,
        Err(cause) => {
            let fix = how_to_obtain(&process.config.credential);
            return vec![
                Check::error("identity", cause.to_string(), fix),
                Check::skipped("credential", "there is nothing to show to Entra"),
            ];
        }
    };
    let mut checks = Vec::new();
    if let Some(federation) = &federation {
        checks.push(identity(process, federation));
    }
    checks.push(match process.obo.probe_credential().await {
        Ok(()) => Check::ok("credential", "Entra accepts it as CLIENT_ID's"),
        Err(cause) => refused(process, &cause, federation.as_ref()),
    });
    checks
}

fn how_to_obtain(credential: &CredentialConfig) -> &'static str {
    match credential {
        CredentialConfig::ManagedIdentity(_) => {
            "assign the user-assigned identity to this app (az webapp identity assign --identities <resource ID>) and \
             give its client ID as MANAGED_IDENTITY_CLIENT_ID"
        }
        CredentialConfig::TokenFile(_) => "point AZURE_FEDERATED_TOKEN_FILE to the token that the platform projects",
        CredentialConfig::Certificate(_) => {
            "point CLIENT_CERTIFICATE_PATH to a PEM file with the certificate and its RSA key (BEGIN PRIVATE KEY)"
        }
        CredentialConfig::Secret(_) => "set CLIENT_SECRET",
    }
}

/// What the federated credential must say, and whether this identity can have one.
fn identity(process: &Process, federation: &Federation) -> Check {
    const NAME: &str = "identity";
    let [issuer, subject, audience] = said_by(federation);
    let detail = format!("issuer {issuer}, subject {subject}, audience {audience}");
    let elsewhere = federation.tenant_id.as_ref().is_some_and(|tenant| *tenant != process.config.tenant_id);
    if elsewhere {
        let fix = "use an identity of the app registration's own directory: no other can be trusted";
        return Check::error(NAME, format!("{detail}; it belongs to another directory"), fix);
    }
    if federation.user_assigned == Some(false) {
        let fix =
            "create a user-assigned identity: a system-assigned one cannot be the subject of a federated credential";
        return Check::error(NAME, format!("{detail}; it is system-assigned"), fix);
    }
    Check::ok(NAME, detail)
}

/// Issuer, subject and audience, fit for a terminal and for a shell's single quotes: they come from a token.
fn said_by(federation: &Federation) -> [String; 3] {
    [&federation.issuer, &federation.subject, &federation.audience].map(|text| shown(text).replace('\'', "?"))
}

/// What Entra's refusal of the credential means.
fn refused(process: &Process, cause: &OboError, federation: Option<&Federation>) -> Check {
    const NAME: &str = "credential";
    let (detail, fix) = match cause {
        OboError::Configuration { code, .. } => match federation {
            Some(federation) if is_federation(*code) => (
                format!("the app registration does not trust this identity (AADSTS{code})"),
                register(&process.config.client_id, federation),
            ),
            _ => said(*code),
        },
        OboError::Unavailable { .. } => {
            (cause.to_string(), "nothing is known to be wrong with the credential; try again".to_owned())
        }
        other => (other.to_string(), "see the detail; `handler explain <code>` says more about a code".to_owned()),
    };
    Check::error(NAME, detail, fix)
}

/// The command that registers exactly what this identity's token says.
fn register(client_id: &str, federation: &Federation) -> String {
    let [issuer, subject, audience] = said_by(federation);
    let parameters = serde_json::json!({
        "name": "mcp-server", "issuer": issuer, "subject": subject, "audiences": [audience],
    });
    format!(
        "register exactly this, and wait some minutes: az ad app federated-credential create --id {client_id} \
         --parameters '{parameters}'"
    )
}

/// Codes that this question meets, and their fixes.
fn said(code: u32) -> (String, String) {
    let (what, fix) = match code {
        7_000_215 => (
            "the client secret is wrong",
            "copy the secret's Value (not its ID) into CLIENT_SECRET; az ad app credential reset makes a new one",
        ),
        7_000_222 => ("the client secret has expired", "az ad app credential reset --id $CLIENT_ID makes a new one"),
        700_016 => (
            "the directory knows no application with CLIENT_ID",
            "CLIENT_ID is the Application (client) ID of the API's registration, not an object ID; check TENANT_ID too",
        ),
        90002 => {
            ("there is no such directory", "TENANT_ID is the Directory (tenant) ID; check AZURE_AUTHORITY_HOST too")
        }
        7_000_218 => ("no credential reached Entra", "set exactly one credential"),
        700_027 => (
            "Entra does not know the certificate",
            "upload the certificate to the app registration: az ad app credential reset --id $CLIENT_ID --append --cert @cert.pem",
        ),
        0 => ("Entra refuses the request", "check AZURE_AUTHORITY_HOST: the answer is none of Entra's"),
        _ => ("Entra refuses the credential", "see `handler explain` for the code"),
    };
    (format!("{what} (AADSTS{code})"), fix.to_owned())
}
