"""`opencode serve`: the agent with an HTTP API of its own."""

import json

from scratch import FAKE_KEY
from streams import ServerSentEvents, call

from .base import Peer, Session, version_of


def opencode_environment(model):
    """Returns the environment of an OpenCode that talks to the fake model and asks before it runs commands."""
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{model}/v1", "apiKey": FAKE_KEY},
        "models": {"fake-model": {}},
    }
    config = {
        "model": "fake/fake-model",
        "small_model": "fake/fake-model",
        "provider": {"fake": provider},
        "permission": {"bash": "ask", "edit": "ask"},
        "autoupdate": False,
        "share": "disabled",
    }
    return {"OPENCODE_CONFIG_CONTENT": json.dumps(config)}


class OpenCodeSession(Session):
    def __init__(self, peer):
        super().__init__()
        self.peer = peer
        self.id = peer.call("POST", "/session", {})["id"]
        self.answers = set()
        self.reconnect()

    def reconnect(self):
        # There is no cursor.
        self.stream = ServerSentEvents(self.peer.port, "/event", {}, self.events, self._parse)

    def _parse(self, event):
        data = event.get("properties") or {}
        part = data.get("part") or {}
        if self.id not in (data.get("sessionID"), part.get("sessionID"), (data.get("info") or {}).get("sessionID")):
            return
        match event["type"]:
            case "message.part.delta" if data.get("field") == "text":
                yield "delta", data["delta"]
            case "session.idle":
                yield "end", ""
            case "permission.asked":
                yield "prompt", data["id"]

    def send(self, text):
        self.peer.call("POST", f"/session/{self.id}/prompt_async", {"parts": [{"type": "text", "text": text}]})
        return True

    def history(self):
        messages = self.peer.call("GET", f"/session/{self.id}/message")
        answers = [message for message in messages if message["info"]["role"] == "assistant"]
        parts = [part for message in answers for part in message["parts"]]
        return "".join(part["text"] for part in parts if part["type"] == "text")

    def prompts(self):
        return [prompt for prompt in self.peer.call("GET", "/permission") if prompt["sessionID"] == self.id]

    def allow(self, prompt):
        self.peer.call("POST", f"/permission/{prompt['id']}/reply", {"reply": "once"})


class OpenCodeServe(Peer):
    name, title = "opencode", "opencode serve"
    health = "/global/health"
    shell_tool = "bash"

    def __init__(self, scratch, model):
        self.title = f"opencode serve {version_of(scratch.clis / 'node_modules/opencode-ai')}"
        super().__init__(scratch, model)

    def command(self):
        binary = self.scratch.clis / "node_modules/.bin/opencode"
        return [binary, "serve", "--hostname", "127.0.0.1", "--port", self.port], opencode_environment(self.model)

    def call(self, method, path, body=None):
        return call(self.port, method, path, body)

    def open(self):
        return OpenCodeSession(self)

    def is_agent(self, pid):
        # The agent is in the server.
        return False
