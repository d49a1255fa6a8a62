//! Asking a person for consent through the client, where the client can show a page (MCP 2026-07-28, Multi Round-Trip
//! Requests, URL-mode elicitation). Other clients get the page's address in a sentence.

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, ElicitRequest, ElicitRequestParams, InputRequest, InputRequests, InputRequiredResult,
};
use rmcp::service::RequestContext;

use crate::server::is_modern;

/// The name of the one request in the result.
const REQUEST: &str = "consent";

/// The request for consent, if the client said that it can show a page and was not asked already in this call: it comes back
/// with the same call, and whether consent was given shows in the exchange, not in what the client says.
pub(crate) fn ask(
    context: &RequestContext<RoleServer>,
    request: &CallToolRequestParams,
    url: &str,
) -> Option<InputRequiredResult> {
    let modern = is_modern(context.protocol_version().as_ref());
    let shows_pages = context.client_capabilities()?.elicitation?.url.is_some();
    if !modern || !shows_pages || was_asked(request) {
        return None;
    }
    let params = ElicitRequestParams::UrlElicitationParams {
        meta: None,
        message:
            "An administrator must allow this server to read Microsoft 365 data for you. Open the page to allow it."
                .to_owned(),
        url: url.to_owned(),
        // Protocol 2026-07-28 has no such identifier any more.
        elicitation_id: String::new(),
    };
    let requests = InputRequests::from([(REQUEST.to_owned(), InputRequest::Elicitation(ElicitRequest::new(params)))]);
    Some(InputRequiredResult::from_input_requests(requests))
}

/// Whether the client comes back from the page.
pub(crate) fn was_asked(request: &CallToolRequestParams) -> bool {
    request.input_responses.is_some()
}
