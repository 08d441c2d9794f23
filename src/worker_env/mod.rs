//! The environment of a worker's CLI: the variables of the server that it gets, and those that are removed. Pure; the
//! caller passes the server's environment.
//!
//! Agents need their users' toolchains, so a CLI inherits the server's environment, without
//! - every setting of rs-worker ([`crate::config::SETTINGS`]), including the auth token;
//! - variables that describe the process that started the server: its repository, service, build, terminal, agent
//!   (`surroundings`);
//! - the API keys of every other CLI ([`KEYS`], and those that the adapters name).
//!
//! With `WORKER_ENV=clean` it gets only [`CLEAN`], its own keys, and the variables in `WORKER_ENV_PASS`. The adapter's
//! variables are added, and finally the worker's own.

mod pattern;
mod surroundings;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use self::pattern::fits;
use crate::config::{Config, WorkerEnvMode, setting};

/// API keys of CLIs and their model providers, which only the CLI whose adapter names them gets.
pub(crate) const KEYS: &[&str] = &[
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CODEX_API_KEY",
    "CURSOR_API_KEY",
    "DEEPSEEK_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "GROQ_API_KEY",
    "MISTRAL_API_KEY",
    "MOONSHOT_API_KEY",
    "OPENAI_API_KEY",
    "OPENCODE_API_KEY",
    "OPENROUTER_API_KEY",
    "XAI_API_KEY",
];

/// Variables that every program may need: all that pass with `WORKER_ENV=clean`. A `*` at the end matches any ending.
pub(crate) const CLEAN: &[&str] = &[
    "ALL_PROXY",
    "COLORTERM",
    "CURL_CA_BUNDLE",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "LOGNAME",
    "NODE_EXTRA_CA_CERTS",
    "NO_PROXY",
    "PATH",
    "REQUESTS_CA_BUNDLE",
    "SHELL",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TEMP",
    "TERM",
    "TMP",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_*",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Gives access to the keys of an `ssh-agent`.
const SSH_AGENT: &str = "SSH_AUTH_SOCK";
/// Tokens of rs-worker: nothing passes them on. The second one is of the person who started the server.
const NEVER: [&str; 2] = ["AUTH_TOKEN", "RS_WORKER_TOKEN"];

/// Variables that a start adds to the server's environment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EnvRequest<'a> {
    /// Names of this CLI's own secrets, which it keeps where the server's environment has them.
    pub own_secrets: &'a [String],
    /// Names of all other CLIs' secrets.
    pub other_secrets: &'a [String],
    /// The adapter's variables ([`crate::adapter::Launch::env`]).
    pub launch: &'a [(String, String)],
    /// The worker's own variables ([`crate::journal::WorkerOptions::env`]), which win.
    pub worker: &'a [(String, String)],
}

/// The whole environment of a CLI, sorted by name. `server` is the server's own ([`std::env::vars_os`]). Names and
/// values that no environment can hold are left out; see [`is_env_entry`].
pub(crate) fn worker_env(
    config: &Config,
    request: &EnvRequest<'_>,
    server: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let inherited = server.into_iter().filter(|(name, _)| passes(config, request, name));
    let mut env: BTreeMap<OsString, OsString> = inherited.collect();
    for (name, value) in request.launch.iter().chain(request.worker) {
        if is_env_entry(name, value) {
            env.insert(name.into(), value.into());
        }
    }
    env.into_iter().collect()
}

/// Makes the environment of a CLI on the other side of a runner: nothing of this machine, but the CLI's own secrets,
/// the variables that `WORKER_ENV_PASS` names, the adapter's variables and the worker's.
pub(crate) fn inner_env(
    config: &Config,
    request: &EnvRequest<'_>,
    server: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let named = |name: &str| {
        let own = request.own_secrets.iter().any(|own| own == name);
        own || config.worker_env_pass.iter().any(|it| fits(it, name))
    };
    let wanted = server.into_iter().filter(|(name, _)| name.to_str().is_some_and(named));
    worker_env(config, request, wanted)
}

/// The environment of a command of the operator, which runs files of a repository: that of a CLI without any key, also where
/// `WORKER_ENV_PASS` names one, with `variables` on top. `secrets` are the names that adapters keep.
pub(crate) fn command_env(
    config: &Config,
    secrets: &[String],
    variables: &[(String, String)],
    server: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let request = EnvRequest { other_secrets: secrets, worker: variables, ..EnvRequest::default() };
    let is_secret = |name: &str| KEYS.contains(&name) || secrets.iter().any(|it| it == name) || setting(name).is_some();
    let plain = server.into_iter().filter(|(name, _)| !name.to_str().is_some_and(is_secret));
    worker_env(config, &request, plain)
}

