//! A tool as clients see it: who may see and call it, and which arguments it takes.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::Value;
use shared::auth::caller::{Caller, Permissions};
use shared::tool::ToolSpec;

const ADDITIONAL_PROPERTIES: &str = "additionalProperties";

/// One tool: its declaration and its entry in `tools/list`.
pub(crate) struct Offer {
    pub(crate) spec: &'static ToolSpec,
    pub(crate) tool: Tool,
}

impl Offer {
    /// The tool with its hints as declared, and closed to arguments that it does not name, unless its own schema says
    /// otherwise.
    pub(crate) fn new(spec: &'static ToolSpec, mut tool: Tool) -> Self {
        Arc::make_mut(&mut tool.input_schema).entry(ADDITIONAL_PROPERTIES).or_insert(Value::Bool(false));
        let hints = ToolAnnotations::new().read_only(spec.read_only).open_world(!spec.downstream.is_empty());
        Self { spec, tool: tool.with_annotations(hints) }
    }

    /// Whether the schema says anywhere that an argument stands in a header, too (MCP 2026-07-28, Streamable HTTP, "Custom Headers
    /// from Tool Parameters").
    pub(crate) fn takes_headers(&self) -> bool {
        fn names(value: &Value) -> bool {
            match value {
                Value::Object(members) => members.iter().any(|(name, value)| name == "x-mcp-header" || names(value)),
                Value::Array(values) => values.iter().any(names),
                _ => false,
            }
        }
        self.tool.input_schema.iter().any(|(name, value)| name == "x-mcp-header" || names(value))
    }

    /// Whether a caller of this kind could ever use the tool, whatever its token carries now.
    pub(crate) fn visible_to(&self, caller: &Caller) -> bool {
        match caller.permissions() {
            Permissions::Delegated { .. } => true,
            Permissions::Application { .. } => self.spec.app_role.is_some(),
        }
    }

    /// Whether this token allows the tool: delegated permissions for users, application permissions for applications.
    pub(crate) fn allowed(&self, caller: &Caller) -> bool {
        caller.has_scope(self.spec.scope) || self.spec.app_role.is_some_and(|role| caller.has_app_role(role))
    }

    /// Refuses arguments that the tool would silently ignore (MCP 2026-07-28, Tools, "Security Considerations": all inputs
    /// are validated). The values of the known ones are the tool's own to check, as it reads them.
    ///
    /// # Errors
    ///
    /// A sentence for the model, with the arguments there are; nothing of what was sent.
    pub(crate) fn check(&self, arguments: Option<&JsonObject>) -> Result<(), String> {
        let schema = &self.tool.input_schema;
        if schema.get(ADDITIONAL_PROPERTIES) != Some(&Value::Bool(false)) {
            return Ok(());
        }
        let known = schema.get("properties").and_then(Value::as_object);
        let is_known = |name: &String| known.is_some_and(|known| known.contains_key(name));
        if arguments.is_none_or(|arguments| arguments.keys().all(is_known)) {
            return Ok(());
        }
        let names: Vec<&str> = known.into_iter().flat_map(JsonObject::keys).map(String::as_str).collect();
        Err(match names.as_slice() {
            [] => format!("{} takes no arguments. Call it again without any.", self.spec.name),
            names => format!("{} takes these arguments and no others: {}.", self.spec.name, names.join(", ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::tool::WHOAMI;

    use super::*;

    #[track_caller]
    fn check(schema: Value, arguments: Option<Value>, expect: Result<(), &str>) {
        let Value::Object(schema) = schema else { panic!("a schema is an object") };
        let offer = Offer::new(&WHOAMI, Tool::new(WHOAMI.name, "", schema));
        let arguments = arguments.map(|value| value.as_object().cloned().unwrap());
        assert_eq!(offer.check(arguments.as_ref()), expect.map_err(str::to_owned));
    }

    #[test]
    fn unknown_arguments_are_refused_by_name_of_the_known() {
        let none = json!({ "type": "object" });
        check(none.clone(), None, Ok(()));
        check(none.clone(), Some(json!({})), Ok(()));
        check(none, Some(json!({ "<b>": 1 })), Err("whoami takes no arguments. Call it again without any."));
        let two = json!({ "type": "object", "properties": { "query": {}, "top": {} } });
        check(two.clone(), Some(json!({ "query": 1 })), Ok(()));
        check(
            two,
            Some(json!({ "query": 1, "Top": 2 })),
            Err("whoami takes these arguments and no others: query, top."),
        );
        let open = json!({ "type": "object", "additionalProperties": true });
        check(open, Some(json!({ "any": 1 })), Ok(()));
    }
}
