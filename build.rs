//! Takes the files of `static/`, so that `src/assets.rs` can put them into the program. Scripts and styles go in without
//! comments and indentation, line by line, so that the page stays light and an error still names the source's line.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=static");
    let mut names = Vec::new();
    collect(Path::new("static"), "", &mut names)?;
    names.sort();
    let out = env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    let mut list = "&[\n".to_owned();
    for name in names {
        let copy = out.join("static").join(&name);
        fs::create_dir_all(copy.parent().unwrap_or(&out))?;
        let content = fs::read(Path::new("static").join(&name))?;
        let is_code = name.ends_with(".js") || name.ends_with(".css");
        fs::write(copy, if is_code { lighter(&content, name.ends_with(".css"))? } else { content })?;
        // Written with the variable, so that no path of the building machine is in the list.
        let path = format!("/static/{name}");
        let _ = writeln!(list, "    ({name:?}, include_bytes!(concat!(env!(\"OUT_DIR\"), {path:?}))),");
    }
    list += "]\n";
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

/// A script or style without indentation and without the lines that are comments and nothing else. Sound because no
/// string of ours goes over several lines, which a test holds them to.
/// Styles lose the blanks around their punctuation too.
fn lighter(content: &[u8], is_style: bool) -> io::Result<Vec<u8>> {
    let text = std::str::from_utf8(content).map_err(io::Error::other)?;
    let mut light = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim();
        let is_comment = line.starts_with("//") || (line.starts_with("/*") && line.ends_with("*/"));
        light.push_str(if is_comment { "" } else { line });
        light.push('\n');
    }
    if is_style {
        for (long, tight) in [(" { ", "{"), (" {\n", "{\n"), ("; }", "}"), ("; ", ";"), (": ", ":"), (", ", ",")] {
            light = light.replace(long, tight);
        }
    }
    Ok(light.into_bytes())
}
