//! FNV-1a with 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): the same in every build and on every machine,
//! unlike the standard library's hashers, which values on disk and in the API require. Not for secrets: collisions are
//! easily made. A leaf module.

use std::io;

use serde::Serialize;

const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// The hash of bytes.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    extend(BASIS, bytes)
}

/// The hash of a value as JSON, which is not put together for it.
pub(crate) fn hash_json(value: &(impl Serialize + ?Sized)) -> u64 {
    let mut hash = Hash(BASIS);
    // Writing into the hash cannot fail.
    let _ = serde_json::to_writer(&mut hash, value);
    hash.0
}

fn extend(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

struct Hash(u64);

impl io::Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = extend(self.0, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_those_of_the_algorithms_authors() {
        // From the test suite that they publish.
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(hash_json(&["a", "b"]), hash(br#"["a","b"]"#));
    }
}
