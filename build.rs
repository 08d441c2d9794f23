//! Takes the files of `static/`, so that `src/assets.rs` can put them into the program. Scripts and styles go in without
//! comments and blanks, and scripts with short names for what is their own, so that the page stays light. With
//! `STATIC_DIR` the server takes them as they were written.
//!
//! It also takes the bundles of Swagger UI and ReDoc out of the pages in which the crate `aide` carries them, so that they
//! can be served as files of their own, under a policy that allows no script inside a page.

#[path = "build/names.rs"]
mod names;
#[path = "build/styles.rs"]
mod styles;
#[path = "build/tokens.rs"]
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use names::Names;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=static");
    let mut files = BTreeMap::new();
    collect(Path::new("static"), "", &mut files)?;
    let out = env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    let mut list = "&[\n".to_owned();
    for (name, text) in lighter(&files)? {
        let copy = out.join("static").join(name);
        fs::create_dir_all(copy.parent().unwrap_or(&out))?;
        fs::write(copy, text)?;
        // Written with the variable, so that no path of the building machine is in the list.
        let path = format!("/static/{name}");
        let _ = writeln!(list, "    ({name:?}, include_bytes!(concat!(env!(\"OUT_DIR\"), {path:?}))),");
    }
    list += "]\n";
    fs::write(out.join("static_files.rs"), list)?;
    let folder = out.join("bundles");
    fs::create_dir_all(&folder)?;
    bundles(&mut |name, content| fs::write(folder.join(name), content))
}

/// Gives the files of Swagger UI and ReDoc, by name.
fn bundles(write: &mut dyn FnMut(&str, &str) -> io::Result<()>) -> io::Result<()> {
    let swagger = aide::swagger::Swagger::new("").html();
    write("swagger-ui.css", between(&swagger, "<style>", "</style>")?)?;
    let script = between(&swagger, "<script>", "</script>\n<!-- `SwaggerUIBundle` is now available")?;
    write("swagger-ui.js", script)?;
    let redoc = aide::redoc::Redoc::new("").html();
    let script = between(&redoc, "<script>", "//# sourceMappingURL=")?;
    // A logo beside its name, which it would fetch from the internet.
    let logo = "\"https://cdn.redoc.ly/redoc/logo-mini.svg\"";
    if !script.contains(logo) {
        return Err(changed(logo));
    }
    write("redoc.js", &script.replace(logo, NO_IMAGE))
}

/// An image with nothing in it, as a script's text.
const NO_IMAGE: &str = "\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E\"";

/// What stands after the first `begin` and before the last `end`.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> io::Result<&'t str> {
    let (_, rest) = text.split_once(begin).ok_or_else(|| changed(begin))?;
    Ok(rest.rsplit_once(end).ok_or_else(|| changed(end))?.0.trim())
}

fn changed(wanted: &str) -> io::Error {
    io::Error::other(format!("aide's pages have changed: there is no {wanted:?} in them"))
}

/// Takes all files below `dir` under their names relative to `static/`, with slashes; hidden ones are left out.
fn collect(dir: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name =
            entry.file_name().into_string().map_err(|name| io::Error::other(format!("{name:?} is not UTF-8")))?;
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{prefix}{name}/"), files)?;
        } else {
            files.insert(format!("{prefix}{name}"), fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}

/// The files as they are served.
fn lighter(files: &BTreeMap<String, String>) -> io::Result<Vec<(&str, String)>> {
    let in_file = |name: &str, error: io::Error| io::Error::other(format!("static/{name}: {error}"));
    let mut scripts = BTreeMap::new();
    for (name, text) in files.iter().filter(|(name, _)| name.ends_with(".js")) {
        scripts.insert(name, Names::read(text).map_err(|error| in_file(name, error))?);
    }
    let foreign: BTreeSet<_> = scripts.values().flat_map(Names::foreign).collect();
    let served = |name: &String, text: &String| match scripts.get(name) {
        Some(names) => tokens::dense(&names.shortened(&foreign)),
        None if name.ends_with(".css") => styles::dense(text),
        None => Ok(text.clone()),
    };
    let one = |(name, text)| Ok((name as &str, served(name, text).map_err(|error| in_file(name, error))?));
    files.iter().map(one).collect()
}
