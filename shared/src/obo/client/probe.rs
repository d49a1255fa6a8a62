//! Proving the credential without a user, for `handler doctor`.

use super::OboClient;
use crate::obo::credential::{Federation, wire_value};
use crate::obo::error::OboError;

impl OboClient {
    /// Obtains the credential; what an application must trust for it, if it is a federated one.
    pub(crate) async fn credential(&self) -> Result<Option<Federation>, OboError> {
        self.credential.form_fields().await?;
        Ok(self.credential.federation())
    }

    /// Shows the credential to the token endpoint: a token for the application itself (v2-oauth2-client-creds-grant-flow),
    /// which is thrown away. Asked once, without retries: what is wrong must show.
    pub(crate) async fn probe_credential(&self) -> Result<(), OboError> {
        let proof = self.credential.form_fields().await?;
        let scope = format!("{}/.default", self.graph_base_url);
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", &self.client_id), ("scope", &scope)];
        form.extend(proof.iter().map(wire_value));
        self.ask(&form).await.map(drop)
    }
}
