"""A sample backend: an app as one writes it for Slack's request URLs. Checks Slack's signature and prints what it is sent.

    SLACK_SIGNING_SECRET=… python3 backend.py --port 3000

Python's standard library only. 200 to what is signed rightly, with a reply to slash commands; 401 to everything else.
"""

import argparse
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

# Older requests are refused: somebody may have recorded them. https://docs.slack.dev/authentication/verifying-requests-from-slack
OLDEST_SECONDS = 300
LARGEST_BYTES = 16 * 1024 * 1024


def is_signed(secret, timestamp, signature, body, now):
    """Whether `signature` is Slack's (v0) for these bytes, and `timestamp` (seconds, as text) is not too far from `now`."""
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > OLDEST_SECONDS:
        return False
    base = b"v0:" + timestamp.encode() + b":" + body
    expected = "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()
    # As bytes, because compare_digest refuses text beyond ASCII, which a header can hold.
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogateescape"))


def reply_to(content_type, body):
    """What the app answers: something to show for a slash command, nothing for the rest."""
    if content_type.startswith("application/x-www-form-urlencoded"):
        form = parse_qs(body.decode("utf-8", "replace"))
        if "command" in form:
            return {"text": f"The sample backend got {form['command'][0]} {form.get('text', [''])[0]}".rstrip()}
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are reused
    secret = ""

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST_BYTES:
            self.close_connection = True  # where the next request would begin is unknown
            return self.answer(411 if not length.isdecimal() else 413)
        body = self.rfile.read(int(length))
        timestamp = self.headers.get("X-Slack-Request-Timestamp", "")
        if not is_signed(self.secret, timestamp, self.headers.get("X-Slack-Signature", ""), body, time.time()):
            print("refused: not signed by Slack, or too long ago", flush=True)
            return self.answer(401)
        print(f"{self.path} {self.headers.get('X-Relay-Delivery-Id', '')} {body.decode('utf-8', 'replace')}", flush=True)
        self.answer(200, reply_to(self.headers.get("Content-Type", ""), body))

    def answer(self, status, reply=None):
        body = b"" if reply is None else json.dumps(reply).encode()
        self.send_response(status)
        if body:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass  # do_POST prints what matters


def main():
    arguments = argparse.ArgumentParser(description="A sample backend for Relay.")
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=3000, help="0 takes any free port")
    options = arguments.parse_args()
    Handler.secret = os.environ.get("SLACK_SIGNING_SECRET", "")
    if not Handler.secret:
        sys.exit("SLACK_SIGNING_SECRET is not set")
    server = ThreadingHTTPServer((options.host, options.port), Handler)
    print(f"listening on {options.host}:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
