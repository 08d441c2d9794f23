//! Lists of programs, by what their words can make them do.

/// Programs that do what their words say, or read options without a dash, or write to a file that a plain word names: a
/// pattern for one of them has no wildcard.
const LITERAL_ONLY: &str = "\
    7z abduco ansible ansible-playbook ant apk apt apt-get ar aria2c asdf ash at awk aws axel az base64 bash batch \
    bazel bsdtar bun bundle bunx busctl busybox bwrap cargo-watch catatonit catchsegv cc chfn choom chpst chroot \
    chrt chsh clang clojure cmake cmd composer concurrently conda convert corepack coreutils cpan cpio cpulimit \
    crontab crun cryptsetup crystal cscope csh csplit ctags ctr curl daemonize dash dbus-launch dbus-run-session \
    dbus-send dc dd deno dig direnv dmesg dnf doas docker docker-compose dpkg dpkg-reconfigure dumb-init dvtm \
    eatmydata ed elinks elixir elvish emacs entr env envdir erl es eshell ex exiftool expect fab fakeroot faketime \
    fdisk ffmpeg fghack firejail fish flock forever ftp fzf gawk gcc gcloud gdb gem gfind gh ghc ghci git-push \
    gmake go gosu gpg gradle gradlew groovy groupadd gs gsed gtar guile halt hatch helm heroku host http httpie \
    https hyperfine i386 iex incron init inotifywait insmod install invoke ionice ip iptables irb java jq jshell \
    julia just kill kotlin ksh ksh93 kubectl latex ld ld.so ldd lein lerna less lftp links linux32 linux64 lldb \
    logger loginctl loksh losetup ltrace lua luajit lualatex lxc lxc-exec lynx m4 machinectl magick mail make \
    mamba man mawk mise mix mkfs mksh modprobe mogrify more mosh mount mvn mvnw mysql nano nawk nc ncat nerdctl \
    netcat nft nice nim ninja nix nmap node nodejs nodemon nodenv nohup nox npm-run-all npx nsenter nsjail \
    nslookup nu numactl nvim nx objcopy objdump ocaml octave oksh openssl osh pacman parallel parted passwd patch \
    pdflatex pdftex pdksh pdm perf perl pgrphack php pidproxy ping pip pip3 pipenv pipx pkexec pm2 pnpx podman \
    poetry posh poweroff powershell prlimit proot proxychains ps psql pwsh pyenv pypy python python2 python3 R \
    racket rake rbash rbenv rc rclone reboot rexec rlogin rlwrap rpm Rscript rscript rsh rsync rtx ruby run-parts \
    runc runcon runuser rustc rvim s6-setuidgid sbt scala scons scp screen script scsh sed setarch setpriv setsid \
    setuidgid sftp sg sh shutdown socat softlimit split sqlite3 ssh ssh-add ssh-agent ssh-copy-id ssh-keygen \
    start-stop-daemon stdbuf strace su sudo sudoedit swift sysctl systemctl systemd-inhibit systemd-run tar \
    taskset tcc tclsh tcsh tee telinit telnet terraform tex time timeout tini tmux torsocks tox toybox trash \
    ts-node tsx turbo unbuffer uniq unshare unzip update-alternatives useradd userdel usermod uv uvx vagrant \
    valgrind vi view vim vimdiff vipw virtualenv visudo volta w3m wall watch watchexec wget whois wish write xargs \
    xdg-open xelatex xh xonsh xvfb-run xxd yash ysh zig zip zsh";

/// Further ones: less usual interpreters, shells of databases, terminals and runners of tasks.
const MORE_LITERAL_ONLY: &str = "\
    act alacritty autossh babel-node bazelisk bb borg bpftool bpftrace bpython buck buck2 c++ cabal chez chpasswd \
    clang++ clisp csi dagger dart duckdb dzdo earthly ecl electron esno fakechroot fennel flatpak flutter foot \
    foreman g++ gcore git-shell gnome-terminal gnuplot gosh groovysh hivemind honcho hy ipython janet jbang jiti \
    jupyter kitty konsole kotlinc lefthook mage mariadb maxima meson micropython mlr mongo mongosh nodejs-repl \
    ocamlrun original-awk overmind pants pfexec pike please pre-commit pry ptpython qemu raku redis-cli rexx rofi rr \
    run0 runghc runhaskell rxvt sage salt sbcl scala-cli scheme snap sqlite sshfs sshpass stack sudo-rs \
    systemd-nspawn tclkit tsimp vite-node waf wezterm xdotool xterm yq zx";

/// Endings under which systems install a variant of a program.
const VARIANTS: [&str; 11] =
    [".basic", ".bin", ".distrib", ".exe", ".gtk3", ".nox", ".openbsd", ".real", ".static", ".tiny", ".traditional"];

