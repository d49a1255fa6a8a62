//! [`bench::servers::plain`] as a process.
//!
//! `PORT`, `TENANT_ID`, `CLIENT_ID`, `AZURE_AUTHORITY_HOST` as the handler takes them.
#![expect(clippy::disallowed_methods, clippy::expect_used, reason = "a measuring tool")]

use bench::servers::{plain, serve};

#[tokio::main]
async fn main() {
    let setting = |name| std::env::var(name).expect("PORT, TENANT_ID, CLIENT_ID and AZURE_AUTHORITY_HOST");
    let app = plain::app(&setting("AZURE_AUTHORITY_HOST"), &setting("TENANT_ID"), &setting("CLIENT_ID")).await;
    serve(&setting("PORT"), app).await;
}
