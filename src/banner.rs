//! The banner at the start of the server: every setting with its source, the detected CLIs, and the addresses.
//! [`render`] is pure; it shows no secret but the code in the login link, which is valid once and for a few minutes.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::config::{Config, SETTINGS, Setting, SettingGroup, ValueSource};
use crate::logins::CODE_MINUTES;
use crate::percent;
use crate::token::AuthToken;

/// Columns of the rules above and below.
const RULE: usize = 70;
/// Letters of a text that comes from outside (a version, a broken adapter's reason).
const OUTSIDE_MAX: usize = 200;

/// The contents of the banner besides the configuration.
#[derive(Clone, Debug)]
pub(crate) struct BannerFacts<'a> {
    /// The program's version.
    pub version: &'a str,
    /// The address that the server listens on, with the port that it got.
    pub address: SocketAddr,
    /// Every CLI that workers can use, built-in and declared.
    pub clis: &'a [CliFact],
    /// Declared adapters that could not be read: where and why, a sentence each.
    pub broken_adapters: &'a [String],
    /// Workers whose CLI was still running and has been attached to.
    pub running_workers: usize,
    /// Workers that are stopped.
    pub stopped_workers: usize,
    /// The token that clients must send.
    pub token: Option<&'a AuthToken>,
    /// A code for the login link.
    pub login_code: Option<&'a str>,
}

/// A CLI and its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CliFact {
    /// The name that workers ask for: `claude`.
    pub kind: String,
    /// The program, by name or path, as it was configured.
    pub binary: String,
    /// The result of looking for it.
    pub program: Program,
    /// The file that declares it, unless it is built in.
    pub declared_in: Option<PathBuf>,
}

/// The result of looking for a CLI's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// Not installed.
    Missing,
    /// Installed; it does not print its version.
    Found,
    /// Installed, with the version that it prints.
    Version(String),
}

/// Prints a banner to stdout. A closed stdout is not a failure.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The whole text, with a newline at its end.
pub(crate) fn render(config: &Config, facts: &BannerFacts<'_>) -> String {
    let mut text = String::new();
    headline(&mut text, &[format!("Starting AI Code Worker Manager (rs-worker {})...", facts.version)]);
    for group in SettingGroup::ALL {
        section(&mut text, config, facts, group);
    }
    list(&mut text, "⚠️  Warnings:", &config.warnings);
    adapters(&mut text, config, facts);
    let _ = writeln!(text, "\n🚀 Initializing Worker Manager...");
    let _ = writeln!(text, "  Workers: {} running, {} stopped\n", facts.running_workers, facts.stopped_workers);
    headline(&mut text, &farewell(config, facts));
    text
}

fn headline(text: &mut String, lines: &[String]) {
    let rule = "=".repeat(RULE);
    let _ = writeln!(text, "{rule}\n{}\n{rule}", lines.join("\n"));
}

fn section(text: &mut String, config: &Config, facts: &BannerFacts<'_>, group: SettingGroup) {
    let (heading, indent) = match group {
        SettingGroup::Server => ("📡 Server Configuration:", "  "),
        SettingGroup::Worker => ("⚙️  Worker Configuration:", "  "),
        SettingGroup::Cli => ("🤖 AI CLI Configuration:", "  "),
        SettingGroup::Claude => ("  🔵 Claude Code:", "    "),
        SettingGroup::OpenCode => ("  🟢 OpenCode:", "    "),
        SettingGroup::Gemini => ("  🟣 Gemini CLI:", "    "),
        SettingGroup::Codex => ("  ⚫ Codex:", "    "),
        SettingGroup::Access => ("🔒 Access Configuration:", "  "),
        SettingGroup::Connections => ("🔗 Connection Configuration:", "  "),
        SettingGroup::Push => ("📱 Web Push Configuration:", "  "),
        SettingGroup::Webhook => ("🔔 Webhook Configuration:", "  "),
        SettingGroup::Log => ("📝 Log Configuration:", "  "),
    };
    let _ = writeln!(text, "\n{heading}");
    for setting in SETTINGS.iter().filter(|setting| setting.group == group) {
        for line in lines(config, facts, setting) {
            let _ = writeln!(text, "{indent}{line}");
        }
    }
}

