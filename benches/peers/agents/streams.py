"""Clients of the peers: small HTTP calls, and streams that note each event with its time."""

import http.client
import json
import threading
import time

import websocket

from scratch import DEADLINE, DidNotRun


def call(port, method, path, body=None, headers=None, timeout=DEADLINE):
    """Makes one HTTP request with a JSON body, and returns the JSON of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        sent = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, body and json.dumps(body), sent | (headers or {}))
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise DidNotRun(f"{method} {path.split('?')[0]} answers {answer.status}: {text[:120].decode(errors='replace')}")
        return json.loads(text) if text else None
    finally:
        connection.close()


def answers(port, path):
    """Returns true if an HTTP server answers there, with whatever status."""
    # A short time limit: a connection in the instant of a server's first `listen` may never be answered.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.25)
    try:
        connection.request("GET", path)
        connection.getresponse()
        return True
    except OSError:
        return False
    finally:
        connection.close()


class Events:
    """What a client has seen, in order: (time, kind, text), with a kind of delta, text, end, prompt or closed."""

    def __init__(self):
        self.seen = []
        self.bytes = 0
        self._changed = threading.Condition()

    def add(self, kind, text="", at=None):
        with self._changed:
            self.seen.append((at or time.perf_counter(), kind, text))
            self._changed.notify_all()

    def wait(self, what, found, deadline=DEADLINE):
        """Waits until `found` of all events returns something true, and returns that."""
        with self._changed:
            result = self._changed.wait_for(lambda: found(self.seen), deadline)
        if not result:
            raise DidNotRun(f"waited {deadline:.0f} s for {what}")
        return result

    def end_of_turn(self, start, deadline=DEADLINE):
        """Waits for the end of the turn whose events begin at `start`; returns (time of the first text, of the end)."""

        def found(seen):
            text = next((at for at, event in enumerate(seen[start:], start) if event[1] in ("delta", "text")), None)
            if text is None:
                return None
            end = next((event for event in seen[text:] if event[1] == "end"), None)
            return end and (seen[text][0], end[0])

        return self.wait("the end of a turn", found, deadline)


class Stream:
    """A connection that a thread reads. `parse` turns a JSON object into (kind, text) pairs, of which `events` gets a note."""

    def __init__(self, events, parse):
        self.events, self.parse, self.is_closed = events, parse, False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            for text in self.messages():
                at = time.perf_counter()
                self.events.bytes += len(text)
                for kind, words in self.parse(json.loads(text)):
                    self.events.add(kind, words, at)
        # A peer that is killed cuts its streams in any of these ways.
        except (OSError, ValueError, AttributeError, http.client.HTTPException, websocket.WebSocketException):
            pass
        self.is_closed = True
        self.events.add("closed")


class ServerSentEvents(Stream):
    """A stream of server-sent events; `last_id` is its cursor."""

    def __init__(self, port, path, headers, events, parse):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE * 10)
        self._connection.request("GET", path, headers={"Accept": "text/event-stream"} | headers)
        self._answer = self._connection.getresponse()
        if self._answer.status != 200:
            raise DidNotRun(f"GET {path.split('?')[0]} answers {self._answer.status}")
        self.last_id = None
        super().__init__(events, parse)

    def messages(self):
        data = []
        while line := self._answer.readline():
            self.events.bytes += len(line)
            line = line.rstrip(b"\r\n")
            if line.startswith(b"data:"):
                data.append(line[5:].strip())
            elif line.startswith(b"id:"):
                self.last_id = line[3:].strip().decode()
            elif not line and data:
                yield b"\n".join(data)
                # All bytes are counted by line here.
                self.events.bytes -= len(b"\n".join(data))
                data = []

    def close(self):
        self._answer.close()
        self._connection.close()


class WebSocket(Stream):
    """A WebSocket of JSON messages."""

    def __init__(self, port, path, events, parse):
        self._socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=DEADLINE)
        self._socket.settimeout(DEADLINE * 10)
        super().__init__(events, parse)

    def messages(self):
        while text := self._socket.recv():
            yield text

    def send(self, message):
        self._socket.send(json.dumps(message))

    def close(self):
        self._socket.close()


class Pipe(Stream):
    """The output of a program, a JSON object a line."""

    def __init__(self, child, events, parse):
        self._child = child
        super().__init__(events, parse)

    def messages(self):
        for line in self._child.stdout:
            if line.strip():
                yield line

    def send(self, message):
        self._child.stdin.write(json.dumps(message).encode() + b"\n")
        self._child.stdin.flush()
