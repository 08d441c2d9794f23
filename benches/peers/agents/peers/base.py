"""A peer and a session of it, as the measures use them."""

import json
import time
from pathlib import Path

from scratch import ROOT, DidNotRun, arguments, end_all, free_port, is_alive, pss_mb, processes_of, wait_for
from streams import Events, answers

PACKAGES = ROOT / "target/peers-agents/node_modules"


def version_of(folder):
    """Returns the version of an npm package."""
    return json.loads((Path(folder) / "package.json").read_text())["version"]


def script(*steps):
    """Returns a prompt that has the fake model answer with these steps."""
    return f"<<{json.dumps(list(steps))}>>"


class Session:
    """One conversation with an agent. Subclasses send, reconnect, and read what is stored."""

    def __init__(self):
        self.events = Events()

    def send(self, text):
        """Sends a message; returns when it is acknowledged, or None where nothing acknowledges it."""
        raise NotImplementedError

    def reconnect(self):
        """Connects again after the manager was restarted, with the cursor that the client has."""

    def history(self):
        """Returns the text of all stored answers."""
        raise NotImplementedError

    def prompts(self):
        """Returns what `allow` takes, for each prompt that waits."""
        raise NotImplementedError

    def allow(self, prompt):
        """Allows what a prompt asks for."""
        raise NotImplementedError


class Peer:
    """A manager with its own home, project and port. It may be killed and started again."""

    # In the tables, and for `--peers`.
    title = name = ""
    # The path that is asked first.
    health = "/health"
    # The tool that runs a command, in the agent's words.
    shell_tool = "Bash"
    # False for an agent alone, which nothing manages.
    is_manager = True

    def __init__(self, scratch, model):
        self.scratch, self.model = scratch, model
        self.folder = scratch.make(self.name)
        self.project = self.folder / "project"
        self.port = free_port()
        self.child = None
        self.prepare()

    def prepare(self):
        """Writes the settings that the peer needs before its first start."""

    def command(self):
        """Returns the command line of the manager and what its environment has besides the usual."""
        raise NotImplementedError

    def spawn(self):
        command, env = self.command()
        self.child = self.scratch.spawn(command, self.folder, self.scratch.environment(self.folder, **env))

    def start(self):
        """Starts the manager and returns the milliseconds until its first HTTP answer."""
        begin = time.perf_counter()
        self.spawn()
        wait_for("its first answer", lambda: self._answers(), pause=0.001)
        return (time.perf_counter() - begin) * 1000

    def _answers(self):
        if self.child.poll() is not None:
            log = (self.folder / "log").read_text(errors="replace").strip().splitlines()
            raise DidNotRun(f"it ended at its start: {' '.join(log[-2:])[-160:]}")
        return answers(self.port, self.health)

    def ready(self):
        """Waits until sessions can be opened."""

    def open(self):
        """Opens a session whose events are followed."""
        raise NotImplementedError

    def is_agent(self, pid):
        """Returns true for processes of the agent, which the manager would not have to itself."""
        return Path(arguments(pid)[0]).name in ("claude", "claude.exe")

    def processes(self):
        found = processes_of(self.folder)
        own = [self.child.pid] if self.child and self.child.poll() is None else []
        return found + [pid for pid in own if pid not in found]

    def agents(self):
        return [pid for pid in self.processes() if self.is_agent(pid)]

    def memory(self):
        """Returns the MB of the manager, and of all."""
        pids = self.processes()
        return pss_mb([pid for pid in pids if not self.is_agent(pid)]), pss_mb(pids)

    def to_kill(self):
        """Returns the processes that are the manager, for SIGKILL: not what is meant to outlive it."""
        return [self.child.pid]

    def kill(self):
        pids = self.to_kill()
        end_all(pids)
        self.child.wait()
        wait_for("its end", lambda: not any(map(is_alive, pids)))

    def stop(self):
        """Ends all processes of the peer."""
        # Its environment may be closed to an ordinary user, and its command line does not name the folder.
        if self.child and self.child.poll() is None:
            self.child.kill()
        while pids := self.processes():
            end_all(pids)
            time.sleep(0.02)
        if self.child:
            self.child.wait()
