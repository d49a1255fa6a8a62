//! Every secret a test handles, so that a log line which carries one is caught where it is written.
//!
//! A token is registered by its parts: a log that prints only the claims or only the signature leaks as well.

use std::sync::{LazyLock, Mutex, PoisonError};

/// The shortest text that counts as a secret; anything shorter occurs in logs by chance.
const SHORTEST: usize = 8;

static SECRETS: LazyLock<Mutex<Vec<String>>> = LazyLock::new(Mutex::default);

/// From now on no log line may contain `secret`. Compact tokens are registered part by part, their common header
/// apart.
pub fn register(secret: &str) {
    let mut secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    let parts: Vec<&str> = secret.split('.').collect();
    let wanted: Vec<&str> = if parts.len() == 3 { parts[1..].to_vec() } else { vec![secret] };
    for part in wanted {
        // A window is enough: a log that cuts a token short still leaks it.
        let window: String = part.chars().take(48).collect();
        if window.len() >= SHORTEST && !secrets.contains(&window) {
            secrets.push(window);
        }
    }
}

/// The first registered secret that `line` contains, shortened so that the report itself does not leak it.
#[must_use]
pub fn leak_in(line: &str) -> Option<String> {
    let secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    secrets
        .iter()
        .find(|secret| line.contains(secret.as_str()))
        .map(|secret| format!("{}… ({} characters)", secret.chars().take(4).collect::<String>(), secret.len()))
}

/// How many secrets are registered: a sweep against none proves nothing.
#[must_use]
pub fn count() -> usize {
    SECRETS.lock().unwrap_or_else(PoisonError::into_inner).len()
}
