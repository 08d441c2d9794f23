//! Lists the files of `static/`, so that `src/assets.rs` can put them into the program.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=static");
    let mut names = Vec::new();
    collect(Path::new("static"), "", &mut names)?;
    names.sort();
    let mut list = "&[\n".to_owned();
    for name in names {
        // Written with the variable, so that no path of the building machine is in the list.
        let path = format!("/static/{name}");
        let _ = writeln!(list, "    ({name:?}, include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))),");
    }
    list += "]\n";
    let out = env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(out.join("static_files.rs"), list)
}

/// Adds the names of all files below `dir`, relative to `static/`, with slashes; hidden ones are left out.
fn collect(dir: &Path, prefix: &str, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name =
            entry.file_name().into_string().map_err(|name| io::Error::other(format!("{name:?} is not UTF-8")))?;
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{prefix}{name}/"), names)?;
        } else {
            names.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}