/// The lines of one setting: one, but two for an API key, as in the reference.
fn lines(config: &Config, facts: &BannerFacts<'_>, setting: &Setting) -> Vec<String> {
    let (label, shown, source) = (setting.label, config.shown(setting.name), config.source(setting.name));
    match setting.name {
        "CLAUDE_API_KEY" | "OPENCODE_API_KEY" | "GEMINI_API_KEY" | "CODEX_API_KEY" => key_lines(label, shown, source),
        "PORT" => vec![format!("{label}: {}{}", facts.address.port(), origin(source))],
        "CLAUDE_BINARY" => vec![format!("{label}: {shown} {}{}", found(facts, "claude"), origin(source))],
        "OPENCODE_BINARY" => vec![format!("{label}: {shown} {}{}", found(facts, "opencode"), origin(source))],
        "GEMINI_BINARY" => vec![format!("{label}: {shown} {}{}", found(facts, "gemini"), origin(source))],
        "CODEX_BINARY" => vec![format!("{label}: {shown} {}{}", found(facts, "codex"), origin(source))],
        "ENABLED_AI_CLIS" if shown.is_empty() => vec![format!("{label}: {} (all that are found)", found_kinds(facts))],
        _ if shown.is_empty() => vec![format!("{label}: Not set")],
        _ => vec![format!("{label}: {shown}{}{}", setting.suffix(), origin(source))],
    }
}

fn key_lines(label: &str, shown: &str, source: ValueSource) -> Vec<String> {
    let (file, environment) = match source {
        ValueSource::Default => ("Not set".to_owned(), "Not set".to_owned()),
        ValueSource::DotEnv(_) => (format!("{shown} ✅"), "Not used".to_owned()),
        ValueSource::Environment(name) | ValueSource::Option(name) => {
            ("Not set".to_owned(), format!("{shown} ✅ ({name})"))
        }
    };
    vec![format!("{label} (from .env): {file}"), format!("{label} (from env): {environment}")]
}

/// Describes the source of a value, unless it is the default.
fn origin(source: ValueSource) -> &'static str {
    match source {
        ValueSource::Default => "",
        ValueSource::DotEnv(_) => " (from .env)",
        ValueSource::Environment(_) => " (from env)",
        ValueSource::Option(_) => " (from the command line)",
    }
}

/// The built-in CLIs whose programs are there.
fn found_kinds(facts: &BannerFacts<'_>) -> String {
    let there = facts.clis.iter().filter(|cli| cli.declared_in.is_none() && cli.program != Program::Missing);
    let kinds: Vec<String> = there.map(|cli| plain(&cli.kind)).collect();
    if kinds.is_empty() { "none".into() } else { kinds.join(", ") }
}

/// Describes what was found of a built-in CLI's program.
fn found(facts: &BannerFacts<'_>, kind: &str) -> String {
    let cli = facts.clis.iter().find(|cli| cli.kind == kind && cli.declared_in.is_none());
    cli.map_or_else(|| "(not enabled)".into(), |cli| format!("({})", state(&cli.program)))
}

fn state(program: &Program) -> String {
    match program {
        Program::Missing => "not found".into(),
        Program::Found => "found, version unknown".into(),
        Program::Version(version) => plain(version),
    }
}

fn adapters(text: &mut String, config: &Config, facts: &BannerFacts<'_>) {
    // Without a setting every built-in CLI that is found is enabled.
    let only_found = config.enabled_ai_clis.is_none();
    let is_missing = |cli: &&CliFact| only_found && cli.declared_in.is_none() && cli.program == Program::Missing;
    let (missing, registered): (Vec<&CliFact>, Vec<&CliFact>) = facts.clis.iter().partition(is_missing);
    let kinds = |clis: &[&CliFact]| clis.iter().map(|cli| plain(&cli.kind)).collect::<Vec<_>>().join(", ");
    let listed = if registered.is_empty() { "none".into() } else { kinds(&registered) };
    let _ = writeln!(text, "\n🔌 Registering Adapters...\n  Registered: {listed}");
    if !missing.is_empty() {
        let _ =
            writeln!(text, "  Not found: {} (the page and rs-worker doctor show how to install them)", kinds(&missing));
    }
    for cli in facts.clis {
        if let Some(file) = &cli.declared_in {
            let (kind, binary, file) = (plain(&cli.kind), plain(&cli.binary), plain(&file.display().to_string()));
            let _ = writeln!(text, "  Declared: {kind} in {file}: {binary} ({})", state(&cli.program));
        }
    }
    for problem in facts.broken_adapters {
        let _ = writeln!(text, "  Not registered: {}", plain(problem));
    }
}

fn list(text: &mut String, heading: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(text, "\n{heading}");
        for line in lines {
            let _ = writeln!(text, "  {}", plain(line));
        }
    }
}

