//! Prepares the files of `static/` for `src/assets/mod.rs`, which puts them into the program.
//!
//! - Each file is kept as it is, and compressed by brotli and by gzip where that makes it smaller.
//! - The documents refer to all files below `static/<version>/`, where the version is a hash of all contents. So browsers
//!   keep the files for good, and relative imports between scripts need no change. With `STATIC_DIR` the server takes the
//!   files as they are on disk, without a version.
//! - The modules of a view become one script and one sheet of styles (`build/joined.rs`).
//! - The documents link the modules that their first view imports (`modulepreload`), so that a browser requests all of them
//!   at once.
//!
//! It also takes the bundles of Swagger UI and ReDoc out of the pages in which the crate `aide` carries them, so that they
//! can be served as separate files, under a policy that allows no script inside a page.

#[path = "build/bundles.rs"]
mod bundles;
#[path = "build/compress.rs"]
mod compress;
#[path = "build/documents.rs"]
mod documents;
#[path = "build/joined.rs"]
mod joined;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Files of text by name, relative to `static/`.
type Files = BTreeMap<String, String>;
/// Pictures, likewise.
type Pictures = BTreeMap<String, Vec<u8>>;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=static");
    let (mut files, mut pictures) = (bundles::read()?, Pictures::new());
    collect(Path::new("static"), "", &mut files, &mut pictures)?;
    joined::join(&mut files)?;
    let version = version(&files, &pictures);
    documents::refer_to_version(&mut files, &version)?;
    let out = env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    let folder = out.join("static");
    // Files of an earlier build would otherwise stay.
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut table = String::new();
    let texts = files.iter().map(|(name, text)| (name, text.as_bytes()));
    let all: BTreeMap<&String, &[u8]> = texts.chain(pictures.iter().map(|(name, it)| (name, it.as_slice()))).collect();
    for (name, bytes) in all {
        table += &write_file(&folder, name, bytes)?;
    }
    fs::write(out.join("static_files.rs"), format!("&[\n{table}]\n"))?;
    fs::write(out.join("static_version.rs"), format!("{version:?}\n"))
}

/// Reads all files below `dir` under their names relative to `static/`, with slashes, and leaves out hidden ones.
fn collect(dir: &Path, prefix: &str, files: &mut Files, pictures: &mut Pictures) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name =
            entry.file_name().into_string().map_err(|name| io::Error::other(format!("{name:?} is not UTF-8")))?;
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{prefix}{name}/"), files, pictures)?;
        } else if name.ends_with(".png") {
            pictures.insert(format!("{prefix}{name}"), fs::read(entry.path())?);
        } else {
            files.insert(format!("{prefix}{name}"), fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}

/// Returns a hash of all names and contents, in hexadecimal.
fn version(files: &Files, pictures: &Pictures) -> String {
    let texts = files.iter().map(|(name, text)| (name, text.as_bytes()));
    let all = texts.chain(pictures.iter().map(|(name, picture)| (name, picture.as_slice())));
    let all: Vec<u8> = all.flat_map(|(name, bytes)| [name.as_bytes(), &[0], bytes, &[0]].concat()).collect();
    format!("{:016x}", hash(&all))
}

/// FNV-1a with 64 bits, as in `src/fnv.rs`.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Writes a file and its compressed forms, and returns its entry in the table that `src/assets/mod.rs` includes.
fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<String> {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap_or(folder))?;
    fs::write(path, bytes)?;
    // Written with the variable, so that the list has no path of the building machine.
    let include = |name: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), {:?}))", format!("/static/{name}"));
    let mut entry = format!("AssetFile {{ name: {name:?}, hash: {:#018x}, identity: {}", hash(bytes), include(name));
    for (field, ending, compressed) in
        [("brotli", "br", compress::brotli(bytes)?), ("gzip", "gz", compress::gzip(bytes)?)]
    {
        let value = if compressed.len() < bytes.len() {
            let name = format!("{name}.{ending}");
            fs::write(folder.join(&name), compressed)?;
            format!("Some({})", include(&name))
        } else {
            "None".to_owned()
        };
        let _ = write!(entry, ", {field}: {value}");
    }
    Ok(entry + " },\n")
}
