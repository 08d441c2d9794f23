//! Styles without comments and blanks.

use std::io;

/// Signs beside which a blank means nothing; before a colon it may stand for a descendant.
const APART: [char; 5] = ['{', '}', ';', ',', '>'];

/// The style without comments and blanks.
pub(crate) fn dense(style: &str) -> io::Result<String> {
    let mut code = String::with_capacity(style.len());
    let mut rest = style;
    while let Some((before, after)) = rest.split_once("/*") {
        code += before;
        rest = after.split_once("*/").ok_or_else(|| io::Error::other("a comment does not end"))?.1;
    }
    code += rest;
    let mut out = String::with_capacity(code.len());
    for word in code.split_whitespace() {
        let is_apart = word.starts_with(APART) || out.ends_with(APART) || out.ends_with(':');
        if !out.is_empty() && !is_apart {
            out.push(' ');
        }
        out += word;
    }
    Ok(out.replace(";}", "}"))
}
