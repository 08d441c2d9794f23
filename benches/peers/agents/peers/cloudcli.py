"""CloudCLI: a Node.js server that runs Claude Code with the Agent SDK, anew for each turn."""

from scratch import FAKE_KEY
from streams import WebSocket, call

from .base import PACKAGES, Peer, Session, version_of

PACKAGE = PACKAGES / "@cloudcli-ai/cloudcli"


class CloudCliSession(Session):
    def __init__(self, peer):
        super().__init__()
        self.peer, self.cursor, self.pending = peer, 0, []
        made = peer.call("POST", "/api/providers/sessions", {"provider": "claude", "projectPath": str(peer.project)})
        self.id = made["data"]["sessionId"]
        self.reconnect()

    def reconnect(self):
        self.pending = []
        self.stream = WebSocket(self.peer.port, f"/ws?token={self.peer.token}", self.events, self._parse)
        self.stream.send({"type": "chat.subscribe", "sessions": [{"sessionId": self.id, "lastSeq": self.cursor}]})

    def _parse(self, frame):
        self.cursor = frame.get("seq") or self.cursor
        match frame.get("kind"):
            case "text" if frame.get("role") == "assistant":
                yield "text", frame.get("content") or ""
            case "stream_delta":
                yield "delta", frame.get("content") or ""
            case "complete":
                yield "end", ""
            case "permission_request":
                self.pending.append(frame["requestId"])
                yield "prompt", frame["requestId"]
            case "chat_subscribed":
                self.pending += [prompt["requestId"] for prompt in frame.get("pendingPermissions") or []]
            case "error" | "protocol_error":
                yield "error", str(frame.get("content") or frame.get("error"))

    def send(self, text):
        self.stream.send({"type": "chat.send", "sessionId": self.id, "content": text, "options": {}})

    def history(self):
        page = self.peer.call("GET", f"/api/providers/sessions/{self.id}/messages")
        messages = page["data"]["messages"]
        return "".join(it.get("content") or "" for it in messages if it.get("kind") == "text" and it["role"] == "assistant")

    def prompts(self):
        return list(self.pending)

    def allow(self, prompt):
        self.stream.send({"type": "chat.permission-response", "requestId": prompt, "allow": True})


class CloudCli(Peer):
    name, title = "cloudcli", "CloudCLI"

    def __init__(self, scratch, model):
        self.title = f"CloudCLI {version_of(PACKAGE)}"
        self.token = None
        super().__init__(scratch, model)

    def command(self):
        env = {
            "HOST": "127.0.0.1",
            "SERVER_PORT": self.port,
            "NODE_ENV": "production",
            "ANTHROPIC_BASE_URL": self.model,
            "ANTHROPIC_API_KEY": FAKE_KEY,
            "CLAUDE_CLI_PATH": self.scratch.clis / "node_modules/.bin/claude",
        }
        return [self.scratch.node, PACKAGE / "dist-server/server/index.js"], env

    def ready(self):
        if self.token is None:
            user = {"username": "bench", "password": "bench-of-peers"}
            self.token = call(self.port, "POST", "/api/auth/register", user)["token"]

    def call(self, method, path, body=None):
        return call(self.port, method, path, body, {"Authorization": f"Bearer {self.token}"})

    def open(self):
        return CloudCliSession(self)
