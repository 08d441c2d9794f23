"""Receives webhooks on a free port and says so: the port first, then one line of JSON for each message.

usage: webhook_receiver.py SECRET CERTIFICATE ANSWER...

CERTIFICATE is a file with a certificate and its key, for TLS, or `plain`.

It looks at signatures with the function of the README, which the test puts beside it as `verify.py`. ANSWER is what each
message gets in turn, the last one all that follow: a status, `hang` (nothing, ever) or a status and where it redirects to,
as in `302=http://...`.
"""

import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from verify import is_genuine

secret, certificate, answers = sys.argv[1], sys.argv[2], sys.argv[3:]


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        seen = {
            "id": self.headers["webhook-id"],
            "genuine": is_genuine(self.headers, body, secret),
            "changed_is_genuine": is_genuine(self.headers, body + b" ", secret),
            "path": self.path,
            "type": self.headers["Content-Type"],
            "host": self.headers["Host"],
            "body": json.loads(body),
        }
        print(json.dumps(seen), flush=True)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer == "hang":
            threading.Event().wait()
        status, _, location = answer.partition("=")
        self.send_response(int(status))
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
if certificate != "plain":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
