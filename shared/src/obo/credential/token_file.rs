//! A token that the platform writes into a file (workload identity: AKS and others). Read anew each time: it is rotated.

use std::path::PathBuf;

use secrecy::SecretString;

use crate::obo::error::OboError;

/// The largest token file that is read.
const MAX_BYTES: usize = 16 * 1024;

/// Where the platform puts the token.
#[derive(Debug)]
pub(in crate::obo) struct TokenFile(PathBuf);

impl TokenFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) async fn assertion(&self) -> Result<SecretString, OboError> {
        let fault = |problem: &str| OboError::Credential(format!("AZURE_FEDERATED_TOKEN_FILE: {problem}"));
        let text = tokio::fs::read_to_string(&self.0).await.map_err(|_| fault("the file cannot be read"))?;
        let token = text.trim();
        if token.is_empty() || token.len() > MAX_BYTES || token.split('.').count() != 3 {
            return Err(fault("the file holds no token"));
        }
        Ok(SecretString::from(token))
    }
}
