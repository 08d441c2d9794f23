//! Request targets: percent-decoding, the path and the query. Pure functions.

use std::borrow::Cow;

/// A malformed request target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UriError {
    /// A `%` without two hexadecimal digits.
    Percent,
    /// A NUL, or another control character in a path.
    Control,
    /// Bytes that are not UTF-8 after decoding.
    Utf8,
    /// A `.` or `..` segment.
    Dots,
    /// Neither a path, an absolute URI, nor `*` where that is allowed.
    Form,
    /// More than [`QUERY_PAIRS_MAX`] pairs in a query.
    Pairs,
}

/// Most pairs of a query: each costs many times its own bytes in memory, and no request of ours has ten.
const QUERY_PAIRS_MAX: usize = 100;

impl UriError {
    pub(super) const fn detail(self) -> &'static str {
        match self {
            Self::Percent => "the request target has a % that two hexadecimal digits do not follow",
            Self::Control => "the request target has a control character",
            Self::Utf8 => "the request target is not valid UTF-8",
            Self::Dots => "the request path has a . or .. segment",
            Self::Pairs => "the request target has more than 100 parameters",
            Self::Form => "the request target is neither a path nor an http:// address",
        }
    }
}

/// A request target taken apart, still encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestTarget<'a> {
    /// The authority of an absolute-form target (`GET http://host/path`).
    pub(super) authority: Option<&'a str>,
    /// The path from the first `/`; never empty.
    pub(super) path: &'a str,
    /// The part after the `?`.
    pub(super) query: Option<&'a str>,
}

pub(super) fn split(target: &str) -> Result<RequestTarget<'_>, UriError> {
    if target.contains('#') {
        return Err(UriError::Form);
    }
    let (authority, rest) = match strip_scheme(target) {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
        None => (None, target),
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    match path {
        "" if authority.is_some() => Ok(RequestTarget { authority, path: "/", query }),
        _ if path.starts_with('/') => Ok(RequestTarget { authority, path, query }),
        _ => Err(UriError::Form),
    }
}

fn strip_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

/// The decoded path. Dot segments are refused in their decoded form, so that `%2e%2e` and `..%2f` are too.
pub(super) fn decode_path(raw: &str) -> Result<String, UriError> {
    let path = percent_decode(raw, false)?;
    if path.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err(UriError::Control);
    }
    if path.contains("/.") && path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(UriError::Dots);
    }
    Ok(path.into_owned())
}

/// The decoded pairs of a query, in order; a name without `=` has an empty value.
pub(super) fn decode_query(raw: &str) -> Result<Vec<(String, String)>, UriError> {
    let mut pairs = Vec::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == QUERY_PAIRS_MAX {
            return Err(UriError::Pairs);
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (percent_decode(name, true)?, percent_decode(value, true)?);
        if name.contains('\0') || value.contains('\0') {
            return Err(UriError::Control);
        }
        pairs.push((name.into_owned(), value.into_owned()));
    }
    Ok(pairs)
}

fn percent_decode(raw: &str, plus_is_space: bool) -> Result<Cow<'_, str>, UriError> {
    if !raw.bytes().any(|byte| byte == b'%' || (plus_is_space && byte == b'+')) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(UriError::Percent),
            },
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| UriError::Utf8)
}

/// The value of a hexadecimal digit.
pub(super) const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once() {
        assert_eq!(decode_path("/a%20b/%C3%A9"), Ok("/a b/é".into()));
        assert_eq!(decode_path("/a+b"), Ok("/a+b".into()), "a plus is only a space in a query");
        assert_eq!(decode_path("/%2525"), Ok("/%25".into()));
        assert_eq!(decode_path("/..."), Ok("/...".into()));
    }

    #[test]
    fn bad_paths_are_distinguished() {
        for (raw, error) in [
            ("/%", UriError::Percent),
            ("/%4", UriError::Percent),
            ("/%zz", UriError::Percent),
            ("/%+1", UriError::Percent),
            ("/%00", UriError::Control),
            ("/%0d%0aX", UriError::Control),
            ("/%ff", UriError::Utf8),
            ("/../etc", UriError::Dots),
            ("/static/%2e%2e/x", UriError::Dots),
            ("/static/..%2fx", UriError::Dots),
            ("/./x", UriError::Dots),
            ("/x/..", UriError::Dots),
        ] {
            assert_eq!(decode_path(raw), Err(error), "{raw}");
        }
    }

    #[test]
    fn queries_give_their_pairs_in_order() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            decode_query("since=12&q=a+b%26c&&flag&x=1=2"),
            Ok(vec![pair("since", "12"), pair("q", "a b&c"), pair("flag", ""), pair("x", "1=2")])
        );
        assert_eq!(decode_query("q=%00"), Err(UriError::Control));
        assert_eq!(decode_query(&"q&".repeat(QUERY_PAIRS_MAX)).map(|pairs| pairs.len()), Ok(QUERY_PAIRS_MAX));
        assert_eq!(decode_query(&"q&".repeat(QUERY_PAIRS_MAX + 1)), Err(UriError::Pairs));
        assert_eq!(decode_query("q=%f"), Err(UriError::Percent));
        assert_eq!(decode_query("q=%C3"), Err(UriError::Utf8));
    }

    #[test]
    fn targets_are_a_path_or_an_absolute_address() {
        let plain = |path, query| Ok(RequestTarget { authority: None, path, query });
        assert_eq!(split("/a?b?c"), plain("/a", Some("b?c")));
        assert_eq!(split("/a?u=http://x/y"), plain("/a", Some("u=http://x/y")));
        assert_eq!(split("HTTP://h:1/a?q"), Ok(RequestTarget { authority: Some("h:1"), path: "/a", query: Some("q") }));
        assert_eq!(split("http://h"), Ok(RequestTarget { authority: Some("h"), path: "/", query: None }));
        for bad in ["a", "ftp://h/", "h:80", "/a#b", "", "*"] {
            assert_eq!(split(bad), Err(UriError::Form), "{bad}");
        }
    }
}
