#!/usr/bin/env python3
"""Measures what one process of an ACP agent with many sessions takes against one process for each session.

    benches/shared_agent.py [--sessions N] [--apart] [AGENT ...]

Each session has one turn with the fake model of the tests (`cargo build --example fake_model`). Memory is the sum of the
proportional set sizes (`Pss`) of the agent's whole process tree, after a pause. The adapter of Claude is the program
that CLAUDE_AGENT_ACP names.
"""

import argparse
import json
import os
import pathlib
import queue
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEY = "sk-ant-fake-0123456789abcdef"
# Seconds that an agent has for one answer, and that memory may settle for.
TIMEOUT, SETTLE = 120, 3


def children(pid):
    """Returns the process and all of its descendants."""
    found, at = [pid], 0
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry.name))
    while at < len(found):
        found += parents.get(found[at], [])
        at += 1
    return found


def memory(pids):
    """Returns the proportional memory of process trees in MB."""
    total = 0
    for pid in {each for root in pids for each in children(root)}:
        try:
            lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


class Agent:
    """An agent's process, with any number of sessions."""

    def __init__(self, argv, env, cwd):
        self.process = subprocess.Popen(
            argv, env=env, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.answers, self.next, self.text = {}, 0, None
        self.changed = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        capabilities = {"fs": {"readTextFile": False, "writeTextFile": False}}
        self.call("initialize", {"protocolVersion": 1, "clientCapabilities": capabilities})

    def read(self):
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if "id" in message and "method" not in message:
                self.answers[message["id"]] = message
                self.changed.put(None)
            elif message.get("method") == "session/update":
                kind = message["params"]["update"].get("sessionUpdate")
                if kind == "agent_message_chunk" and self.text is None:
                    self.text = time.monotonic()
        self.changed.put(None)

    def call(self, method, params):
        self.next += 1
        request = {"jsonrpc": "2.0", "id": self.next, "method": method, "params": params}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        end = time.monotonic() + TIMEOUT
        while self.next not in self.answers:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"no answer to {method}")
            try:
                self.changed.get(timeout=1)
            except queue.Empty:
                pass
        answer = self.answers.pop(self.next)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def session(self, cwd):
        """Opens a session with one turn; returns the milliseconds from its message to its first text."""
        session = self.call("session/new", {"cwd": cwd, "mcpServers": []})["sessionId"]
        self.text, sent = None, time.monotonic()
        prompt = [{"type": "text", "text": "hi"}]
        self.call("session/prompt", {"sessionId": session, "prompt": prompt})
        return (self.text - sent) * 1000 if self.text else float("nan")

    def end(self):
        self.process.kill()
        self.process.wait()


def agents(url, home):
    """Returns the agents by name: their command lines and environments."""
    clis, more = ROOT / "target/clis/node_modules/.bin", ROOT / "target/agents/node_modules/.bin"
    node = ROOT / "target/node/bin"
    path = f"{node}:{os.environ['PATH']}"
    base = {"PATH": path, "HOME": home, "LANG": "C.UTF-8", "DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1"}
    models = {"fake-model": {"name": "fake-model"}}
    options = {"baseURL": f"{url}/v1", "apiKey": KEY}
    provider = {"npm": "@ai-sdk/openai-compatible", "name": "fake", "options": options, "models": models}
    opencode = {
        "OPENCODE_CONFIG_CONTENT": json.dumps({"provider": {"fake": provider}, "model": "fake/fake-model"}),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    }
    gemini = {"GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": KEY, "GEMINI_MODEL": "gemini-2.5-pro"}
    qwen = {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": KEY, "OPENAI_MODEL": "fake-model"}
    claude = {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": KEY, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    adapter = os.environ.get("CLAUDE_AGENT_ACP", "claude-agent-acp")
    return {
        "opencode": ([str(clis / "opencode"), "acp"], base | opencode),
        "gemini": ([str(clis / "gemini"), "--acp"], base | gemini),
        "qwen": ([str(more / "qwen"), "--acp", "--auth-type", "openai"], base | qwen),
        "claude-agent-acp": ([adapter], base | claude),
    }


def measure(name, argv, env, count, folder, apart):
    projects = [folder / (f"{name}-{index}" if apart else name) for index in range(count)]
    for project in projects:
        project.mkdir(exist_ok=True)
    shared, first = Agent(argv, env, folder), []
    try:
        sizes = []
        for project in projects:
            first.append(shared.session(str(project)))
            time.sleep(SETTLE)
            sizes.append(memory([shared.process.pid]))
        processes = len(children(shared.process.pid))
    finally:
        shared.end()
    single, starts = [], []
    try:
        alone = []
        for project in projects:
            begin = time.monotonic()
            agent = Agent(argv, env, str(project))
            single.append(agent)
            agent.session(str(project))
            starts.append((agent.text - begin) * 1000 if agent.text else float("nan"))
            time.sleep(SETTLE)
            alone.append(memory([each.process.pid for each in single]))
    finally:
        for agent in single:
            agent.end()
    more_shared = (sizes[-1] - sizes[0]) / max(count - 1, 1)
    more_alone = (alone[-1] - alone[0]) / max(count - 1, 1)
    print(
        f"| {name} | {sizes[0]:.0f} | {sizes[-1]:.0f} | {alone[-1]:.0f} | {more_shared:.1f} | {more_alone:.1f} "
        f"| {sorted(first)[count // 2]:.0f} | {sorted(starts)[count // 2]:.0f} | {processes} |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=5)
    parser.add_argument("--apart", action="store_true", help="each session in a project of its own")
    parser.add_argument("agents", nargs="*", default=["opencode", "gemini", "qwen"])
    args = parser.parse_args()
    program = ROOT / "target/debug/examples/fake_model"
    model = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    url = model.stdout.readline().strip()
    count = args.sessions
    print(f"| agent | 1 session, MB | {count} in one process | {count} processes | one more session, shared |"
          " one more process | first text, awake, ms | first text from the process's start, ms | processes of one agent |")
    print("| --- " * 9 + "|")
    try:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for name in args.agents:
                home = folder / f"home-{name}"
                home.mkdir()
                argv, env = agents(url, str(home))[name]
                try:
                    measure(name, argv, env, count, folder, args.apart)
                except (RuntimeError, OSError) as error:
                    print(f"| {name} | {error} |", flush=True)
    finally:
        model.stdin.close()
        model.wait()


if __name__ == "__main__":
    main()
