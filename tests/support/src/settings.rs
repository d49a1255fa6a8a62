//! The least that a server needs to be told.

/// The value of a variable in a set-up that works, if it has one there: `Config::from_lookup(settings::minimal)`.
#[must_use]
pub fn minimal(variable: &str) -> Option<String> {
    let value = match variable {
        "TENANT_ID" => "aaaabbbb-0000-cccc-1111-dddd2222eeee",
        "CLIENT_ID" => "00001111-aaaa-2222-bbbb-3333cccc4444",
        "CLIENT_SECRET" => "Xx~8Q.secret-value",
        "RESOURCE_SERVER_URL" => "https://mcp.contoso.example",
        _ => return None,
    };
    Some(value.to_owned())
}
