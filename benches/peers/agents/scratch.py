"""Folders, ports and processes of one run: every program gets a home of its own below one folder, and is ended by its id.

A process belongs to the run if its environment or its command line names a folder of the run, so also those count that
have left their parent or their session.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# Nothing listens there: a program that would call a service on the internet is refused at once.
NOWHERE = "http://127.0.0.1:9"
FAKE_KEY = "sk-ant-fake-0123456789abcdef"
# Seconds that anything may take.
DEADLINE = 60.0


class DidNotRun(Exception):
    """Reports why a peer has no figures."""


def wait_for(what, look, deadline=DEADLINE, pause=0.02):
    """Calls `look` until it returns something true, and returns that."""
    end = time.monotonic() + deadline
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise DidNotRun(f"waited {deadline:.0f} s for {what}")
        time.sleep(pause)


def free_port():
    """Returns a loopback port that nothing uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _bytes_of(pid, name):
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def arguments(pid):
    """Returns the command line of a process, as a list."""
    return _bytes_of(pid, "cmdline").decode(errors="replace").rstrip("\0").split("\0")


def is_alive(pid):
    """Returns true if a process runs; one that has ended and waits for its parent does not."""
    stat = _bytes_of(pid, "stat").decode(errors="replace")
    return bool(stat) and stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def pss_mb(pids):
    """Returns the proportional set size of processes, in MB."""
    kib = 0
    for pid in pids:
        if is_alive(pid) and not os.access(f"/proc/{pid}/smaps_rollup", os.R_OK):
            raise DidNotRun("memory that is closed to its user is measured by root alone")
        match = re.search(rb"^Pss:\s+(\d+)", _bytes_of(pid, "smaps_rollup"), re.M)
        kib += int(match.group(1)) if match else 0
    return kib * 1024 / 1e6


def connections_to(url):
    """Returns the client's side of the connections to a loopback server, each by a number of the kernel's."""
    end = f"0100007F:{int(url.rpartition(':')[2]):04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines())
    return {row[9] for row in rows if row[2] == end and row[3] == "01"}


def processor_ticks(pids):
    """Returns the processor time that processes have used."""
    stats = (_bytes_of(pid, "stat").decode(errors="replace").rpartition(")")[2].split() for pid in pids)
    return sum(int(fields[11]) + int(fields[12]) for fields in stats if fields)


def processes_of(folder):
    """Returns the ids of the living processes that name `folder` in their environment or command line."""
    word = re.compile(re.escape(os.fsencode(folder)) + rb"(?![\w.-])")
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        if word.search(_bytes_of(entry, "environ")) or word.search(_bytes_of(entry, "cmdline")):
            if is_alive(entry):
                found.append(int(entry))
    return found


def end_all(pids):
    """Ends processes by their ids."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Scratch:
    """The folder of one run. Leaving it ends all processes of the run and removes the folder."""

    def __init__(self, clis, node):
        self.clis, self.node = Path(clis), Path(node)
        self.children = []

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="rswp-"))
        return self

    def __exit__(self, *_):
        # Those that this program has started come first: an ordinary user can't read the environment of some of them.
        for child in self.children:
            if child.poll() is None:
                child.kill()
        # Again and again: what is being ended may just have started something.
        for _ in range(50):
            left = processes_of(self.folder)
            if not left:
                break
            end_all(left)
            time.sleep(0.05)
        for child in self.children:
            child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def make(self, name):
        """Creates the folder of a peer with a home, a project and a temporary folder."""
        folder = self.folder / name
        for part in ("home", "project", "tmp"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        return folder

    def environment(self, folder, **more):
        """Returns the whole environment of a program: a home of its own, fake keys, nothing that calls out."""
        bins = [self.node.parent, self.clis / "node_modules/.bin", ROOT / "target/peers-agents/node_modules/.bin"]
        quiet = {
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
            "DO_NOT_TRACK": "1",
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1,localhost",
            "NO_UPDATE_NOTIFIER": "1",
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
        }
        own = {
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "PATH": ":".join([*map(str, bins), "/usr/local/bin", "/usr/bin", "/bin"]),
            "TMPDIR": str(folder / "tmp"),
        }
        return quiet | own | {name: str(value) for name, value in more.items()}

    def spawn(self, command, folder, env, **more):
        """Starts a program in the folder of its peer, with its output in `log`."""
        with open(folder / "log", "ab") as log:
            more = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "cwd": folder / "project"} | more
            try:
                child = subprocess.Popen([str(word) for word in command], env=env, start_new_session=True, **more)
            except FileNotFoundError as error:
                raise DidNotRun(f"{error.filename} is not installed") from error
        self.children.append(child)
        return child
