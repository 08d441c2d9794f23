//! Compression of single files.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Files of at most this many bytes are compressed as well as brotli can; larger ones would take seconds for 8 % less.
const BEST_BYTES_MAX: usize = 256 * 1024;
/// Brotli's default window, as a power of two.
const WINDOW_BITS: i32 = 22;

/// Compresses by brotli.
pub(crate) fn brotli(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let quality = if bytes.len() <= BEST_BYTES_MAX { 11 } else { 9 };
    let params =
        brotli::enc::BrotliEncoderParams { quality, lgwin: WINDOW_BITS, size_hint: bytes.len(), ..Default::default() };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut &*bytes, &mut out, &params)?;
    Ok(out)
}

/// Compresses by gzip; without a time in its head, so that equal files give equal bytes.
pub(crate) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}
