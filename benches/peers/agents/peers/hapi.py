"""HAPI: a hub with the API, a runner that starts sessions, and a `hapi claude` for each."""

import time

from scratch import FAKE_KEY, DidNotRun, arguments, end_all, is_alive, wait_for
from streams import ServerSentEvents, call

from .base import PACKAGES, Peer, Session, version_of

PACKAGE = PACKAGES / "@twsxtd/hapi"
TOKEN = "bench-of-peers-token"


class HapiSession(Session):
    def __init__(self, peer):
        super().__init__()
        self.peer, self.cursor, self.seen = peer, None, set()
        wanted = {"directory": str(peer.project), "agent": "claude", "permissionMode": "default"}
        # The hub lists a runner a moment before it can start sessions with it.
        self.id = wait_for("a session", lambda: self._spawned(wanted), pause=0.2)
        self.stream = None
        self.reconnect()
        wait_for("an active session", lambda: self._session().get("active"))

    def _spawned(self, wanted):
        made = self.peer.call("POST", f"/api/machines/{self.peer.machine}/spawn", wanted)
        if made.get("type") != "success" and "not registered" not in made.get("message", ""):
            raise DidNotRun(f"no session: {made.get('message')}")
        return made.get("sessionId")

    def _session(self):
        return self.peer.call("GET", f"/api/sessions/{self.id}")["session"]

    def reconnect(self):
        cursor = self.stream.last_id if self.stream else None
        path = f"/api/events?sessionId={self.id}&visibility=visible" + (f"&lastEventId={cursor}" if cursor else "")
        self.stream = ServerSentEvents(self.peer.port, path, self.peer.bearer(), self.events, self._parse)

    def _parse(self, event):
        # After a gap the contract has clients read the messages again; the hub keeps no cursor over its end.
        if event["type"] == "connection-changed" and event["data"].get("resume") == "gap" and self.seen:
            for message in self._messages():
                yield from self._message(message)
        elif event["type"] == "message-received":
            yield from self._message(event["message"])

    def _messages(self):
        return self.peer.call("GET", f"/api/sessions/{self.id}/messages?limit=200")["messages"]

    def _message(self, message):
        if message["id"] in self.seen:
            return
        self.seen.add(message["id"])
        text = answer_of(message)
        if text:
            yield "text", text
        payload = message["content"].get("content")
        if isinstance(payload, dict) and payload.get("type") == "event" and payload["data"].get("type") == "ready":
            yield "end", ""

    def send(self, text):
        self.peer.call("POST", f"/api/sessions/{self.id}/messages", {"text": text})
        return True

    def history(self):
        return "".join(map(answer_of, self._messages()))

    def prompts(self):
        return list((self._session().get("agentState") or {}).get("requests") or {})

    def allow(self, prompt):
        # Sessions count as inactive until their process has connected again.
        path = f"/api/sessions/{self.id}/permissions/{prompt}/approve"
        end = time.monotonic() + 20
        while True:
            try:
                return self.peer.call("POST", path, {})
            except DidNotRun:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)


def answer_of(message):
    """Returns the text of an answer of Claude Code's in one message; empty for all others."""
    payload = message["content"].get("content")
    if message["content"].get("role") != "agent" or not isinstance(payload, dict) or payload.get("type") != "output":
        return ""
    if payload["data"].get("type") != "assistant":
        return ""
    blocks = payload["data"]["message"]["content"]
    if isinstance(blocks, str):
        return blocks
    return "".join(block["text"] for block in blocks if block.get("type") == "text")


class Hapi(Peer):
    name, title = "hapi", "HAPI"

    def __init__(self, scratch, model):
        self.title = f"HAPI {version_of(PACKAGE)}"
        self.runner = self.machine = self.token = None
        super().__init__(scratch, model)

    def environment(self):
        return {
            "HAPI_HOME": self.folder / "home/.hapi",
            "HAPI_API_URL": f"http://127.0.0.1:{self.port}",
            "HAPI_LISTEN_HOST": "127.0.0.1",
            "HAPI_LISTEN_PORT": self.port,
            "HAPI_IOS_PUSH": "off",
            "CLI_API_TOKEN": TOKEN,
            "ANTHROPIC_BASE_URL": self.model,
            "ANTHROPIC_API_KEY": FAKE_KEY,
        }

    def command(self):
        return [self.scratch.node, PACKAGE / "bin/hapi.cjs", "hub", "--no-relay"], self.environment()

    def ready(self):
        if self.runner is None or self.runner.poll() is not None:
            command = [self.scratch.node, PACKAGE / "bin/hapi.cjs", "runner", "start-sync"]
            env = self.scratch.environment(self.folder, **self.environment())
            self.runner = self.scratch.spawn(command, self.folder, env)
        self.token = call(self.port, "POST", "/api/auth", {"accessToken": TOKEN})["token"]
        machines = wait_for("its runner", lambda: self.call("GET", "/api/machines")["machines"])
        self.machine = machines[0]["id"]

    def bearer(self):
        return {"Authorization": f"Bearer {self.token}"}

    def call(self, method, path, body=None):
        return call(self.port, method, path, body, self.bearer())

    def open(self):
        return HapiSession(self)

    def to_kill(self):
        # Hub and runner, each a small program of Node.js and the real one; not the `hapi claude` of each session.
        return [pid for pid in self.processes() if {"hub", "start-sync"} & set(arguments(pid))]

    def kill(self):
        pids = self.to_kill()
        end_all(pids)
        self.child.wait()
        if self.runner:
            self.runner.wait()
        wait_for("its end", lambda: not any(map(is_alive, pids)))
