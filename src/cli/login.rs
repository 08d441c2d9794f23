//! `login-link`: the way into the page, for one browser.

use serde_json::json;

use super::args::Args;
use super::http::Server;
use super::output::{field, print};
use crate::banner::login_link;
use crate::logins::CODE_MINUTES;

/// Has the server make a code, and prints the links with it: the same code by each of the server's names.
pub(super) fn link(server: &Server, args: &Args) -> Result<(), String> {
    let made = server.json("POST", "/api/login/code", Some(&json!({})))?;
    let code = field(&made, "code");
    let links: Vec<String> = server.pages().iter().map(|page| login_link(page, code)).collect();
    if args.json {
        return print(&json!({"links": links, "code": code, "expires_at": made["expires_at"]}).to_string());
    }
    print(&links.join("\n"))?;
    eprintln!("Good once, for {CODE_MINUTES} minutes. Whoever opens it first is logged in.");
    Ok(())
}
