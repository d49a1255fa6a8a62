//! A tool's result as structured content, with its text beside it.

use std::borrow::Cow;

use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

/// What a tool returns. As rmcp's wrapper of this name, by which its macro finds the output schema, but the text is written from
/// the value itself and not piece by piece from its tree, which took as long as the rest of `whoami`.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: JsonSchema> JsonSchema for Json<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: Serialize + JsonSchema + 'static> IntoCallToolResult for Json<T> {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        let written = serde_json::to_string(&self.0).and_then(|text| Ok((text, serde_json::to_value(&self.0)?)));
        let (text, value) = written.map_err(|cause| {
            tracing::error!("a tool's result cannot be written as JSON: {cause}");
            ErrorData::internal_error("the tool failed", None)
        })?;
        let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
        result.structured_content = Some(value);
        Ok(result.into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[derive(Serialize, JsonSchema)]
    struct Found {
        b: u8,
        a: Option<String>,
    }

    /// An object whose names are no text.
    #[derive(Serialize)]
    struct Odd(HashMap<(u8, u8), u8>);
    impl JsonSchema for Odd {
        fn schema_name() -> Cow<'static, str> {
            "Odd".into()
        }
        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            Schema::default()
        }
    }

    #[test]
    fn text_and_structure_say_the_same() {
        let Ok(CallToolResponse::Complete(result)) = Json(Found { b: 1, a: None }).into_call_tool_result() else {
            panic!("a result");
        };
        let text: serde_json::Value = serde_json::from_str(&result.content[0].as_text().unwrap().text).unwrap();
        assert_eq!(Some(text), result.structured_content);
        assert_eq!(result.is_error, Some(false));
    }

    #[test]
    fn what_is_no_json_is_a_failure_without_a_word_about_it() {
        let odd: HashMap<(u8, u8), u8> = HashMap::from([((1, 2), 3)]);
        let failed = Json(Odd(odd)).into_call_tool_result().err().unwrap();
        assert_eq!(failed.message, "the tool failed");
    }
}
