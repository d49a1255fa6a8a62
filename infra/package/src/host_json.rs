//! What `host.json` must say for the Functions host to start our executable.
//!
//! The rest of the file is the business of `tests/functions-host`, which reads it as the host does.

use serde_json::Value;

/// The executable's name in the package. Core Tools gives the execute bit only to the file that `host.json` names.
pub const EXECUTABLE: &str = "handler";

const POINTER: &str = "/customHandler/description/defaultExecutablePath";

/// Why the host would not start our executable.
#[derive(Debug, thiserror::Error)]
pub enum HostJsonError {
    /// No JSON.
    #[error("host.json is no JSON")]
    NotJson(#[source] serde_json::Error),
    /// Another schema.
    #[error("host.json must have \"version\": \"2.0\"")]
    Version,
    /// Another executable, or none.
    #[error(
        "host.json: customHandler.description.defaultExecutablePath must be \"{EXECUTABLE}\", the name in the package"
    )]
    ExecutablePath,
}

/// Whether the host would start [`EXECUTABLE`] from the package's root.
///
/// # Errors
///
/// [`HostJsonError`]: why not.
pub fn check(file: &[u8]) -> Result<(), HostJsonError> {
    let document: Value = serde_json::from_slice(file).map_err(HostJsonError::NotJson)?;
    if document.get("version") != Some(&Value::from("2.0")) {
        return Err(HostJsonError::Version);
    }
    match document.pointer(POINTER) {
        Some(path) if path == EXECUTABLE => Ok(()),
        _ => Err(HostJsonError::ExecutablePath),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    const OURS: &str = include_str!("../../../host.json");

    fn refused(file: &str) -> String {
        check(file.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn our_own_is_accepted() {
        check(OURS.as_bytes()).unwrap();
    }

    #[test]
    fn another_executable_is_refused() {
        let file =
            OURS.replace(r#""defaultExecutablePath": "handler""#, r#""defaultExecutablePath": "target/debug/handler""#);
        assert_eq!(
            refused(&file),
            r#"host.json: customHandler.description.defaultExecutablePath must be "handler", the name in the package"#
        );
    }

    #[test]
    fn another_version_is_refused() {
        assert_eq!(refused(&OURS.replace(r#""2.0""#, r#""1.0""#)), r#"host.json must have "version": "2.0""#);
    }

    #[test]
    fn half_a_file_is_refused() {
        assert_eq!(refused(OURS.trim_end().trim_end_matches('}')), "host.json is no JSON");
    }
}
