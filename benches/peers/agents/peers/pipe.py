"""The agents alone, on their own pipes: the floor below each manager."""

import subprocess
import threading

from scratch import FAKE_KEY, end_all
from streams import Pipe

from .base import Peer, Session
from .opencode import opencode_environment
from .qwen import qwen_environment, qwen_settings


class ClaudeSession(Session):
    def __init__(self, peer):
        super().__init__()
        words = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]
        words += ["--include-partial-messages", "--permission-prompt-tool", "stdio"]
        env = peer.scratch.environment(peer.folder, ANTHROPIC_BASE_URL=peer.model, ANTHROPIC_API_KEY=FAKE_KEY)
        command = [peer.scratch.clis / "node_modules/.bin/claude", *words]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.child = peer.scratch.spawn(command, peer.folder, env, **pipes)
        self.stream = Pipe(self.child, self.events, self._parse)

    def _parse(self, line):
        event = line.get("event") or {}
        if line["type"] == "stream_event" and event.get("type") == "content_block_delta":
            if "text" in event["delta"]:
                yield "delta", event["delta"]["text"]
        elif line["type"] == "result":
            yield "end", ""

    def send(self, text):
        content = [{"type": "text", "text": text}]
        self.stream.send({"type": "user", "message": {"role": "user", "content": content}})


class AcpSession(Session):
    """A session of the Agent Client Protocol."""

    def __init__(self, peer, command, env):
        super().__init__()
        self.next_id, self.results, self.changed = 0, {}, threading.Condition()
        env = peer.scratch.environment(peer.folder, **env)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.child = peer.scratch.spawn(command, peer.folder, env, **pipes)
        self.stream = Pipe(self.child, self.events, self._parse)
        self._request("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
        self.id = self._request("session/new", {"cwd": str(peer.project), "mcpServers": []})["sessionId"]

    def _start(self, method, params):
        self.next_id += 1
        self.stream.send({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params})
        return self.next_id

    def _request(self, method, params):
        number = self._start(method, params)
        self.events.wait(f"the answer to {method}", lambda _: number in self.results)
        return self.results.pop(number)

    def _parse(self, message):
        if message.get("method") == "session/update":
            update = message["params"]["update"]
            if update["sessionUpdate"] == "agent_message_chunk":
                yield "delta", update["content"].get("text", "")
        elif "method" not in message and "id" in message:
            self.results[message["id"]] = message.get("result") or {}
            yield "end" if "stopReason" in self.results[message["id"]] else "answer", ""

    def send(self, text):
        self._start("session/prompt", {"sessionId": self.id, "prompt": [{"type": "text", "text": text}]})


class AgentAlone(Peer):
    """An agent without a manager: it can be spoken to and measured, not killed and taken up."""

    is_manager = False

    def start(self):
        return None

    def is_agent(self, pid):
        return True

    def stop(self):
        end_all(self.processes())


class ClaudePipe(AgentAlone):
    name, title = "pipe", "Claude Code alone"

    def open(self):
        return ClaudeSession(self)


class AcpPipe(AgentAlone):
    cli = ""

    @classmethod
    def of(cls, cli):
        """Returns the class for one agent."""
        title = {"opencode": "OpenCode alone (ACP)", "qwen": "Qwen Code alone (ACP)"}[cli]
        return type(f"AcpPipe_{cli}", (cls,), {"cli": cli, "name": f"pipe-{cli}", "title": title})

    def prepare(self):
        if self.cli == "qwen":
            qwen_settings(self.folder)

    def open(self):
        if self.cli == "opencode":
            binary = self.scratch.clis / "node_modules/.bin/opencode"
            return AcpSession(self, [binary, "acp"], opencode_environment(self.model))
        return AcpSession(self, ["qwen", "--acp"], qwen_environment(self.model))
