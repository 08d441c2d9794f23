//! Answers that a person reads in a browser, where the page itself cannot come up.

use super::head::Head;
use super::response::Response;

/// A page without scripts, styles and images; nobody may frame it.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A short page: a heading, and paragraphs of plain text.
pub(super) fn page(status: u16, title: &str, paragraphs: &[String]) -> Response {
    let title = escaped(title);
    let body: String = paragraphs.iter().map(|text| format!("<p>{}</p>\n", escaped(text))).collect();
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title></head>\n\
         <body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    );
    Response::with_content(status, "text/html; charset=utf-8", html)
        .with_header("Content-Security-Policy", POLICY)
        .with_header("Referrer-Policy", "no-referrer")
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Cache-Control", "no-store")
}

/// Returns whether a request is that of a browser which opens a page.
pub(super) fn reads_pages(head: &Head) -> bool {
    head.header("accept").is_some_and(|accept| accept.contains("text/html"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_from_outside_are_text() {
        let page = page(403, "a < b", &["<script>alert(\"&\")</script>".to_owned()]);
        let text = String::from_utf8(page.content().bytes().to_vec()).unwrap();
        assert!(text.contains("<p>&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;</p>"), "{text}");
        assert!(text.contains("<h1>a &lt; b</h1>"), "{text}");
        assert_eq!(page.header("content-security-policy"), Some(POLICY));
    }
}
