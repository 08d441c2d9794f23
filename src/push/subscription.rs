//! A subscription: the address at a push service that reaches one browser, and the browser's keys.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use p256::PublicKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::encrypt::{AUTH_BYTES, Receiver};
use crate::outbound::{self, OutboundTarget};

/// Longest address, in bytes.
const ENDPOINT_BYTES_MAX: usize = 2048;
/// Longest text of a key, in bytes.
const KEY_BYTES_MAX: usize = 128;
/// Bytes of an address's hash that name a subscription.
const ID_BYTES: usize = 16;

/// A subscription, as a browser sends it.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewSubscription {
    /// The address at the push service. Whoever has it and the server's key can push.
    pub endpoint: String,
    /// The browser's public key.
    pub p256dh: String,
    /// The browser's authentication secret.
    pub auth: String,
    /// The browser's `User-Agent`.
    pub agent: String,
    /// The login that it came with; its notices end with it.
    pub login: Option<String>,
    /// The id of the token that it came with: it gets the notices of the token's workers, and ends with it.
    pub token: Option<String>,
}

/// A mistake in a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SubscriptionMistake {
    /// The field at fault.
    pub field: &'static str,
    /// The mistake, for people.
    pub text: String,
}

/// A subscription, as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PushSubscription {
    /// Its name in lists; no secret.
    pub id: String,
    endpoint: String,
    p256dh: String,
    auth: String,
    /// The browser's `User-Agent`.
    pub agent: String,
    /// The login that it came with.
    pub login: Option<String>,
    /// The id of the token that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The time when it was made, in microseconds since the Unix epoch.
    pub created: u64,
    /// The time when the page has sent it last.
    pub renewed: u64,
}

impl PushSubscription {
    /// Checks what a browser has sent. Addresses inside the own network, and those without TLS on this machine, are taken
    /// only if `allow_private`.
    ///
    /// # Errors
    /// The first mistake.
    pub(super) fn new(new: NewSubscription, allow_private: bool, now: u64) -> Result<Self, SubscriptionMistake> {
        check_endpoint(&new.endpoint, allow_private).map_err(|text| SubscriptionMistake { field: "endpoint", text })?;
        receiver(&new.p256dh, &new.auth)?;
        Ok(Self {
            id: id_of(&new.endpoint),
            endpoint: new.endpoint,
            p256dh: new.p256dh,
            auth: new.auth,
            agent: new.agent,
            login: new.login,
            token: new.token,
            created: now,
            renewed: now,
        })
    }

    /// The push service's address.
    pub(super) fn target(&self) -> Result<OutboundTarget, String> {
        OutboundTarget::parse(&self.endpoint)
    }

    /// The browser's keys.
    pub(super) fn receiver(&self) -> Result<Receiver, String> {
        receiver(&self.p256dh, &self.auth).map_err(|mistake| mistake.text)
    }

    /// The name of the push service, for people.
    pub(crate) fn service(&self) -> String {
        self.target().map(|target| target.host).unwrap_or_default()
    }

    /// Takes over what the same browser has sent again.
    pub(super) fn renew(&mut self, newer: Self) {
        *self = Self { created: self.created, ..newer };
    }

    /// Returns whether both are of the same browser, which alone knows these keys.
    pub(super) fn has_keys_of(&self, other: &Self) -> bool {
        (&self.p256dh, &self.auth) == (&other.p256dh, &other.auth)
    }

    /// Returns whether both say the same, but for their times.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let facts =
            |it: &Self| (it.endpoint.clone(), it.p256dh.clone(), it.auth.clone(), it.login.clone(), it.token.clone());
        facts(self) == facts(other)
    }
}

fn id_of(endpoint: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(endpoint.as_bytes())[..ID_BYTES])
}

