//! A token that the platform writes into a file (workload identity: AKS and others). Read anew each time: it is rotated.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use secrecy::SecretString;

use super::federation::Federation;
use crate::obo::error::OboError;

/// The largest token file that is read.
const MAX_BYTES: usize = 16 * 1024;

/// Where the platform puts the token.
#[derive(Debug)]
pub(in crate::obo) struct TokenFile {
    path: PathBuf,
    /// What the last token said of itself.
    federation: Mutex<Option<Federation>>,
}

impl TokenFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, federation: Mutex::new(None) }
    }

    /// What to register, as the last token has it.
    pub(super) fn federation(&self) -> Option<Federation> {
        self.federation.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn assertion(&self) -> Result<SecretString, OboError> {
        let fault = |problem: &str| OboError::Credential(format!("AZURE_FEDERATED_TOKEN_FILE: {problem}"));
        let text = tokio::fs::read_to_string(&self.path).await.map_err(|_| fault("the file cannot be read"))?;
        let token = text.trim();
        if token.is_empty() || token.len() > MAX_BYTES || token.split('.').count() != 3 {
            return Err(fault("the file holds no token"));
        }
        *self.federation.lock().unwrap_or_else(PoisonError::into_inner) = Federation::of(token, None);
        Ok(SecretString::from(token))
    }
}
