//! The two pages that a person may see: who is there, and what went wrong.

use aws_lc_rs::digest;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::errors::{Correlation, EntraError};
use crate::params::Params;
use crate::scopes::Asked;
use crate::tenant::User;

/// Everybody who may sign in, each as a link to the same request with `login_hint` set.
pub(crate) fn user_picker(params: &Params, asked: &Asked) -> Response {
    let person = |user: User| {
        let link = escape(&format!("?{}", params.query_with("login_hint", user.upn())));
        let (name, upn, rights) = (escape(user.name()), escape(user.upn()), escape(user.rights()));
        format!("<li><a href=\"{link}\"><strong>{name}</strong> <span>{upn}</span></a><p>{rights}</p></li>\n")
    };
    let people: Vec<String> = User::ALL.into_iter().map(person).collect();
    let people = people.concat();
    let wanted: Vec<String> = asked.wanted().iter().map(|name| escape(&format!("{}{name}", asked.prefix))).collect();
    let wanted = if wanted.is_empty() { "who you are".to_owned() } else { wanted.join(", ") };
    let client = escape(params.get("client_id").unwrap_or_default());
    let body = format!(
        "<h1>Who is signing in?</h1>\n<p>The client <code>{client}</code> asks for: <code>{wanted}</code>.</p>\n\
         <ul>\n{people}</ul>\n<p>There are no passwords here: choose whose part to play.</p>"
    );
    page(StatusCode::OK, "Sign in", &body)
}

/// An error that must not be redirected.
pub(crate) fn error(error: &EntraError, correlation: &Correlation) -> Response {
    let description = escape(&error.description(correlation));
    let body = format!("<h1>Sorry, but we are having trouble signing you in</h1>\n<p role=\"alert\">{description}</p>");
    page(error.status(), "Error", &body)
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} – local emulator</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header><p>LOCAL EMULATOR – not Microsoft</p></header>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    );
    let style = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, html).into_response()
}

/// Text for HTML content and for double-quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;margin:0;color:#1b1b1b;background:#fff}\
header{background:#7a2e00;color:#fff;padding:.2rem 1.5rem;font-weight:bold}\
main{max-width:40rem;margin:auto;padding:1rem 1.5rem}\
ul{list-style:none;padding:0}li{margin:0 0 1rem}li p{margin:.3rem 0 0 .2rem}\
li a{display:block;padding:.8rem 1rem;border:2px solid #1b1b1b;border-radius:.5rem;color:inherit;text-decoration:none}\
li a:hover,li a:focus{background:#fff3d6;outline:3px solid #7a2e00}li span{color:#4a4a4a}\
code{overflow-wrap:anywhere}";

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(escape("<a href='x'>\"&"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
    }
}
