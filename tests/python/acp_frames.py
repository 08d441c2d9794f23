"""Checks messages of the Agent Client Protocol, one a line as {"from", "message"}, against its schema."""

import json
import sys

import jsonschema_rs

with open(sys.argv[1], encoding="utf-8") as file:
    SCHEMA = json.load(file)


def definitions(ending):
    """The definitions of a kind of message, by method."""
    return {
        body["x-method"]: name
        for name, body in SCHEMA["$defs"].items()
        if "x-method" in body and name.endswith(ending)
    }


REQUESTS = definitions("Request")
RESPONSES = definitions("Response")
NOTIFICATIONS = definitions("Notification")
# Of the time before configuration options.
NOT_IN_SCHEMA = {"session/set_model"}
validators = {}
asked = {}
mistakes = []


def check(name, value, line):
    if name not in validators:
        schema = {"$schema": SCHEMA["$schema"], "$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]}
        validators[name] = jsonschema_rs.validator_for(schema)
    for error in validators[name].iter_errors(value):
        mistakes.append(f"{name}: {error.message} at {list(error.instance_path)} in {line[:600]}")


for line in sys.stdin:
    entry = json.loads(line)
    message, side = entry["message"], entry["from"]
    if message.get("jsonrpc") != "2.0":
        mistakes.append(f"no jsonrpc in {line[:600]}")
    method, number = message.get("method"), message.get("id")
    if method is not None and "id" in message:
        asked[(side, json.dumps(number))] = method
        if method in REQUESTS:
            check(REQUESTS[method], message["params"], line)
        elif side == "agent" and method not in NOT_IN_SCHEMA:
            mistakes.append(f"{method} is not a request of the protocol")
    elif method is not None:
        if method in NOTIFICATIONS:
            check(NOTIFICATIONS[method], message["params"], line)
        elif side == "agent":
            mistakes.append(f"{method} is not a notification of the protocol")
    elif "error" in message:
        check("Error", message["error"], line)
    elif side == "agent":
        method = asked.get(("client", json.dumps(number)))
        if method in RESPONSES:
            check(RESPONSES[method], message["result"], line)
        elif method not in NOT_IN_SCHEMA:
            mistakes.append(f"an answer to nothing: {line[:600]}")

print("\n".join(mistakes))
sys.exit(1 if mistakes else 0)
