//! The names of the crowd: as many people as a test wants, each with a number.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

/// What their object ids begin with; the number follows in twelve digits.
const OID: &str = "dddddddd-3333-4444-5555-";

/// The names of one of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) upn: &'static str,
    pub(crate) oid: &'static str,
}

/// The names of this member. They live to the end of the program, as everybody else's: a few bytes a member.
pub(crate) fn member(number: u32) -> Member {
    static MEMBERS: OnceLock<Mutex<HashMap<u32, Member>>> = OnceLock::new();
    let mut members = MEMBERS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    *members.entry(number).or_insert_with(|| Member {
        name: format!("Member {number} Example").leak(),
        upn: format!("member{number}@contoso.example").leak(),
        oid: format!("{OID}{number:012}").leak(),
    })
}

/// The number in an object id of the crowd's.
pub(crate) fn number_of_oid(oid: &str) -> Option<u32> {
    oid.strip_prefix(OID)?.parse().ok()
}

/// The number in a user principal name of the crowd's.
pub(crate) fn number_of_upn(upn: &str) -> Option<u32> {
    upn.to_ascii_lowercase().strip_prefix("member")?.split('@').next()?.parse().ok()
}
