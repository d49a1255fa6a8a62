//! Paths as they pass through the host: Kestrel decodes them once and removes dot segments, the proxy encodes them again.

/// The path that routes are matched against. `%2F` stays encoded, and so does what is no UTF-8.
pub(crate) fn decode(path: &str) -> String {
    let mut decoded = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        decoded.push_str(before);
        match decode_char(after.as_bytes()) {
            Some((character, length)) if character != '/' => {
                decoded.push(character);
                rest = after.get(length..).unwrap_or_default();
            }
            _ => {
                decoded.push('%');
                rest = after;
            }
        }
    }
    remove_dot_segments(&(decoded + rest))
}

/// The path as the handler sees it: anything but RFC 3986's path characters is escaped, a left-over `%` too.
pub(crate) fn encode(path: &str) -> String {
    let mut encoded = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            for nibble in [byte >> 4, byte & 15] {
                encoded.extend(char::from_digit(u32::from(nibble), 16).map(|digit| digit.to_ascii_uppercase()));
            }
            let at = encoded.len() - 2;
            encoded.insert(at, '%');
        }
    }
    encoded
}

/// One character from escapes whose first `%` has been read, and the length of what spells it.
fn decode_char(text: &[u8]) -> Option<(char, usize)> {
    let escape = |at: usize| {
        let digits = std::str::from_utf8(text.get(at..at + 2)?).ok()?;
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())?
    };
    let mut bytes = vec![escape(0)?];
    loop {
        let length = bytes.len() * 3 - 1;
        if let Ok(decoded) = std::str::from_utf8(&bytes) {
            return decoded.chars().next().map(|character| (character, length));
        }
        if bytes.len() == 4 || text.get(length) != Some(&b'%') {
            return None;
        }
        bytes.push(escape(length + 1)?);
    }
}

/// RFC 3986 §5.2.4.
fn remove_dot_segments(path: &str) -> String {
    let Some(below) = path.strip_prefix('/') else { return path.to_owned() };
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = below.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            ".." => drop(kept.pop()),
            "." => {}
            _ => kept.push(segment),
        }
        if last && matches!(segment, "." | "..") {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_through_as_kestrel_and_the_proxy_leave_it() {
        for (sent, seen) in [
            ("/mcp", "/mcp"),
            ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource/mcp"),
            ("/%6Dcp", "/mcp"),
            ("/a%20b", "/a%20b"),
            ("/a%2fb", "/a%252fb"),
            ("/%E4%BD%a0", "/%E4%BD%A0"),
            ("/%e4%zz", "/%25e4%25zz"),
            ("/a/%2e%2E/mcp", "/mcp"),
            ("/a/./b/../../../c", "/c"),
            ("/a/..", "/"),
            ("/health//live/", "/health//live/"),
            ("/!$&'()*+,;=:@~", "/!$&'()*+,;=:@~"),
            ("/[x]|", "/%5Bx%5D%7C"),
            ("*", "*"),
        ] {
            assert_eq!(encode(&decode(sent)), seen, "{sent}");
        }
    }
}
