"""A Slack app without a framework: Python's own HTTP server and slack_sdk's signature check. It knows nothing of Relay.

    SLACK_SIGNING_SECRET=… plain_app.py --port 0 --record requests.jsonl

Prints `ready PORT`, then takes POSTs on every path, as an app with a request URL per command does. Appends one JSON line per request to the
file, with its path, before it answers; a request with a wrong signature (401) or of no known shape (400) gets a line of the kind `refused`.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from slack_sdk.signature import SignatureVerifier

from backend import (
    Record,
    fields_of_command,
    fields_of_event,
    fields_of_interaction,
    parse_arguments,
    serve,
)

arguments = parse_arguments("A plain HTTP app with slack_sdk's signature check, for the program tests.")
record = Record(arguments.record)
verifier = SignatureVerifier(os.environ["SLACK_SIGNING_SECRET"])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not verifier.is_valid_request(body, dict(self.headers)):
            return self.refuse(401)
        try:
            kind, fields, answer = self.understand(body.decode())
        except (KeyError, ValueError):
            return self.refuse(400)
        if kind:
            record.append(kind, self.headers.get, path=self.path, **fields)
        self.answer(200, answer)

    def understand(self, body):
        """The kind of a request, its key fields and the answer.

        Told apart as Slack's documentation says: by content type, then by form field.
        """
        content_type = self.headers.get("Content-Type")
        if content_type == "application/json":
            event = json.loads(body)
            if event["type"] == "url_verification":
                return None, {}, {"challenge": event["challenge"]}
            return "event", fields_of_event(event), None
        if content_type != "application/x-www-form-urlencoded":
            raise ValueError(content_type)
        form = dict(parse_qsl(body, keep_blank_values=True, strict_parsing=True))
        if "payload" not in form:
            return "command", fields_of_command(form), {"text": f"Deploying {form.get('text', '')}"}
        payload = json.loads(form["payload"])
        if payload["type"] in ("block_suggestion", "dialog_suggestion"):
            return "options", fields_of_interaction(payload), {"options": []}
        return "interaction", fields_of_interaction(payload), None

    def refuse(self, status):
        record.append("refused", self.headers.get, status=status, path=self.path)
        self.answer(status, None)

    def answer(self, status, value):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        if body:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", arguments.port), Handler)
serve(server, server.server_port, arguments)
