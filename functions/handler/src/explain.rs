//! `handler explain`: what one of Entra's error numbers means for this server, and what mends it.

mod codes;

use std::fmt;

/// What one of Entra's error numbers means for this server, and what mends it.
#[derive(Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The number behind `AADSTS`.
    pub code: u32,
    /// The fault in a few words.
    pub title: &'static str,
    /// Where it shows (the client's sign-in, or this server's on-behalf-of exchange) and why.
    pub meaning: &'static str,
    /// Steps in order. One that starts with `az ` is a command for a POSIX shell, laid out as it is to be pasted.
    pub fix: &'static [&'static str],
    /// Where this was read: Microsoft's page by its name, or an issue.
    pub source: &'static str,
}

/// A text that leads to no [`Explanation`]. Fit to be shown.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownCode {
    /// The text has no number of Entra's.
    #[error(
        "no code of Entra's found: expected a number such as AADSTS9010010, or a message with one in it.\n\n{}\n\
         Any other: https://login.microsoftonline.com/error?code=<number>",
        Known
    )]
    NoCode,
    /// A number, but none that is explained here.
    #[error(
        "AADSTS{code} is not explained here. Microsoft's own words about it:\n\
         https://login.microsoftonline.com/error?code={code}\n\n{}",
        Known
    )]
    NotListed {
        /// The number.
        code: u32,
    },
}

/// Every explanation, by ascending code.
#[must_use]
pub fn all() -> &'static [Explanation] {
    codes::ALL
}

/// The explanation that a text asks for: `AADSTS9010010`, `aadsts 9010010`, `9010010`, or a whole message with such a code
/// in it. Of several codes in one message the first that is known counts: Entra puts the outer one in front.
///
/// # Errors
///
/// [`UnknownCode`], which says where else to look.
pub fn find(text: &str) -> Result<&'static Explanation, UnknownCode> {
    let codes = codes_in(text);
    let known = |code: &u32| all().iter().find(|explanation| explanation.code == *code);
    match (codes.iter().find_map(known), codes.first()) {
        (Some(explanation), _) => Ok(explanation),
        (None, Some(&code)) => Err(UnknownCode::NotListed { code }),
        (None, None) => Err(UnknownCode::NoCode),
    }
}

/// The numbers behind `AADSTS`; without that word, the whole text as one number.
fn codes_in(text: &str) -> Vec<u32> {
    let text = text.trim().to_ascii_uppercase();
    if let Ok(code) = text.parse() {
        return vec![code];
    }
    text.split("AADSTS").skip(1).filter_map(leading_number).collect()
}

fn leading_number(text: &str) -> Option<u32> {
    let text = text.trim_start_matches([' ', ':', '-', '_', '#']);
    let digits = text.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

impl fmt::Display for Explanation {
    /// Lines of at most 100 columns, each ended.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        wrap(out, "", "", &format!("AADSTS{}: {}", self.code, self.title))?;
        writeln!(out)?;
        wrap(out, "", "", self.meaning)?;
        writeln!(out, "\nTo mend it:")?;
        let mut number = 0_u32;
        for step in self.fix {
            if is_command(step) {
                step.lines().try_for_each(|line| writeln!(out, "       {line}"))?;
            } else {
                number += 1;
                wrap(out, &format!("{number:3}. "), "     ", step)?;
            }
        }
        writeln!(out)?;
        for (name, value) in PLACEHOLDERS {
            if self.fix.iter().any(|step| is_command(step) && names(step, name)) {
                wrap(out, &format!("${name}: "), "  ", value)?;
            }
        }
        wrap(out, "Source: ", "  ", self.source)
    }
}

/// The listed codes, as lines; the last is not ended.
struct Known;

impl fmt::Display for Known {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes: Vec<String> = all().iter().map(|explanation| explanation.code.to_string()).collect();
        let mut lines = String::new();
        wrap(&mut lines, "Explained here: ", "  ", &codes.join(", "))?;
        out.write_str(lines.trim_end())
    }
}

fn is_command(step: &str) -> bool {
    step.starts_with("az ")
}

/// Whether a command uses a shell variable, and not only one whose name begins alike.
fn names(command: &str, variable: &str) -> bool {
    let mut rests = command.split('$').skip(1);
    rests.any(|rest| rest.split(|c: char| c != '_' && !c.is_ascii_uppercase()).next() == Some(variable))
}

/// Text as lines of at most [`WIDTH`] columns, the first behind `first`, the others behind `rest`.
fn wrap(out: &mut impl fmt::Write, first: &str, rest: &str, text: &str) -> fmt::Result {
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(out, "{line}")?;
            rest.clone_into(&mut line);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    writeln!(out, "{line}")
}

/// A terminal's width that most people have.
const WIDTH: usize = 100;

