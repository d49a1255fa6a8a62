//! SHA-256, as everything here that is named or chained by a hash uses it.

use aws_lc_rs::digest::{SHA256, digest};

/// 32 bytes.
pub(crate) type Digest = [u8; 32];

/// SHA-256 over the bytes.
pub(crate) fn of(bytes: impl AsRef<[u8]>) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes.as_ref()).as_ref());
    out
}

/// SHA-256 over the parts, each with its length first: or ("ab", "c") and ("a", "bc") would be one.
pub(crate) fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    of(bytes)
}

/// Room for the parts of a cache key or of an audit line: many short ones, cheaper to hash at once than one by one.
const USUAL_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_part_ends_matters() {
        let of_parts = |parts: [&str; 2]| super::of_parts(parts.map(str::as_bytes));
        assert_ne!(of_parts(["ab", "c"]), of_parts(["a", "bc"]));
        assert_eq!(of_parts(["ab", "c"]), of(b"\0\0\0\0\0\0\0\x02ab\0\0\0\0\0\0\0\x01c"));
    }
}
