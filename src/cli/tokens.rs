//! `token`: credentials with scopes, and pairing a device with one. `audit`: who has changed what.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use serde_json::{Value, json};

use super::args::Args;
use super::expiry::expiry;
use super::http::ApiServer;
use super::output::{field, print, print_json, print_rows};
use super::terminal::plain;
use super::workers;
use crate::clock::Micros;
use crate::logins::CODE_MINUTES;
use crate::percent;

/// Entries of the audit that are printed when `--limit` is not given.
const AUDIT_DEFAULT: usize = 50;

/// Prints the tokens.
pub(super) fn list(server: &ApiServer, args: &Args) -> Result<(), String> {
    let answer = server.json("GET", "/api/tokens", None)?;
    if args.json {
        return print_json(&answer);
    }
    let mut rows = vec![["NAME", "SCOPE", "NARROWED TO", "EXPIRES", "LAST USED", "FROM"].map(str::to_owned)];
    for token in answer["tokens"].as_array().into_iter().flatten() {
        let narrowed = ["workers", "projects"].map(|kind| token[kind].as_array().cloned().unwrap_or_default()).concat();
        let narrowed: Vec<&str> = narrowed.iter().filter_map(Value::as_str).collect();
        let expires = if token["expired"] == true { "expired" } else { field(token, "expires_at") };
        let cells = [
            field(token, "name"),
            field(token, "scope"),
            &narrowed.join(" "),
            expires,
            field(token, "last_used"),
            field(token, "last_address"),
        ];
        rows.push(cells.map(plain));
    }
    print_rows(&rows)
}

/// Makes a token and prints its secret.
pub(super) fn add(server: &ApiServer, name: &str, args: &Args) -> Result<(), String> {
    let made = create(server, name, args)?;
    if args.json {
        return print_json(&made);
    }
    print(field(&made, "secret"))?;
    eprintln!("This is the only time that the token is shown. Clients send it as Authorization: Bearer.");
    Ok(())
}

fn create(server: &ApiServer, name: &str, args: &Args) -> Result<Value, String> {
    let scope = args.scope.as_deref().ok_or("--scope is missing: read, answer, send or admin")?;
    let id = |worker: &String| {
        let path = workers::path(server, worker)?;
        Ok(path.rsplit('/').next().unwrap_or_default().to_owned())
    };
    let workers = args.workers.iter().map(id).collect::<Result<Vec<String>, String>>()?;
    let projects = args.projects.iter().map(|folder| workers::folder(folder)).collect::<Result<Vec<_>, _>>()?;
    let mut body = json!({"name": name, "scope": scope, "workers": workers, "projects": projects});
    if let Some(expires) = &args.expires {
        body["expires_at"] = json!(expiry(expires, Micros::now())?);
    }
    Ok(server.json("POST", "/api/tokens", Some(&body))?)
}

/// Ends a token.
pub(super) fn remove(server: &ApiServer, name: &str, args: &Args) -> Result<(), String> {
    let token = find(server, name)?.ok_or_else(|| unknown(name))?;
    let ended = server.json("DELETE", &path(&token), None)?;
    if args.json { print_json(&ended) } else { Ok(()) }
}