/// Programs whose first plain word is a command of their own: it is literal in a pattern.
const WITH_COMMANDS: &str = "\
    cargo git npm yarn pnpm rustup hg svn dotnet brew";

/// Programs of the shell itself that change it, or run text as commands: no rule allows them.
const NEVER: &str = "\
    . : alias bg bind builtin cd command declare dirs disown enable eval exec exit export fc fg getopts hash \
    history jobs let local logout mapfile noglob nocorrect popd pushd read readarray readonly return set setopt \
    shopt source suspend trap typeset ulimit umask unalias unset unsetopt wait zmodload autoload emulate zle vared \
    complete compgen compopt caller break continue shift sched print repeat foreach end chdir functions";

/// Commands of such programs that run, fetch or configure what their words say: without a wildcard too.
const LITERAL_COMMANDS: &[(&str, &str)] = &[
    (
        "git",
        "am annex apply archimport archive bisect bundle citool clone config credential cvsexportcommit cvsimport \
         cvsserver daemon difftool fast-import fetch filter-branch filter-repo flow for-each-repo format-patch grep \
         gui help hook http-backend imap-send init instaweb lfs ls-remote maintenance merge-index mergetool p4 pull \
         push quiltimport range-diff rebase receive-pack remote request-pull send-email send-pack shell submodule \
         subtree svn symbolic-ref update-index update-ref upload-archive upload-pack var web--browse worktree",
    ),
    (
        "npm",
        "add config create exec explore i in init ins inst instal install install-test it link pack pkg \
         publish rebuild set up update upgrade x",
    ),
    ("yarn", "add config create dlx exec global init link node run set up upgrade workspace workspaces"),
    ("pnpm", "add config create dlx env exec i init install link run up update upgrade x"),
    ("cargo", "add install login publish run r rustc script watch"),
    ("rustup", "run toolchain override"),
    ("hg", "clone pull push config bisect"),
    ("svn", "checkout co propset switch"),
    ("dotnet", "add exec run script tool watch"),
];

/// Programs that neither move a file nor make a link: paths of the project lead where they led before. Some remove files,
/// some make new ones.
const KEEP_NAMES: &str = "\
    basename cat chmod cmp cut date diff dirname du echo egrep false fgrep file grep head ls mkdir nl printf pwd \
    realpath rg rm rmdir sort stat tail test touch tr true wc which";

/// Commands of programs of which the same is true, or that run what the project has: rules keep nothing from those.
const COMMANDS_KEEP_NAMES: &[(&str, &str)] = &[
    ("git", "add blame commit describe diff grep log ls-files rev-parse shortlog show status"),
    ("cargo", "bench build check clippy doc fmt test"),
    ("npm", "test"),
    ("yarn", "test"),
    ("pnpm", "test"),
    ("dotnet", "build test"),
];

/// Returns whether paths lead where they led before, after a command with these words.
pub(super) fn keeps_names(words: &[&str]) -> bool {
    let Some((program, further)) = words.split_first() else { return true };
    let named = COMMANDS_KEEP_NAMES.iter().find(|(name, _)| name == program);
    has(KEEP_NAMES, program) || further.first().zip(named).is_some_and(|(word, (_, list))| has(list, word))
}

/// Returns whether a word is in a list.
fn has(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|known| known == word)
}

/// Returns whether a program takes no wildcards. Variants are the same program: `python3.12`, `vim.tiny`, `gxargs`.
pub(super) fn is_literal_only(program: &str) -> bool {
    let plain = VARIANTS.iter().find_map(|end| program.strip_suffix(end)).unwrap_or(program);
    let unversioned = plain.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    let names = [program, plain, unversioned, unversioned.strip_prefix('g').unwrap_or(unversioned)];
    unversioned.is_empty() || names.iter().any(|name| has(LITERAL_ONLY, name) || has(MORE_LITERAL_ONLY, name))
}

/// Returns whether this is one plain name, with nothing before or behind it.
pub(super) fn is_plain_name(text: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
    !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain)
}

/// Returns whether the first plain word of a program is a command of its own.
pub(super) fn has_commands(program: &str) -> bool {
    has(WITH_COMMANDS, program)
}

/// Returns whether such a command takes no wildcards.
pub(super) fn is_literal_command(program: &str, command: &str) -> bool {
    LITERAL_COMMANDS.iter().any(|(name, list)| *name == program && has(list, command))
}

/// Returns whether a program changes the shell itself, or runs text as commands in it.
pub(super) fn changes_shell(program: &str) -> bool {
    has(NEVER, program)
}
