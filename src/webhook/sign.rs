//! The signature: HMAC-SHA256 over id, time and body, as the Standard Webhooks have it.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The prefix of a secret in base64, as the libraries make them.
const PREFIX: &str = "whsec_";

/// The key.
pub(super) struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// The key that is the secret's bytes, or those that follow `whsec_` in base64.
    ///
    /// # Errors
    /// Fails when the key is not valid base64.
    pub(super) fn new(secret: &str) -> Result<Self, String> {
        let decoded = secret.strip_prefix(PREFIX).map(|text| BASE64.decode(text.as_bytes())).transpose();
        let bytes = decoded.map_err(|_| format!("WEBHOOK_SECRET: the text after {PREFIX} must be base64"))?;
        let bytes = bytes.unwrap_or_else(|| secret.as_bytes().to_vec());
        // HMAC takes keys of any length.
        Hmac::new_from_slice(&bytes).map(Self).map_err(|error| format!("WEBHOOK_SECRET: {error}"))
    }

    /// The `webhook-signature` of a message that is sent at this time, in seconds since the Unix epoch.
    pub(super) fn sign(&self, id: &str, seconds: &str, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn the_signature_is_the_standards() {
        let key = SigningKey::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b"{\"test\": 2432232314}");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(SigningKey::new("whsec_no base64").is_err());
    }
}