/// The environment of a runner's own program: what every program may need, and what its declaration names.
pub(crate) fn runner_env(
    needs: &[String],
    server: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let usual = |name: &str| name != SSH_AGENT && CLEAN.iter().any(|it| fits(it, name));
    let passes = |name: &str| !NEVER.contains(&name) && (usual(name) || needs.iter().any(|it| it == name));
    server.into_iter().filter(|(name, _)| name.to_str().is_some_and(passes)).collect()
}

/// Returns whether an environment can hold this variable: no NUL anywhere, and a name that is neither empty nor has a
/// `=`.
pub(crate) fn is_env_entry(name: &str, value: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
}

/// Returns whether a variable of the server reaches the CLI.
fn passes(config: &Config, request: &EnvRequest<'_>, name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        // A name that is not text is none of those below, and on no list.
        return config.worker_env == WorkerEnvMode::Inherit;
    };
    let pass = &config.worker_env_pass;
    if NEVER.contains(&name) {
        return false;
    }
    if pass.iter().any(|it| it == name) || request.own_secrets.iter().any(|it| it == name) {
        return true;
    }
    let other_key = KEYS.contains(&name) || request.other_secrets.iter().any(|it| it == name);
    if other_key || setting(name).is_some() || surroundings::has(name) {
        return false;
    }
    match config.worker_env {
        WorkerEnvMode::Inherit => true,
        WorkerEnvMode::Clean => CLEAN.iter().any(|it| fits(it, name)) || pass.iter().any(|it| fits(it, name)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;
    use std::path::Path;

    use super::*;
    use crate::config::SETTINGS;

    const SERVER: &[(&str, &str)] = &[
        ("ANTHROPIC_API_KEY", "a"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:1"),
        ("AUTH_TOKEN", "t"),
        ("AWS_REGION", "x"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("CARGO_HOME", "/c"),
        ("CLAUDECODE", "1"),
        ("CLAUDE_CODE_ENTRYPOINT", "cli"),
        ("CLAUDE_CODE_MAX_RETRIES", "1"),
        ("CLAUDE_CODE_SSE_PORT", "1"),
        ("GEMINI_API_KEY", "g"),
        ("GIT_CONFIG_KEY_0", "core.bare"),
        ("GIT_DIR", "/nowhere"),
        ("GIT_SSH_COMMAND", "ssh"),
        ("HOME", "/home/me"),
        ("LC_ALL", "C"),
        ("LISTEN_FDS", "1"),
        ("MYCLI_KEY", "m"),
        ("OPENAI_API_KEY", "o"),
        ("OPENCODE_API_KEY", "oc"),
        ("PATH", "/bin"),
        ("PORT", "7788"),
        ("PWD", "/here"),
        ("RS_WORKER_TOKEN", "t"),
        ("RS_WORKER_URL", "http://127.0.0.1:1"),
        ("TERM", "xterm"),
        ("XDG_CACHE_HOME", "/x"),
        ("https_proxy", "p"),
    ];

    fn server() -> Vec<(OsString, OsString)> {
        SERVER.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn names(dotenv: &str, own: &[&str], other: &[&str]) -> Vec<String> {
        let config = Config::load(Path::new("/"), Some(dotenv), &|_| None).unwrap();
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (own, other) = (texts(own), texts(other));
        let request = EnvRequest { own_secrets: &own, other_secrets: &other, ..EnvRequest::default() };
        worker_env(&config, &request, server()).into_iter().map(|(name, _)| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_cli_inherits_all_but_settings_surroundings_and_others_keys() {
        let inherited = names("", &["ANTHROPIC_API_KEY"], &["MYCLI_KEY"]);
        assert_eq!(
            inherited,
            [
                "ANTHROPIC_API_KEY",
                "ANTHROPIC_BASE_URL",
                "AWS_REGION",
                "AWS_SECRET_ACCESS_KEY",
                "CARGO_HOME",
                "CLAUDE_CODE_MAX_RETRIES",
                "GIT_SSH_COMMAND",
                "HOME",
                "LC_ALL",
                "PATH",
                "TERM",
                "XDG_CACHE_HOME",
                "https_proxy",
            ]
        );
    }

    #[test]
    fn a_key_reaches_only_the_cli_that_names_it() {
        let of_mycli = names("", &["MYCLI_KEY"], &["ANTHROPIC_API_KEY"]);
        assert!(of_mycli.contains(&"MYCLI_KEY".to_owned()));
        for key in KEYS {
            assert!(!of_mycli.contains(&(*key).to_owned()), "{key}");
        }
        assert!(names("", &["OPENCODE_API_KEY"], &[]).contains(&"OPENCODE_API_KEY".to_owned()));
    }

    #[test]
    fn no_setting_of_ours_is_inherited() {
        let config = Config::load(Path::new("/"), None, &|_| None).unwrap();
        let server = SETTINGS.iter().map(|setting| (setting.name.into(), "x".into()));
        assert_eq!(worker_env(&config, &EnvRequest::default(), server), []);
    }

    #[test]
    fn clean_environment_has_the_documented_list_and_what_is_passed() {
        let always = ["HOME", "LC_ALL", "PATH", "TERM", "XDG_CACHE_HOME", "https_proxy"];
        assert_eq!(names("WORKER_ENV=clean", &[], &[]), always);
        assert_eq!(
            names("WORKER_ENV=clean\nWORKER_ENV_PASS=AWS_*,CARGO_HOME", &["ANTHROPIC_API_KEY"], &[]),
            [
                "ANTHROPIC_API_KEY",
                "AWS_REGION",
                "AWS_SECRET_ACCESS_KEY",
                "CARGO_HOME",
                "HOME",
                "LC_ALL",
                "PATH",
                "TERM",
                "XDG_CACHE_HOME",
                "https_proxy"
            ]
        );
    }

    #[test]
    fn variables_normally_left_out_must_be_named_in_full() {
        for mode in ["inherit", "clean"] {
            let passed = names(
                &format!("WORKER_ENV={mode}\nWORKER_ENV_PASS=OPENAI_*,PORT,AUTH_TOKEN,RS_WORKER_*,RS_WORKER_TOKEN"),
                &["AUTH_TOKEN"],
                &[],
            );
            assert!(passed.contains(&"PORT".to_owned()), "{mode}");
            assert!(!passed.contains(&"OPENAI_API_KEY".to_owned()), "{mode}");
            for token in NEVER {
                assert!(!passed.contains(&token.to_owned()), "{mode} {token}");
            }
            let passed = names(&format!("WORKER_ENV={mode}\nWORKER_ENV_PASS=OPENAI_API_KEY"), &[], &["OPENAI_API_KEY"]);
            assert!(passed.contains(&"OPENAI_API_KEY".to_owned()), "{mode}");
        }
    }

    #[test]
    fn adapters_variables_come_on_top_and_the_workers_own_win() {
        let config = Config::load(Path::new("/"), Some("WORKER_ENV=clean"), &|_| None).unwrap();
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let launch = pairs(&[("ANTHROPIC_API_KEY", "adapter"), ("MODE", "adapter"), ("TERM", "dumb")]);
        let worker = pairs(&[("MODE", "worker"), ("A=B", "x"), ("", "x"), ("NUL", "a\0b"), ("EMPTY", "")]);
        let request = EnvRequest { launch: &launch, worker: &worker, ..EnvRequest::default() };
        let server = vec![("TERM".into(), "xterm".into()), ("PATH".into(), "/bin".into())];
        let env = worker_env(&config, &request, server);
        let found: Vec<_> = env.iter().map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap())).collect();
        assert_eq!(
            found,
            [("ANTHROPIC_API_KEY", "adapter"), ("EMPTY", ""), ("MODE", "worker"), ("PATH", "/bin"), ("TERM", "dumb")]
        );
    }

    #[test]
    fn operators_command_gets_no_key_even_if_passed_on() {
        let passed = "WORKER_ENV_PASS=OPENAI_API_KEY,MYCLI_KEY,PORT,AWS_REGION";
        let config = Config::load(Path::new("/"), Some(passed), &|_| None).unwrap();
        let own = [("ANTHROPIC_API_KEY".to_owned(), "of the project".to_owned())];
        let env = command_env(&config, &["MYCLI_KEY".to_owned()], &own, server());
        let value =
            |wanted: &str| env.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.to_str().unwrap());
        for name in ["OPENAI_API_KEY", "MYCLI_KEY", "PORT", "AUTH_TOKEN", "GEMINI_API_KEY", "GIT_DIR"] {
            assert_eq!(value(name), None, "{name}");
        }
        assert_eq!((value("ANTHROPIC_API_KEY"), value("AWS_REGION")), (Some("of the project"), Some("x")));
    }

    #[test]
    fn values_that_are_not_text_pass_as_they_are() {
        let config = Config::load(Path::new("/"), None, &|_| None).unwrap();
        let odd = OsString::from_vec(vec![b'a', 0xff]);
        let server = vec![(OsString::from("HOME"), odd.clone()), (odd.clone(), OsString::from("x"))];
        let env = worker_env(&config, &EnvRequest::default(), server);
        assert_eq!(env, [(OsString::from("HOME"), odd.clone()), (odd, OsString::from("x"))]);
    }
}
