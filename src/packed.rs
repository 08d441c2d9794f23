//! Compressed transcripts (`.jsonl.zst`): Codex packs sessions that have been idle for a week.
//!
//! A packed file never grows, so it is unpacked once, into a file without a name, and read there by offset like any
//! other. The window that a frame may request bounds the memory, and [`UNPACKED_MAX`] bounds the disk.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ruzstd::decoding::StreamingDecoder;

/// Largest window of a frame, in bytes: the memory that unpacking takes. The levels that programs use stay below.
const WINDOW_MAX: u64 = 16 * 1024 * 1024;
/// Longest transcript that is unpacked, in bytes.
const UNPACKED_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes that are unpacked at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// The end of a packed transcript's name.
pub(crate) const SUFFIX: &str = ".jsonl.zst";

/// Returns whether a file of this name is packed.
pub(crate) fn is_packed(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.ends_with(SUFFIX))
}

/// The file's first frame, unpacked as it is read.
///
/// # Errors
/// Fails when it isn't a frame, or asks for too much memory.
pub(crate) fn reader(file: File) -> io::Result<impl Read> {
    frame(BufReader::new(file))
}

fn frame<R: Read>(source: R) -> io::Result<impl Read> {
    StreamingDecoder::new_with_max_window_size(source, WINDOW_MAX).map_err(|error| broken(&error))
}

fn broken(error: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("it can't be decompressed: {error}"))
}

/// The content of a packed file, in a temporary file without a name.
///
/// # Errors
/// Fails when the file isn't valid, is too long, or there is no space.
pub(crate) fn unpack(file: &File) -> io::Result<File> {
    let mut source = BufReader::new(file);
    let mut unpacked = nameless()?;
    let (mut chunk, mut total) = (vec![0; CHUNK_BYTES], 0);
    while !source.fill_buf()?.is_empty() {
        let mut frame = frame(&mut source)?;
        loop {
            let count = frame.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            total += count as u64;
            if total > UNPACKED_MAX {
                return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {UNPACKED_MAX} bytes")));
            }
            unpacked.write_all(chunk.get(..count).unwrap_or_default())?;
        }
    }
    Ok(unpacked)
}

/// A new file that only this process can reach.
fn nameless() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("rs-worker-{}", uuid::Uuid::new_v4()));
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;
    use crate::scratch::Scratch;

    fn unpacked(bytes: &[u8]) -> io::Result<String> {
        let folder = Scratch::new();
        let path = folder.path().join("a.jsonl.zst");
        fs::write(&path, bytes)?;
        let mut text = String::new();
        let mut file = unpack(&File::open(&path)?)?;
        io::Seek::rewind(&mut file)?;
        file.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn packed_file_is_unpacked_frame_after_frame() {
        let text = "{\"n\":1}\n".repeat(100_000);
        let mut packed = compress_to_vec(text.as_bytes(), CompressionLevel::Fastest);
        assert!(packed.len() < text.len() / 10);
        packed.extend(compress_to_vec(&b"{}\n"[..], CompressionLevel::Uncompressed));
        assert_eq!(unpacked(&packed).unwrap(), text + "{}\n");
    }

    #[test]
    fn broken_or_greedy_file_is_refused() {
        let packed = compress_to_vec(&b"{\"n\":1}\n"[..], CompressionLevel::Fastest);
        assert!(unpacked(&packed[..packed.len() - 3]).is_err());
        assert!(unpacked(b"{\"n\":1}\n").is_err());
        // A frame that asks for a window of 1 GiB.
        let greedy = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (20 << 3), 0x01, 0x00, 0x00];
        assert!(unpacked(&greedy).unwrap_err().to_string().contains("window"));
    }
}
