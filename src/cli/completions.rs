//! `completions`: scripts for shells, generated from the table of commands. They request workers' names from the server
//! when needed. A name is any text, so no script lets the shell interpret one as anything but a word.

use super::command::Subcommand;
use super::commands;
use super::help::COMMON_OPTIONS;

/// Returns the script for a shell; `None` for an unknown one.
pub(super) fn script(shell: &str) -> Option<String> {
    match shell {
        "bash" => Some(bash()),
        "zsh" => Some(zsh()),
        "fish" => Some(fish()),
        _ => None,
    }
}

fn names(commands: impl Iterator<Item = &'static Subcommand>, between: &str) -> String {
    commands.map(|command| command.name).collect::<Vec<_>>().join(between)
}

fn with_workers() -> impl Iterator<Item = &'static Subcommand> {
    commands::all().filter(|command| command.takes_worker)
}

/// Words that may follow a command besides workers and files.
const WORDS: [(&str, &str); 4] = [
    ("permissions", "allow deny"),
    ("completions", "bash zsh fish"),
    ("export", "md json jsonl"),
    ("token", "ls add rm pair"),
];

fn bash() -> String {
    let mut options = String::new();
    for command in commands::all() {
        options += &format!(
            "        {}) words='{} {}' ;;\n",
            command.name,
            command.options.join(" "),
            COMMON_OPTIONS.join(" ")
        );
    }
    let mut words = String::new();
    for (command, these) in WORDS {
        let place = if command == "export" { 3 } else { 2 };
        words += &format!("        {command}:{place}) words='{these}' ;;\n");
    }
    format!(
        r#"# Completions of rs-worker for bash.
_rs_worker() {{
    local program=$1 current=$2 previous=$3 command=${{COMP_WORDS[1]}} words= name
    COMPREPLY=()
    if [[ $COMP_CWORD -eq 1 ]]; then
        COMPREPLY=($(compgen -W '{commands} --help --version' -- "$current"))
        return
    fi
    if [[ $current == -* ]]; then
        case $command in
{options}        esac
        COMPREPLY=($(compgen -W "$words" -- "$current"))
        return
    fi
    case $command:$COMP_CWORD in
{words}    esac
    if [[ -n $words ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$current"))
        return
    fi
    case $command:$COMP_CWORD:$previous in
        {workers}|permissions:3:*|*:*:--worker)
            while IFS= read -r name; do
                [[ $name == "$current"* ]] && COMPREPLY+=("$(printf '%q' "$name")")
            done < <("$program" ls --names 2>/dev/null)
            ;;
        new:3:*|*:*:--project)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -d -- "$current")
            ;;
        import:2:*)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            ;;
    esac
}}
complete -F _rs_worker rs-worker
"#,
        commands = names(commands::all(), " "),
        workers = with_workers().map(|command| format!("{}:2:*", command.name)).collect::<Vec<_>>().join("|"),
    )
}

fn zsh() -> String {
    let mut described = String::new();
    for command in commands::all() {
        described +=
            &format!("        '{}:{}'\n", command.name, command.about.replace('\'', "'\\''").replace(':', "\\:"));
    }
    let words: String = WORDS
        .iter()
        .filter(|(command, _)| *command != "export")
        .map(|(command, these)| format!("        {command}:3) compadd -- {these} ;;\n"))
        .collect();
    format!(
        r#"#compdef rs-worker
# Completions of rs-worker for zsh.
_rs_worker() {{
    local -a commands=(
{described}    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    if [[ $PREFIX == -* ]]; then
        compadd -- {options}
        return
    fi
    case $words[2]:$CURRENT in
        ({workers}):3|permissions:4) compadd -- "${{(@f)$("$words[1]" ls --names 2>/dev/null)}}" ;;
        export:4) compadd -- md json jsonl ;;
{words}        *) _files ;;
    esac
}}
if [[ $funcstack[1] == _rs_worker ]]; then
    _rs_worker "$@"
else
    compdef _rs_worker rs-worker
fi
"#,
        options = COMMON_OPTIONS.join(" "),
        workers = names(with_workers(), "|"),
    )
}

fn fish() -> String {
    let mut text = String::from("# Completions of rs-worker for fish.\ncomplete -c rs-worker -f\n");
    for Subcommand { name, about, options, .. } in commands::all() {
        let about = about.replace('\'', "\\'");
        text += &format!("complete -c rs-worker -n __fish_use_subcommand -a {name} -d '{about}'\n");
        for option in options.iter().map(|option| option.trim_start_matches('-')) {
            text += &format!("complete -c rs-worker -n '__fish_seen_subcommand_from {name}' -l {option}\n");
        }
    }
    for option in COMMON_OPTIONS.iter().map(|option| option.trim_start_matches('-')) {
        text += &format!("complete -c rs-worker -l {option}\n");
    }
    for (command, these) in WORDS {
        text += &format!("complete -c rs-worker -n '__fish_seen_subcommand_from {command}' -a '{these}'\n");
    }
    let workers = names(with_workers(), " ");
    text += &format!(
        "complete -c rs-worker -n '__fish_seen_subcommand_from {workers} permissions' -a '(rs-worker ls --names 2>/dev/null)'\n"
    );
    text + "complete -c rs-worker -n '__fish_seen_subcommand_from import new' -F\n"
}
