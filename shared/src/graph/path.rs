//! Paths below Graph's base: literals of ours, and identifiers that came from elsewhere.

use std::borrow::Cow;
use std::fmt;

/// The longest identifier. Messages have the longest, about 150 characters.
const MAX_ID_CHARS: usize = 512;

/// A path and query of Microsoft Graph. Only [`GraphPath::id`] takes what a caller, a model or a document may have written,
/// and what it takes stays one segment.
///
/// ```
/// # use shared::graph::GraphPath;
/// let item = GraphPath::new("/v1.0/drives").id("b!x8-_k")?.then("items").id("01BYE5RZ6QN3ZWBTUFOFD3GSPGOHDJD36K")?;
/// assert_eq!(item.select("id,name").to_string(), "/v1.0/drives/b!x8-_k/items/01BYE5RZ6QN3ZWBTUFOFD3GSPGOHDJD36K?$select=id,name");
/// assert!(GraphPath::new("/v1.0/me/messages").id("../../users").is_err());
/// # Ok::<(), shared::graph::NotAnIdentifier>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphPath(Cow<'static, str>);

/// What was given is no identifier of Graph's. It is not repeated: it may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of Microsoft Graph: letters, digits and !,-._= only, at most {MAX_ID_CHARS}")]
pub struct NotAnIdentifier;

impl GraphPath {
    /// Starts with a literal such as `/v1.0/me`, possibly the whole path with its query.
    #[must_use]
    pub const fn new(start: &'static str) -> Self {
        Self(Cow::Borrowed(start))
    }

    /// Adds literal segments.
    #[must_use]
    pub fn then(self, segments: &'static str) -> Self {
        Self(format!("{}/{segments}", self.0).into())
    }

    /// Adds an identifier as one segment: a GUID, a drive's (`b!...`), a site's (`host,guid,guid`), an item's or a message's.
    /// Every character that those have may stand in a segment as it is (RFC 3986 §3.3).
    ///
    /// # Errors
    ///
    /// [`NotAnIdentifier`]: empty, too long, dots alone, or any other character: separators, percent signs, quotes.
    pub fn id(self, id: &str) -> Result<Self, NotAnIdentifier> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"!,-._=".contains(&byte);
        if id.len() > MAX_ID_CHARS || !id.bytes().all(known) || id.bytes().all(|byte| byte == b'.') {
            return Err(NotAnIdentifier);
        }
        Ok(Self(format!("{}/{id}", self.0).into()))
    }

    /// Ends the path with the fields to answer with: least data (OWASP API3).
    #[must_use]
    pub fn select(self, fields: &'static str) -> Self {
        Self(format!("{}?$select={fields}", self.0).into())
    }
}

impl fmt::Display for GraphPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifiers_of_graph_are_taken() {
        for id in [
            "48d31887-5fad-4d73-a9f5-3c356e68a038",
            "b!-RIj2DuyvEyV1T4NlOaMHk8XkS_I8MdFlUCq1BlcjgmhRfAj3-Z8RY2VpuvV_tpd",
            "contoso.sharepoint.com,2c712604-1370-44e7-a1f5-426573fda80a,2d2244c3-251a-49ea-93a8-39e1c3a060fe",
            "01BYE5RZ6QN3ZWBTUFOFD3GSPGOHDJD36K",
            "AAMkAGVmMDEzMTM4LTZmYWUtNDdkNC1hMDZiLTU1OGY5OTZhYmY4OABGAAAAAAAiQ8W967B7TKBjgx9rVEURBwAiIsqMbYjsT5e-T7KzowPTAAAAAAEMAAA=",
        ] {
            assert!(GraphPath::new("/v1.0/x").id(id).is_ok(), "{id}");
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_not() {
        let long = "a".repeat(MAX_ID_CHARS + 1);
        for id in [
            "",
            ".",
            "..",
            "...",
            "a/b",
            "a\\b",
            "%2e%2e",
            "a%2Fb",
            "a?b",
            "a#b",
            "a;b",
            "a:b",
            "a@b",
            "a b",
            "a\0",
            "a\r\nb",
            "é",
            "'a'",
            "$value",
            "(x)",
            "https://x",
            &long,
        ] {
            assert_eq!(GraphPath::new("/v1.0/x").id(id), Err(NotAnIdentifier), "{id:?}");
        }
    }

    proptest! {
        #[test]
        fn an_identifier_stays_one_segment_of_the_same_origin(id in "\\PC{0,20}|[.%/a!=,-]{0,8}") {
            if let Ok(path) = GraphPath::new("/v1.0/drives").id(&id) {
                let url = reqwest::Url::parse(&format!("https://graph.microsoft.com{path}")).unwrap();
                let segments: Vec<&str> = url.path_segments().unwrap().collect();
                prop_assert_eq!(segments, ["v1.0", "drives", id.as_str()]);
                prop_assert_eq!((url.host_str(), url.query(), url.fragment()), (Some("graph.microsoft.com"), None, None));
            }
        }
    }
}
