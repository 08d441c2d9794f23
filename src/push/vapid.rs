//! The server's identity towards push services (RFC 8292): a key pair that is made once, and a signed statement with each
//! message.

use std::io;
use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::json;

use super::encrypt::{point, random_key};
use crate::private_file;

/// Name of the file with the private key, in the data folder.
const FILE: &str = ".push_key";
/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 1024;
/// Seconds that a statement is good for; push services take at most a day.
const SECONDS: u64 = 12 * 3600;

/// The key pair.
pub(super) struct Vapid {
    key: SigningKey,
    /// The public key, as browsers and push services take it.
    pub(super) public: String,
}

impl Vapid {
    /// The key pair in the data folder, which is made when there is none. It is never replaced automatically: browsers'
    /// subscriptions are bound to it.
    ///
    /// # Errors
    /// Fails when the file can't be read or written, or holds no key.
    pub(super) fn open(data: &Path) -> io::Result<Self> {
        let file = data.join(FILE);
        let named = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", file.display()));
        if let Some(own) = Self::read(&file).map_err(|error| named(&error))? {
            return Ok(own);
        }
        let key = random_key()?;
        let text = BASE64URL_NOPAD.encode(&key.to_bytes());
        match private_file::create(&file, format!("{text}\n").as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(named(&error)),
            // Another request was first.
            _ => Self::read(&file).map_err(|error| named(&error))?.ok_or_else(|| named(&"is gone")),
        }
    }

    fn read(file: &Path) -> io::Result<Option<Self>> {
        let bytes = private_file::read(file, FILE_MAX).map_err(|error| io::Error::other(error.to_string()))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let invalid = || io::Error::other("does not hold a key; remove it, and browsers must be subscribed again");
        let key = BASE64URL_NOPAD.decode(bytes.trim_ascii()).map_err(|_| invalid())?;
        let key = SecretKey::from_slice(&key).map_err(|_| invalid())?;
        let public = BASE64URL_NOPAD.encode(&point(&key.public_key()));
        Ok(Some(Self { key: SigningKey::from(key), public }))
    }

    /// The value of `Authorization` for the push service at `origin`, at this time in seconds since the Unix epoch.
    ///
    /// # Errors
    /// Fails when it can't be signed.
    pub(super) fn authorization(&self, origin: &str, contact: &str, now: u64) -> io::Result<String> {
        let encoded = |value: serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let head = encoded(json!({"typ": "JWT", "alg": "ES256"}));
        let claims = encoded(json!({"aud": origin, "exp": now + SECONDS, "sub": contact}));
        let signed = format!("{head}.{claims}");
        let signature: Signature =
            self.key.try_sign(signed.as_bytes()).map_err(|error| io::Error::other(error.to_string()))?;
        let signature = BASE64URL_NOPAD.encode(&signature.to_bytes());
        Ok(format!("vapid t={signed}.{signature}, k={}", self.public))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::Verifier as _;

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn key_is_made_once_and_kept_in_a_private_file() {
        let folder = Scratch::new();
        let first = Vapid::open(folder.path()).unwrap();
        assert_eq!(Vapid::open(folder.path()).unwrap().public, first.public);
        assert_eq!(BASE64URL_NOPAD.decode(first.public.as_bytes()).unwrap().len(), 65);
        let file = folder.path().join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_ne!(Vapid::open(Scratch::new().path()).unwrap().public, first.public);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Vapid::open(folder.path()).err().unwrap().to_string();
        assert!(refused.ends_with("is open to other users (mode 0644)"), "{refused}");
    }

    #[test]
    fn file_without_a_key_is_refused_and_stays() {
        let folder = Scratch::new();
        for text in ["", "AAAA", "not base64!", &BASE64URL_NOPAD.encode(&[0; 32])] {
            private_file::replace(&folder.path().join(FILE), text.as_bytes()).unwrap();
            assert!(Vapid::open(folder.path()).err().unwrap().to_string().contains("does not hold a key"), "{text}");
            assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), text);
        }
    }

    #[test]
    fn statement_names_service_contact_and_end_and_is_signed() {
        let own = Vapid::open(Scratch::new().path()).unwrap();
        let value = own.authorization("https://push.example", "mailto:a@b.example", 1_000).unwrap();
        let (token, key) = value.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        assert_eq!(key, own.public);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (_, claims) = signed.split_once('.').unwrap();
        let claims: serde_json::Value =
            serde_json::from_slice(&BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap()).unwrap();
        assert_eq!(claims, json!({"aud": "https://push.example", "exp": 44_200, "sub": "mailto:a@b.example"}));
        let public = VerifyingKey::from_sec1_bytes(&BASE64URL_NOPAD.decode(key.as_bytes()).unwrap()).unwrap();
        let signature = Signature::from_slice(&BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap()).unwrap();
        public.verify(signed.as_bytes(), &signature).unwrap();
    }
}
