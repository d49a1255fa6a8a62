//! [`bench::servers::plain`] as a process, with all that one gets by default, the system's allocator included. `PORT`: where to
//! listen. `TENANT_ID`, `CLIENT_ID`, `AZURE_AUTHORITY_HOST`: whose tokens it takes.
#![expect(clippy::disallowed_methods, clippy::expect_used, reason = "a measuring tool")]

use bench::servers::{plain, serve};

#[tokio::main]
async fn main() {
    let setting = |name: &str| std::env::var(name).expect("the setting");
    let app = plain::app(&setting("AZURE_AUTHORITY_HOST"), &setting("TENANT_ID"), &setting("CLIENT_ID")).await;
    serve(&setting("PORT"), app).await;
}