fn farewell(config: &Config, facts: &BannerFacts<'_>) -> Vec<String> {
    let mut lines = vec!["✅ AI Code Worker Manager started successfully!".to_owned()];
    let bases = urls(config, facts.address);
    lines.extend(bases.iter().map(|base| format!("📍 Access at: {base}")));
    if facts.address.ip().is_unspecified() && config.allowed_hosts.is_empty() {
        lines.push("📍 From other machines: set ALLOWED_HOSTS to the names that browsers use".to_owned());
    }
    if let Some(token) = facts.token {
        if let Some(code) = facts.login_code {
            lines.extend(bases.iter().map(|base| format!("🔑 Log in at: {}", login_link(base, code))));
            lines.push(format!(
                "🔑 The link works once, for {CODE_MINUTES} minutes; rs-worker login-link prints a new one"
            ));
        }
        lines.push(match token.file() {
            Some(file) => format!("🔑 Auth token: stored in {}", file.display()),
            None => "🔑 Auth token: the one in AUTH_TOKEN".to_owned(),
        });
    }
    lines.push(format!("📚 API Docs: {}/docs", base_url(config, facts.address)));
    lines
}

/// The address that logs a browser in. The code is in the fragment, which browsers send to nobody.
pub(crate) fn login_link(base: &str, code: &str) -> String {
    format!("{}/#code={}", base.trim_end_matches('/'), percent::encode(code))
}

/// The address to type into a browser on this machine.
pub(crate) fn base_url(config: &Config, address: SocketAddr) -> String {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}{}", SocketAddr::new(host, address.port()), config.base_path)
}

/// The addresses to type into a browser. A server on every address of the machine is reached by its own names too, but
/// answers only to those in its settings.
pub(crate) fn urls(config: &Config, address: SocketAddr) -> Vec<String> {
    let base = &config.base_path;
    let mut urls = vec![base_url(config, address)];
    if !address.ip().is_loopback() {
        urls.extend(config.allowed_hosts.iter().map(|name| format!("http://{name}:{}{base}", address.port())));
    }
    urls
}