fn check_endpoint(endpoint: &str, allow_private: bool) -> Result<(), String> {
    if endpoint.len() > ENDPOINT_BYTES_MAX {
        return Err(format!("has more than {ENDPOINT_BYTES_MAX} bytes"));
    }
    let target = OutboundTarget::parse(endpoint)?;
    if !allow_private {
        outbound::check_literal(&target)?;
    }
    let is_here = target.literal_address().map_or(target.host == "localhost", |address| address.is_loopback());
    if target.tls || (allow_private && is_here) { Ok(()) } else { Err("must begin with https://".to_owned()) }
}

fn receiver(p256dh: &str, auth: &str) -> Result<Receiver, SubscriptionMistake> {
    let decoded = |field, text: &str| {
        let short = Some(text.trim_end_matches('=')).filter(|text| text.len() <= KEY_BYTES_MAX);
        short
            .and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok())
            .ok_or_else(|| SubscriptionMistake { field, text: "is not a key in base64url".to_owned() })
    };
    let wrong = |field, text: &str| SubscriptionMistake { field, text: text.to_owned() };
    let key = PublicKey::from_sec1_bytes(&decoded("p256dh", p256dh)?);
    let key = key.map_err(|_| wrong("p256dh", "is not a public key of P-256"))?;
    let auth: [u8; AUTH_BYTES] =
        decoded("auth", auth)?.try_into().map_err(|_| wrong("auth", "does not have 16 bytes"))?;
    Ok(Receiver { key, auth })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::sample::at;

    fn mistake(new: NewSubscription, allow_private: bool) -> Option<(&'static str, String)> {
        PushSubscription::new(new, allow_private, 0).err().map(|mistake| (mistake.field, mistake.text))
    }

    #[test]
    fn addresses_without_tls_and_of_the_own_network_are_refused() {
        assert_eq!(mistake(at("https://push.example/a"), false), None);
        let long = format!("https://push.example/{}", "a".repeat(ENDPOINT_BYTES_MAX));
        for (endpoint, said) in [
            ("http://push.example/a", "must begin with https://"),
            ("http://localhost:1/a", "must begin with https://"),
            ("ftp://push.example", "must begin with http:// or https://"),
            ("https://user@push.example/", "must have no user name in it"),
            ("https://169.254.169.254/latest/meta-data", "(link-local)"),
            ("https://127.0.0.1/", "(this machine)"),
            ("https://[::ffff:10.0.0.1]/", "(a private network)"),
            ("https://push.example/a\r\nX: y", "must be of printable ASCII characters"),
            (&long, "has more than 2048 bytes"),
            ("", "must begin with http:// or https://"),
        ] {
            let (field, text) = mistake(at(endpoint), false).unwrap();
            assert!(field == "endpoint" && text.contains(said), "{endpoint}: {text}");
        }
        // If the operator allows it, a service on this machine needs no TLS; others always do.
        for (endpoint, is_fine) in [
            ("http://127.0.0.1:1/a", true),
            ("http://[::1]:1/a", true),
            ("http://localhost:1/a", true),
            ("https://10.0.0.1/a", true),
            ("http://10.0.0.1/a", false),
            ("http://push.example/a", false),
        ] {
            assert_eq!(mistake(at(endpoint), true).is_none(), is_fine, "{endpoint}");
        }
    }

    #[test]
    fn keys_that_are_not_keys_are_refused() {
        let good = at("https://push.example/a");
        let padded = NewSubscription { auth: format!("{}==", good.auth), ..good.clone() };
        assert_eq!(mistake(padded, false), None);
        for (p256dh, auth, field) in [
            ("", good.auth.as_str(), "p256dh"),
            ("AAAA", &good.auth, "p256dh"),
            (&BASE64URL_NOPAD.encode(&[4; 65]), &good.auth, "p256dh"),
            (&"A".repeat(1_000_000), &good.auth, "p256dh"),
            (&good.p256dh, "", "auth"),
            (&good.p256dh, "AAAA", "auth"),
            (&good.p256dh, "??", "auth"),
        ] {
            let new = NewSubscription { p256dh: p256dh.to_owned(), auth: auth.to_owned(), ..good.clone() };
            assert_eq!(mistake(new, false).map(|(field, _)| field), Some(field), "{:.20} {auth}", p256dh);
        }
    }
}
