//! `login-link`: prints a link that logs one browser in.

use serde_json::json;

use super::args::Args;
use super::http::ApiServer;
use super::output::{field, print};
use crate::banner::login_link;
use crate::logins::CODE_MINUTES;

/// Makes the server create a code, and prints the links with it: one for each of the server's names.
pub(super) fn link(server: &ApiServer, args: &Args) -> Result<(), String> {
    let made = server.json("POST", "/api/login/code", Some(&json!({})))?;
    let code = field(&made, "code");
    let links: Vec<String> = server.pages().iter().map(|page| login_link(page, code)).collect();
    if args.json {
        return print(&json!({"links": links, "code": code, "expires_at": made["expires_at"]}).to_string());
    }
    print(&links.join("\n"))?;
    eprintln!("Valid once, for {CODE_MINUTES} minutes.");
    Ok(())
}
