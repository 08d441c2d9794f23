"""rs-worker, with any of the agents."""

import os
import shutil
from pathlib import Path

from scratch import FAKE_KEY, ROOT
from streams import WebSocket, call

from .base import Peer, Session
from .qwen import qwen_settings

TITLES = {"claude": "rs-worker", "opencode": "rs-worker with OpenCode", "qwen": "rs-worker with Qwen Code"}
SHELLS = {"claude": "Bash", "opencode": "bash", "qwen": "run_shell_command"}


class WorkerSession(Session):
    def __init__(self, peer, cli):
        super().__init__()
        self.peer, self.cursor = peer, 0
        made = {"name": f"w{peer.opened}", "project_path": str(peer.project), "ai_cli_type": cli}
        self.id = peer.call("POST", "/api/workers", made)["id"]
        self.reconnect()
        self.events.wait("an idle worker", lambda seen: any(kind == "ready" for _, kind, _ in seen))

    def reconnect(self):
        self.stream = WebSocket(self.peer.port, f"/ws/{self.id}?since={self.cursor}", self.events, self._parse)

    def _parse(self, frame):
        if frame.get("type") == "status" and frame.get("status") == "idle":
            yield "ready", ""
        if frame.get("type") != "output":
            return
        self.cursor = frame.get("seq") or self.cursor
        event = frame["content"]
        match event["type"]:
            case "delta" if event["of"] == "assistant":
                yield "delta", event["content"]
            case "assistant":
                yield "text", event["content"]
            case "turn_completed":
                yield "end", ""
            case "permission_request":
                yield "prompt", event["request_id"]
            case "session" | "init" | "ready":
                yield "ready", ""

    def send(self, text):
        self.peer.call("POST", f"/api/workers/{self.id}/messages", {"content": text})
        return True

    def history(self):
        page = self.peer.call("GET", f"/api/workers/{self.id}/messages?limit=200")
        return "".join(event["content"] for event in page["messages"] if event["type"] == "assistant")

    def prompts(self):
        waiting = self.peer.call("GET", "/api/permissions")["permissions"]
        return [prompt for prompt in waiting if prompt["worker_id"] == self.id]

    def allow(self, prompt):
        option = next(option for option in prompt["options"] if "allow" in option.get("kind", option["id"]))
        path = f"/api/workers/{self.id}/permissions/{prompt['request_id']}"
        self.peer.call("POST", path, {"option_id": option["id"]})


class RsWorker(Peer):
    cli = "claude"

    @classmethod
    def of(cls, cli):
        """Returns the class for one agent."""
        name = "rs-worker" if cli == "claude" else f"rs-worker-{cli}"
        return type(f"RsWorker_{cli}", (cls,), {"cli": cli, "name": name, "title": TITLES[cli], "shell_tool": SHELLS[cli]})

    def prepare(self):
        self.opened = 0
        adapters = self.project / "adapters"
        adapters.mkdir(exist_ok=True)
        if self.cli == "qwen":
            shutil.copy(ROOT / "adapters/examples/qwen.json", adapters)
            qwen_settings(self.folder)

    def command(self):
        env = {
            "HOST": "127.0.0.1",
            "PORT": self.port,
            "CLAUDE_BINARY": self.scratch.clis / "node_modules/.bin/claude",
            "OPENCODE_BINARY": self.scratch.clis / "node_modules/.bin/opencode",
            "ENABLED_AI_CLIS": self.cli,
            "ANTHROPIC_BASE_URL": self.model,
            "ANTHROPIC_API_KEY": FAKE_KEY,
            "OPENCODE_API_BASE": f"{self.model}/v1",
            "OPENCODE_API_KEY": FAKE_KEY,
            "OPENCODE_MODEL": "fake-model",
            "OPENCODE_PERMISSION": '{"bash":"ask","edit":"ask"}',
            "OPENAI_BASE_URL": f"{self.model}/v1",
            "OPENAI_API_KEY": FAKE_KEY,
            "OPENAI_MODEL": "fake-model",
        }
        return [program(), "serve"], env

    def call(self, method, path, body=None):
        return call(self.port, method, path, body)

    def open(self):
        self.opened += 1
        return WorkerSession(self, self.cli)

    def is_agent(self, pid):
        return Path(f"/proc/{pid}/exe").exists() and os.path.realpath(f"/proc/{pid}/exe") != str(program().resolve())


def program():
    """Returns the program to measure: RS_WORKER_BENCH_PROGRAM, or what `make` has built."""
    named = os.environ.get("RS_WORKER_BENCH_PROGRAM")
    return Path(named) if named else ROOT / "target/release/rs-worker"