/// Text from outside on one line of bounded length, without what moves a cursor.
fn plain(text: &str) -> String {
    let letters = text.trim().chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    letters.take(OUTSIDE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scratch::Scratch;
    use crate::token::auth_token;

    fn config(dotenv: &str, env: &[(&str, &str)]) -> Config {
        let find = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        Config::load(Path::new("/srv/rs"), Some(dotenv), &find).unwrap()
    }

    fn cli(kind: &str, program: Program) -> CliFact {
        CliFact { kind: kind.into(), binary: kind.into(), program, declared_in: None }
    }

    fn facts<'a>(address: &str, clis: &'a [CliFact]) -> BannerFacts<'a> {
        BannerFacts {
            version: "1.2.3",
            address: address.parse().unwrap(),
            clis,
            broken_adapters: &[],
            running_workers: 2,
            stopped_workers: 3,
            token: None,
            login_code: None,
        }
    }

    /// Returns whether these lines follow one another in `text`.
    fn assert_has(text: &str, lines: &str) {
        assert!(text.contains(lines), "no\n{lines}\nin\n{text}");
    }

    #[test]
    fn the_banner_reads_like_the_references() {
        let config = config("HOST=127.0.0.1\n", &[("ANTHROPIC_API_KEY", "sk-ant-api03-0123456789-xyz9")]);
        let clis = [cli("claude", Program::Version("2.1.197 (Claude Code)".into())), cli("opencode", Program::Missing)];
        let text = render(&config, &facts("127.0.0.1:7788", &clis));
        let rule = "=".repeat(70);
        assert!(text.starts_with(&format!(
            "{rule}\nStarting AI Code Worker Manager (rs-worker 1.2.3)...\n{rule}\n\n📡 Server Configuration:\n  Host: \
             127.0.0.1 (from .env)\n  Port: 7788\n  Debug: false\n  Base Path: Not set\n  Static Files: Not set\n  Inline Styles: false\n\n⚙️  Worker Configuration:\n  \
             Max Workers: 10\n  Worker Timeout: 300s\n  Transcript Polling: 1s\n  Data Folder: /srv/rs/data/workers\n"
        )));
        assert_has(
            &text,
            "🤖 AI CLI Configuration:\n  Default AI CLI: claude\n  Enabled AI CLIs: claude (all that are found)\n  Adapters Folder: \
             /srv/rs/adapters\n\n  🔵 Claude Code:\n    Binary: claude (2.1.197 (Claude Code))\n    Model: Not set\n    \
             API Key (from .env): Not set\n    API Key (from env): sk-ant-a...xyz9 ✅ (ANTHROPIC_API_KEY)\n\n  🟢 \
             OpenCode:\n    Binary: opencode (not found)\n",
        );
        assert_has(
            &text,
            "\n🔌 Registering Adapters...\n  Registered: claude\n  Not found: opencode (the page and rs-worker doctor show how to install them)\n",
        );
        assert!(text.ends_with(&format!(
            "\n🚀 Initializing Worker Manager...\n  Workers: 2 running, 3 stopped\n\n{rule}\n✅ AI Code Worker Manager \
             started successfully!\n📍 Access at: http://127.0.0.1:7788\n📚 API Docs: http://127.0.0.1:7788/docs\n{rule}\n"
        )));
    }

    #[test]
    fn every_setting_is_shown_with_its_value() {
        let config = config("", &[]);
        let text = render(&config, &facts("127.0.0.1:7788", &[]));
        for setting in SETTINGS {
            assert_has(&text, setting.label);
            assert_has(&text, config.shown(setting.name));
        }
        assert_has(&text, "    Binary: claude (not enabled)\n");
        assert_has(&text, "  Registered: none\n");
    }

    #[test]
    fn keys_are_masked_and_their_source_is_named() {
        let secrets = ["sk-ant-api03-SECRETSECRET-xyz9", "short-SECRET", "token-SECRETSECRET-0123"];
        let config = config(
            &format!("CLAUDE_API_KEY={}\nAUTH_TOKEN={}\n", secrets[0], secrets[2]),
            &[("OPENCODE_API_KEY", secrets[1])],
        );
        let text = render(&config, &facts("127.0.0.1:7788", &[]));
        assert!(!text.contains("SECRET"), "{text}");
        assert_has(&text, "    API Key (from .env): sk-ant-a...xyz9 ✅\n    API Key (from env): Not used\n");
        assert_has(&text, "    API Key (from .env): Not set\n    API Key (from env): ******** ✅ (OPENCODE_API_KEY)\n");
        assert_has(&text, "  Auth Token: ******** (from .env)\n");
    }

    #[test]
    fn adapters_and_warnings_are_listed_on_a_line_each() {
        let mut declared = cli("shell", Program::Found);
        declared.declared_in = Some("/srv/rs/adapters/shell.json".into());
        let broken = ["adapters/x.json, line 3: expected `,`\n\x1b[2J".to_owned()];
        let clis = [cli("claude", Program::Missing), declared];
        let text =
            render(&config("PROT=1", &[]), &BannerFacts { broken_adapters: &broken, ..facts("127.0.0.1:7788", &clis) });
        assert_has(
            &text,
            "\n⚠️  Warnings:\n  .env, line 1: PROT is not a setting of rs-worker; did you mean PORT?\n\n🔌 Registering \
             Adapters...\n  Registered: shell\n  Not found: claude (the page and rs-worker doctor show how to install them)\n  Declared: shell in /srv/rs/adapters/shell.json: shell (found, \
             version unknown)\n  Not registered: adapters/x.json, line 3: expected `,`  [2J\n",
        );
    }

    #[test]
    fn the_port_that_the_server_got_is_shown() {
        let text = render(&config("PORT=0", &[]), &facts("127.0.0.1:40123", &[]));
        assert_has(&text, "  Port: 40123 (from .env)\n");
        assert_has(&text, "📍 Access at: http://127.0.0.1:40123\n");
        let text = render(&config("BASE_PATH=/agents", &[]), &facts("127.0.0.1:7788", &[]));
        assert_has(&text, "📍 Access at: http://127.0.0.1:7788/agents\n");
    }

    #[test]
    fn login_link_has_the_code_in_its_fragment_without_token() {
        let config = config("HOST=0.0.0.0\nAUTH_TOKEN=a+b/c=d~e-f_g.h0123\nALLOWED_HOSTS=box.local", &[]);
        let token = auth_token(&config).unwrap();
        let open = BannerFacts { token: token.as_ref(), login_code: Some("0a1b"), ..facts("0.0.0.0:7788", &[]) };
        let text = render(&config, &open);
        assert_has(
            &text,
            "📍 Access at: http://127.0.0.1:7788\n📍 Access at: http://box.local:7788\n🔑 Log in at: \
             http://127.0.0.1:7788/#code=0a1b\n🔑 Log in at: http://box.local:7788/#code=0a1b\n🔑 The link works once, \
             for 10 minutes; rs-worker login-link prints a new one\n🔑 Auth token: the one in AUTH_TOKEN\n",
        );
        assert!(!text.contains("h0123"), "{text}");
    }

    #[test]
    fn generated_token_is_announced_by_the_path_of_its_file() {
        let folder = Scratch::new();
        let config = Config::load(folder.path(), Some("HOST=::"), &|_| None).unwrap();
        let token = auth_token(&config).unwrap().unwrap();
        let text = render(&config, &BannerFacts { token: Some(&token), ..facts("[::]:7788", &[]) });
        assert_has(
            &text,
            "📍 Access at: http://[::1]:7788\n📍 From other machines: set ALLOWED_HOSTS to the names that browsers use\n",
        );
        assert_has(&text, &format!("🔑 Auth token: stored in {}\n", config.auth_token_file.display()));
        assert!(!text.contains(token.secret().expose()));
    }
}
