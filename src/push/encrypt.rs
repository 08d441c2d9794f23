//! Encryption of a message for one browser (RFC 8291, with the content coding of RFC 8188), so that the push service
//! between it and us reads nothing.

use std::io;

use aes_gcm::aead::Aead as _;
use aes_gcm::{Aes128Gcm, KeyInit as _, Nonce};
use hkdf::Hkdf;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{PublicKey, SecretKey, ecdh};
use sha2::Sha256;

/// The content coding.
pub(super) const CODING: &str = "aes128gcm";
/// Longest message, in bytes before padding.
pub(super) const MESSAGE_BYTES_MAX: usize = 3 * 1024;
/// Bytes of a browser's authentication secret.
pub(super) const AUTH_BYTES: usize = 16;
/// Messages are padded to a multiple of this, so that their length says nothing of a name.
const PADDED_TO: usize = 256;
/// Size of a record; a message is one.
const RECORD_BYTES: u32 = 4096;
/// Bytes of the salt.
const SALT_BYTES: usize = 16;
/// The mark after the text of the last record.
const LAST_RECORD: u8 = 2;
/// Tries to make a key of random bytes; one in 2^32 is not a valid key.
const KEY_TRIES: usize = 8;

/// A browser's keys.
pub(super) struct Receiver {
    pub(super) key: PublicKey,
    pub(super) auth: [u8; AUTH_BYTES],
}

/// The random part of a message.
struct Fresh {
    key: SecretKey,
    salt: [u8; SALT_BYTES],
}

/// Encrypts a message.
///
/// # Errors
/// Fails when the system has no random bytes, or the message is too long.
pub(super) fn encrypt(message: &[u8], receiver: &Receiver) -> io::Result<Vec<u8>> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(io::Error::other)?;
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(io::Error::other("the message is too long to push"));
    }
    let mut text = message.to_vec();
    text.push(LAST_RECORD);
    text.resize(text.len().next_multiple_of(PADDED_TO), 0);
    sealed(&text, receiver, &Fresh { key: random_key()?, salt })
}

/// A new private key.
///
/// # Errors
/// Fails when the system has no random bytes.
pub(super) fn random_key() -> io::Result<SecretKey> {
    let mut bytes = [0_u8; 32];
    for _ in 0..KEY_TRIES {
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        if let Ok(key) = SecretKey::from_slice(&bytes) {
            return Ok(key);
        }
    }
    Err(io::Error::other("the system's random bytes make no key"))
}

/// The uncompressed form of a public key, as browsers send it: 65 bytes.
pub(super) fn point(key: &PublicKey) -> Vec<u8> {
    key.to_sec1_point(false).as_bytes().to_vec()
}

/// The whole body: the head of the coding, and its only record, whose text has its mark and padding.
fn sealed(text: &[u8], receiver: &Receiver, fresh: &Fresh) -> io::Result<Vec<u8>> {
    let failed = |what: &str| io::Error::other(format!("a message cannot be encrypted: {what}"));
    let own_key = point(&fresh.key.public_key());
    let shared = ecdh::diffie_hellman(fresh.key.to_nonzero_scalar(), receiver.key.as_affine());
    // RFC 8291, section 3.4.
    let info = [b"WebPush: info\0", point(&receiver.key).as_slice(), &own_key].concat();
    let mut secret = [0; 32];
    let derived = Hkdf::<Sha256>::new(Some(&receiver.auth), shared.raw_secret_bytes()).expand(&info, &mut secret);
    derived.map_err(|_| failed("key"))?;
    // RFC 8188, section 2.2.
    let derive = Hkdf::<Sha256>::new(Some(&fresh.salt), &secret);
    let (mut key, mut nonce) = ([0; 16], [0; 12]);
    derive.expand(b"Content-Encoding: aes128gcm\0", &mut key).map_err(|_| failed("key"))?;
    derive.expand(b"Content-Encoding: nonce\0", &mut nonce).map_err(|_| failed("nonce"))?;
    let cipher = Aes128Gcm::new(&key.into());
    let record = cipher.encrypt(&Nonce::from(nonce), text).map_err(|_| failed("record"))?;
    let key_length = u8::try_from(own_key.len()).map_err(|_| failed("key"))?;
    Ok([&fresh.salt, RECORD_BYTES.to_be_bytes().as_slice(), &[key_length], &own_key, &record].concat())
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;

    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
    }

    /// The example of RFC 8291, section 5 and appendix A.
    #[test]
    fn encryption_is_that_of_the_standard() {
        let receiver = Receiver {
            key: PublicKey::from_sec1_bytes(&bytes(
                "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            ))
            .unwrap(),
            auth: bytes("BTBZMqHH6r4Tts7J_aSIgg").try_into().unwrap(),
        };
        let fresh = Fresh {
            key: SecretKey::from_slice(&bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")).unwrap(),
            salt: bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap(),
        };
        let body = sealed(b"When I grow up, I want to be a watermelon\x02", &receiver, &fresh).unwrap();
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8\
                        wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(BASE64URL_NOPAD.encode(&body), expected);
    }

    #[test]
    fn length_of_a_message_is_hidden_and_bounded() {
        let key = random_key().unwrap().public_key();
        let receiver = Receiver { key, auth: [7; AUTH_BYTES] };
        let length = |bytes: usize| encrypt(&vec![b'x'; bytes], &receiver).map(|body| body.len()).ok();
        assert_eq!(length(10), length(200));
        assert_ne!(length(10), length(300));
        assert!(length(MESSAGE_BYTES_MAX).unwrap() <= 4096, "push services take no more");
        assert_eq!(length(MESSAGE_BYTES_MAX + 1), None);
        let twice = [0; 2].map(|_| encrypt(b"same", &receiver).unwrap());
        assert_ne!(twice[0], twice[1]);
    }
}