/// Prints a link, and its picture, with which one device logs in with the scope of a token.
pub(super) fn pair(server: &ApiServer, name: &str, args: &Args) -> Result<(), String> {
    let token = match find(server, name)? {
        Some(_) if args.scope.is_some() => {
            return Err(format!(
                "there is a token of this name: {name}; leave --scope out to pair another device with it"
            ));
        }
        Some(token) => token,
        None if args.scope.is_none() => return Err(format!("{}; --scope makes it", unknown(name))),
        None => create(server, name, args)?["token"].take(),
    };
    let page = args.page.clone().or_else(|| page(server)).ok_or("--page is missing: the address of the page")?;
    let pairing = server.json("POST", &format!("{}/pair", path(&token)), Some(&json!({"page": page})))?;
    if args.json {
        return print_json(&pairing);
    }
    let rows: Vec<&str> = pairing["qr"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    print(picture(&rows, io::stdout().is_terminal()).trim_end())?;
    print(&plain(field(&pairing, "link")))?;
    eprintln!(
        "Valid once, for {CODE_MINUTES} minutes, with the scope {}. Five wrong codes end it.",
        field(&token, "scope")
    );
    if is_here(&page) {
        eprintln!("No other device reaches {page}: name the address of the page with --page.");
    }
    Ok(())
}

/// The address by which other devices reach the page, as far as the settings say.
fn page(server: &ApiServer) -> Option<String> {
    let pages = server.pages();
    pages.iter().find(|page| !is_here(page)).or(pages.first()).cloned()
}

/// Returns whether an address is one of this machine alone.
fn is_here(page: &str) -> bool {
    ["://127.", "://localhost", "://[::1]"].iter().any(|here| page.contains(here))
}

/// A picture of two rows in each line. In colors it is dark on light on every terminal; else the light parts are drawn, as most
/// terminals are dark.
fn picture(rows: &[&str], in_colors: bool) -> String {
    let mut text = String::new();
    for pair in rows.chunks(2) {
        let dark = |row: Option<&&str>, at: usize| row.is_some_and(|row| row.as_bytes().get(at) == Some(&b'1'));
        let width = pair.first().map_or(0, |row| row.len());
        let line: String = (0..width)
            .map(|at| match (dark(pair.first(), at) == in_colors, dark(pair.get(1), at) == in_colors) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            })
            .collect();
        // Writing into memory has no way to fail.
        let _ = if in_colors { writeln!(text, "\u{1b}[30;107m{line}\u{1b}[0m") } else { writeln!(text, "{line}") };
    }
    text
}

/// The token of a name or an id.
fn find(server: &ApiServer, named: &str) -> Result<Option<Value>, String> {
    let mut answer = server.json("GET", "/api/tokens", None)?;
    let tokens = answer["tokens"].as_array_mut().map(std::mem::take).unwrap_or_default();
    Ok(tokens.into_iter().find(|token| field(token, "name") == named || field(token, "id") == named))
}

fn unknown(name: &str) -> String {
    format!("no such token: {name}; `rs-worker token ls` lists them")
}

fn path(token: &Value) -> String {
    format!("/api/tokens/{}", percent::encode(field(token, "id")))
}

/// Prints the newest entries of the audit, the last one last.
pub(super) fn audit(server: &ApiServer, args: &Args) -> Result<(), String> {
    let limit = args.limit.unwrap_or(AUDIT_DEFAULT);
    let mut query = format!("/api/audit?limit={limit}");
    if let Some(worker) = &args.worker {
        // One that was deleted is known by its id alone.
        let known = workers::path(server, worker).ok();
        let id = known.as_deref().and_then(|path| path.rsplit('/').next()).map(str::to_owned);
        query += &format!("&worker={}", id.unwrap_or_else(|| percent::encode(worker)));
    }
    if let Some(who) = &args.who {
        query += &format!("&who={}", percent::encode(who));
    }
    let answer = server.json("GET", &query, None)?;
    if args.json {
        return print_json(&answer);
    }
    let mut rows = vec![["TIME", "WHO", "FROM", "STATUS", "ACTION", "WORKER"].map(str::to_owned)];
    for entry in answer["entries"].as_array().into_iter().flatten().rev() {
        let who = if entry["name"].is_string() { field(entry, "name") } else { field(entry, "by") };
        let status = match (entry["status"].as_u64(), entry["more_refusals"].as_u64()) {
            (_, Some(more)) => format!("{more} more refused"),
            (Some(status), None) if entry["refused"] == true => format!("{status} refused"),
            (Some(status), None) => status.to_string(),
            (None, None) => "unfinished".to_owned(),
        };
        let cells = [
            field(entry, "time"),
            who,
            field(entry, "address"),
            &status,
            field(entry, "action"),
            field(entry, "worker"),
        ];
        rows.push(cells.map(plain));
    }
    print_rows(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_has_two_rows_in_a_line() {
        assert_eq!(picture(&["10", "01", "11"], true), "\u{1b}[30;107m▀▄\u{1b}[0m\n\u{1b}[30;107m▀▀\u{1b}[0m\n");
        assert_eq!(picture(&["10", "01"], false), "▄▀\n");
    }
}
