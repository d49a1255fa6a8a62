//! The grants of the token endpoint, a file each.

pub(crate) mod client_credentials;
pub(crate) mod code;
pub(crate) mod on_behalf_of;
pub(crate) mod refresh;
