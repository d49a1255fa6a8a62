//! Parameters of a request: a query or a form.

use url::form_urlencoded;

use crate::errors::EntraError;

/// The parameters in the order they came.
#[derive(Clone, Debug)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Never fails: what is not well-formed is read as the URL standard says, as browsers and Entra do.
    pub(crate) fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// The value; one without a value counts as omitted (RFC 6749 §3.1).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).find(|value| !value.is_empty())
    }

    /// The value, or AADSTS900144.
    pub(crate) fn require(&self, name: &str) -> Result<&str, EntraError> {
        self.get(name).ok_or_else(|| EntraError::missing_parameter(name))
    }

    /// Every value of that name: only `resource` may come more than once (RFC 8707 §2).
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Refuses a parameter that comes twice (RFC 6749 §3.1 and §3.2).
    pub(crate) fn refuse_duplicates(&self) -> Result<(), EntraError> {
        for (name, _) in &self.0 {
            if name != "resource" && self.all(name).count() > 1 {
                return Err(EntraError::duplicate_parameter(name));
            }
        }
        Ok(())
    }

    /// The same parameters as a query string, with `name` set to `value`.
    pub(crate) fn query_with(&self, name: &str, value: &str) -> String {
        let rest = self.0.iter().filter(|(known, _)| known != name);
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(rest).append_pair(name, value);
        query.finish()
    }
}

/// Whether a `claims` request parameter names the client capability `cp1` (claims-challenge page, "Client
/// capabilities"); AADSTS9002313 when it is not JSON.
pub(crate) fn asks_cp1(claims: Option<&str>) -> Result<bool, EntraError> {
    let Some(text) = claims else { return Ok(false) };
    let claims: serde_json::Value =
        serde_json::from_str(text).map_err(|_| EntraError::malformed("The 'claims' parameter is not JSON."))?;
    let values = claims.pointer("/access_token/xms_cc/values").and_then(serde_json::Value::as_array);
    Ok(values.is_some_and(|values| {
        values.iter().filter_map(serde_json::Value::as_str).any(|value| value.eq_ignore_ascii_case("cp1"))
    }))
}
