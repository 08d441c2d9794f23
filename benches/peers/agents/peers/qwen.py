"""`qwen serve`: a daemon with an HTTP API over one `qwen --acp` for all sessions."""

import json

from scratch import FAKE_KEY, arguments
from streams import ServerSentEvents, call

from .base import PACKAGES, Peer, Session, version_of


def qwen_settings(folder):
    """Writes Qwen Code's settings: an OpenAI-compatible model, no statistics, no updates."""
    settings = {
        "security": {"auth": {"selectedType": "openai"}},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
        "tools": {"approvalMode": "default"},
    }
    (folder / "home/.qwen").mkdir(exist_ok=True)
    (folder / "home/.qwen/settings.json").write_text(json.dumps(settings))


def qwen_environment(model):
    return {"OPENAI_BASE_URL": f"{model}/v1", "OPENAI_API_KEY": FAKE_KEY, "OPENAI_MODEL": "fake-model"}


class QwenSession(Session):
    def __init__(self, peer):
        super().__init__()
        self.peer = peer
        made = {"cwd": str(peer.project), "sessionScope": "thread", "approvalMode": "default"}
        answer = peer.call("POST", "/session", made)
        self.id, self.client = answer["sessionId"], answer.get("clientId")
        self.stream, self.open_prompts = None, {}
        self._follow(None)

    def _headers(self):
        return {"X-Qwen-Client-Id": self.client} if self.client else {}

    def _follow(self, cursor):
        headers = self._headers() | ({"Last-Event-ID": cursor} if cursor else {})
        self.stream = ServerSentEvents(self.peer.port, f"/session/{self.id}/events", headers, self.events, self._parse)

    def reconnect(self):
        # A session of an earlier daemon has to be loaded first.
        self.open_prompts = {}
        answer = self.peer.call("POST", f"/session/{self.id}/load", {"cwd": str(self.peer.project)})
        self.client = answer.get("clientId")
        self._follow(None)

    def _parse(self, event):
        data = event.get("data") or {}
        match event.get("type"):
            case "session_update":
                update = data.get("update", data)
                if update.get("sessionUpdate") == "agent_message_chunk":
                    yield "delta", (update.get("content") or {}).get("text", "")
            case "turn_complete" | "turn_error":
                yield "end", ""
            case "permission_request":
                self.open_prompts[data["requestId"]] = data
                yield "prompt", data["requestId"]
            case "permission_resolved":
                self.open_prompts.pop(data.get("requestId"), None)

    def send(self, text):
        self.peer.call("POST", f"/session/{self.id}/prompt", {"prompt": [{"type": "text", "text": text}]}, self._headers())
        return True

    def history(self):
        return "".join(texts(self.peer.call("GET", f"/session/{self.id}/transcript")))

    def prompts(self):
        return list(self.open_prompts.values())

    def allow(self, prompt):
        option = next(option for option in prompt["options"] if option.get("kind") == "allow_once")
        vote = {"outcome": {"outcome": "selected", "optionId": option["optionId"]}}
        self.peer.call("POST", f"/session/{self.id}/permission/{prompt['requestId']}", vote, self._headers())


def texts(value):
    """Returns the texts of the agent's message chunks anywhere in a stored transcript."""
    if isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        if value.get("sessionUpdate") == "agent_message_chunk":
            yield (value.get("content") or {}).get("text", "")
        else:
            yield from texts(list(value.values()))


class QwenServe(Peer):
    name, title = "qwen", "qwen serve"
    shell_tool = "run_shell_command"

    def __init__(self, scratch, model):
        self.title = f"qwen serve {version_of(PACKAGES / '@qwen-code/qwen-code')}"
        super().__init__(scratch, model)

    def prepare(self):
        qwen_settings(self.folder)

    def command(self):
        command = [self.scratch.node, PACKAGES / "@qwen-code/qwen-code/cli-entry.js", "serve"]
        # A loaded machine takes longer to start the agent than the 10 s that it allows by itself.
        command += ["--initialize-timeout-ms", "60000"]
        return [*command, "--hostname", "127.0.0.1", "--port", self.port], qwen_environment(self.model)

    def call(self, method, path, body=None, headers=None):
        return call(self.port, method, path, body, headers)

    def open(self):
        return QwenSession(self)

    def is_agent(self, pid):
        return "--acp" in arguments(pid)

    def to_kill(self):
        # Its entry program starts the daemon as a child.
        return [pid for pid in self.processes() if "serve" in arguments(pid)]