/// The shell variables in commands, and what to set them to.
const PLACEHOLDERS: &[(&str, &str)] = &[
    ("CLIENT_ID", "the API's registration, application (client) ID; this server's setting"),
    ("TENANT_ID", "the directory (tenant) ID; this server's setting"),
    ("BASE_URL", "RESOURCE_SERVER_URL, such as https://your-host, without a slash at the end"),
    ("MCP_URL", "BASE_URL and /mcp"),
    ("PUBLIC_CLIENT_ID", "the MCP client's own registration, application (client) ID"),
    ("REDIRECT_URIS", "all redirect URIs of that platform, the old and the new, with spaces between them"),
    ("SCOPE_ID", "a scope's ID, as the command before shows it"),
    ("PRINCIPAL_ID", "the user-assigned managed identity's object (principal) ID, not its client ID"),
    ("IDENTITY", "the user-assigned managed identity's name"),
    ("RESOURCE_GROUP", "the resource group the identity is in"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_every_entry_is_whole() {
        assert!(all().windows(2).all(|pair| pair[0].code < pair[1].code));
        for Explanation { code, title, meaning, fix, source } in all() {
            assert!(!title.is_empty() && !title.ends_with('.') && !source.is_empty(), "{code}");
            assert!(meaning.ends_with('.'), "{code}");
            assert!(fix.first().is_some_and(|step| !is_command(step)), "{code}: a command needs a sentence before it");
            assert!(fix.iter().all(|step| is_command(step) || !step.contains('\n')), "{code}");
        }
    }

    #[test]
    fn what_was_asked_for_is_here() {
        let asked = [
            28000, 50011, 50013, 50076, 50079, 50105, 50173, 50196, 53003, 65001, 65002, 65004, 70011, 70021, 70043,
            90002, 90009, 90033, 90055, 90094, 240_002, 500_011, 500_131, 500_133, 650_053, 650_057, 700_016, 700_024,
            700_027, 700_211, 700_212, 700_213, 900_144, 901_002, 7_000_114, 7_000_215, 7_000_218, 7_000_222,
            9_002_313, 9_002_327, 9_010_010,
        ];
        for code in asked {
            assert_eq!(find(&code.to_string()).map(|found| found.code), Ok(code));
        }
    }

    #[test]
    fn a_code_is_found_in_every_form() {
        for text in [
            "AADSTS9010010",
            "aadsts9010010",
            "aadsts 9010010",
            "AADSTS: 9010010",
            " 9010010\n",
            "invalid_target: AADSTS9010010: The resource parameter provided in the request …",
            "http://127.0.0.1/?error=invalid_target&error_description=AADSTS9010010%3A+The+resource",
            "AADSTS70002: Error validating credentials. AADSTS9010010: …",
        ] {
            assert_eq!(find(text).map(|found| found.code), Ok(9_010_010), "{text}");
        }
    }

    #[test]
    fn an_outer_code_comes_before_an_inner_one() {
        assert_eq!(find("AADSTS70021: … AADSTS50013: …").map(|found| found.code), Ok(70021));
    }

    #[test]
    fn what_is_not_listed_leads_elsewhere() {
        assert_eq!(find("AADSTS16000"), Err(UnknownCode::NotListed { code: 16000 }));
        for text in ["", "AADSTS", "error 9010010", "AADSTS99999999999"] {
            assert_eq!(find(text), Err(UnknownCode::NoCode), "{text}");
        }
        let refusal = UnknownCode::NotListed { code: 16000 }.to_string();
        assert!(refusal.contains("https://login.microsoftonline.com/error?code=16000"), "{refusal}");
        assert!(refusal.contains("Explained here: 28000, 50011"), "{refusal}");
        assert!(UnknownCode::NoCode.to_string().contains(", 9010010"));
    }

    #[test]
    fn one_explanation_reads_like_this() {
        let text = find("500011").unwrap().to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "AADSTS500011: the directory has no application with this Application ID URI");
        assert_eq!(lines[1], "");
        let steps = lines.iter().position(|line| *line == "To mend it:").unwrap();
        assert!(lines[steps + 1].starts_with("  1. "), "{text}");
        assert!(lines.contains(&"       az ad sp create --id $CLIENT_ID"), "{text}");
        assert!(lines.iter().any(|line| line.starts_with("$CLIENT_ID: ")), "{text}");
        assert!(!text.contains("$PUBLIC_CLIENT_ID: "), "{text}");
        assert!(lines.last().unwrap().starts_with("Source: "), "{text}");
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn no_line_is_too_long_and_nothing_trails() {
        let refusals = [UnknownCode::NoCode.to_string(), UnknownCode::NotListed { code: u32::MAX }.to_string()];
        for text in all().iter().map(ToString::to_string).chain(refusals) {
            for line in text.lines() {
                assert!(line.chars().count() <= WIDTH && line == line.trim_end(), "{line}");
            }
        }
    }

    #[test]
    fn every_variable_of_a_command_is_explained_and_its_quotes_are_closed() {
        for step in all().iter().flat_map(|explanation| explanation.fix).filter(|step| is_command(step)) {
            let unescaped = step.replace("\\\"", "");
            assert_eq!(unescaped.matches('"').count() % 2, 0, "{step}");
            for rest in step.split('$').skip(1) {
                let name = rest.split(|c: char| c != '_' && !c.is_ascii_uppercase()).next().unwrap();
                assert!(PLACEHOLDERS.iter().any(|(known, _)| *known == name), "{name} in {step}");
            }
        }
    }
}
