//! The one executable of a Function App: every route, on one port, until told to stop; and what helps to set it up.

pub mod cli;
pub mod doctor;
pub mod explain;
pub mod health_check;

use axum::Router;
use shared::host;
use shared::process::Process;

/// Every route of the server. What is not here is 404, without a look at credentials.
pub fn app(process: &'static Process) -> Router {
    let routes =
        Router::new().merge(health::router(process)).merge(well_known::router(process)).merge(mcp::router(process));
    host::complete(process, routes)
}
