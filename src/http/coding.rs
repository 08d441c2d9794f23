//! The content coding that a client prefers, from its `Accept-Encoding` (RFC 9110, 12.5.3). Pure.

use crate::http::Head;

/// A content coding of files that are compressed when the program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Not compressed.
    Identity,
    /// Gzip.
    Gzip,
    /// Brotli.
    Brotli,
}

impl Coding {
    /// The value of `Content-Encoding`; `None` for identity.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }

    /// Returns the coding that the client prefers among those that `has` returns true for; identity is always there.
    /// Equal preferences go to the smaller coding. A client that accepts none gets identity.
    pub(crate) fn preferred(head: &Head, has: impl Fn(Self) -> bool) -> Self {
        let weights = Weights::read(head);
        let mut best = (0, Self::Identity);
        for coding in [Self::Brotli, Self::Gzip, Self::Identity] {
            let weight = weights.of(coding);
            if weight > best.0 && (coding == Self::Identity || has(coding)) {
                best = (weight, coding);
            }
        }
        best.1
    }
}

/// The weights of the codings in thousandths; `None` where the client does not name one.
#[derive(Default)]
struct Weights {
    brotli: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Weights {
    fn read(head: &Head) -> Self {
        let mut weights = Self::default();
        let values = head.headers().filter(|(name, _)| name.eq_ignore_ascii_case("accept-encoding"));
        for member in values.flat_map(|(_, value)| value.split(',')) {
            let (name, parameters) = member.split_once(';').unwrap_or((member, ""));
            let slot = match name.trim().to_ascii_lowercase().as_str() {
                "br" => &mut weights.brotli,
                "gzip" | "x-gzip" => &mut weights.gzip,
                "identity" => &mut weights.identity,
                "*" => &mut weights.any,
                _ => continue,
            };
            // A member whose weight can't be read counts as not named.
            *slot = weight(parameters).or(*slot);
        }
        weights
    }

    fn of(&self, coding: Coding) -> u16 {
        match coding {
            Coding::Brotli => self.brotli.or(self.any).unwrap_or(0),
            Coding::Gzip => self.gzip.or(self.any).unwrap_or(0),
            // Acceptable unless the client excludes it, and the last choice unless it gives it a weight.
            Coding::Identity => self.identity.or(self.any.filter(|any| *any == 0)).unwrap_or(1),
        }
    }
}

/// Reads the weight of a member (`q=0.5`) in thousandths: 1000 where there is none, `None` where it is malformed.
fn weight(parameters: &str) -> Option<u16> {
    let text = parameters.trim();
    if text.is_empty() {
        return Some(1000);
    }
    let (name, value) = text.split_once('=')?;
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let is_number = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !name.trim().eq_ignore_ascii_case("q") || !is_number {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred(fields: &str, has: &[Coding]) -> Coding {
        let text = format!("GET /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let head = Head::parse(text.as_bytes(), ([127, 0, 0, 1], 1).into()).unwrap().unwrap().0;
        Coding::preferred(&head, |coding| has.contains(&coding))
    }

    #[test]
    fn client_gets_the_coding_of_its_highest_weight() {
        use Coding::{Brotli, Gzip, Identity};
        for (value, expected) in [
            ("gzip, deflate, br, zstd", Brotli),
            ("GZIP", Gzip),
            ("x-gzip", Gzip),
            ("br;q=0.5, gzip;q=0.8", Gzip),
            ("br; q=0.5 , gzip ;q=0.5", Brotli),
            ("br;Q=1.000, gzip;q=0.999", Brotli),
            ("br;q=0, gzip;q=0", Identity),
            ("br;q=0, *", Gzip),
            ("*", Brotli),
            ("*;q=0", Identity),
            ("*;q=0, gzip", Gzip),
            ("*;q=0.1, identity", Identity),
            ("identity, gzip;q=0.5", Identity),
            ("identity;q=0.5, gzip;q=0.001", Identity),
            ("gzip;q=0.001", Gzip),
            ("identity;q=0", Identity),
            ("br;q=2, gzip;q=0.1", Gzip),
            ("br;q=0.1234, gzip;q=-1", Identity),
            ("br;level=5", Identity),
            ("deflate, zstd", Identity),
            ("", Identity),
            (",;,q=1;;", Identity),
        ] {
            assert_eq!(preferred(&format!("Accept-Encoding: {value}\r\n"), &[Brotli, Gzip]), expected, "{value:?}");
        }
    }

    #[test]
    fn client_without_the_header_gets_identity() {
        assert_eq!(preferred("", &[Coding::Brotli, Coding::Gzip]), Coding::Identity);
    }

    #[test]
    fn several_headers_count_as_one() {
        let fields = "Accept-Encoding: br;q=0.1\r\naccept-encoding: gzip\r\n";
        assert_eq!(preferred(fields, &[Coding::Brotli, Coding::Gzip]), Coding::Gzip);
    }

    #[test]
    fn missing_coding_is_passed_over() {
        assert_eq!(preferred("Accept-Encoding: br, gzip\r\n", &[Coding::Gzip]), Coding::Gzip);
        assert_eq!(preferred("Accept-Encoding: br, gzip\r\n", &[]), Coding::Identity);
    }
}
