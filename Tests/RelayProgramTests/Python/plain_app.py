"""A Slack app without a framework: Python's own HTTP server and slack_sdk's signature check. It knows nothing of Relay.

    SLACK_SIGNING_SECRET=… plain_app.py --port 0 --record requests.jsonl

Prints `ready PORT`, then takes POSTs on every path, as an app with a request URL per command does. Appends one JSON
line per request to the file, with its path, before it answers; a request with a wrong signature (401) or of no known
shape (400) gets a line of the kind `refused`.

It answers as apps do that were written by hand, well and badly: `ANSWERS` has the commands and callback ids to try.
"""

import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from slack_sdk.signature import SignatureVerifier

from backend import Record, is_menu, parse_arguments, serve, understand

NEVER = 3600

arguments = parse_arguments("A plain HTTP app with slack_sdk's signature check, for the program tests.")
record = Record(arguments.record)
verifier = SignatureVerifier(os.environ["SLACK_SIGNING_SECRET"])


class Answer:
    """A response, after some seconds. Without a content type the header is left out."""

    def __init__(self, content_type=None, body=b"", status=200, after=0):
        self.content_type = content_type
        self.body = body
        self.status = status
        self.after = after


def as_json(value, **rest):
    return Answer("application/json", json.dumps(value).encode(), **rest)


# By slash command, or by the callback id of a view, a dialog or an attachment.
ANSWERS = {
    "/json": as_json({"response_type": "in_channel", "text": "Deployed"}),
    "/json-utf8": Answer("application/json; charset=utf-8", '{"text": "Grüße"}'.encode()),
    "/text": Answer("text/plain", b"Deployed"),
    "/text-utf8": Answer("text/plain; charset=utf-8", "Grüße & <b>mehr</b>\n\"zwei\"".encode()),
    "/empty": Answer(),
    "/empty-json": Answer("application/json"),
    "/empty-object": as_json({}),
    # A PHP file that ends with a line break after its ?>, and one that was saved with a byte order mark.
    "/php-newline": Answer("application/json", b'{"text":"Deployed"}\n'),
    "/php-text": Answer("text/html; charset=UTF-8", b"Deployed\n"),
    "/php-mark": Answer("application/json", b'\xef\xbb\xbf{"text":"Deployed"}'),
    "/php-nothing": Answer("text/html; charset=UTF-8", b"\n"),
    "/late": as_json({"text": "Deployed at last"}, after=4),
    "/never": Answer(after=NEVER),
    "/error": Answer("text/plain", b"database is gone", status=500),
    "/error-page": Answer("text/html", b"<html><body><h1>502 Bad Gateway</h1></body></html>", status=502),
    "/created": as_json({"text": "Deployed"}, status=201),
    "/page": Answer("text/html", b"<html><body>Please log in</body></html>"),
    "/list": as_json(["Deployed"]),
    "/string": as_json("Deployed"),
    "/half": Answer("application/json", b'{"text":"Depl'),
    "/latin1": Answer("text/plain; charset=iso-8859-1", "Grüße".encode("latin-1")),
    "/latin1-silent": Answer("text/plain", "Grüße".encode("latin-1")),
    "errors_form": as_json({"response_action": "errors", "errors": {"input": "That is taken"}}),
    "list_form": as_json(["That is taken"]),
    "error_form": Answer("text/plain", b"database is gone", status=500),
    "errors_dialog": as_json({"errors": [{"name": "answer", "error": "That is taken"}]}),
    "replaced_attachment": as_json({"text": "Approved"}),
}
MENUS = {
    "block_suggestion": as_json({"options": [{"text": {"type": "plain_text", "text": "Staging"}, "value": "s"}]}),
    "dialog_suggestion": as_json({"options": [{"label": "Staging", "value": "s"}]}),
    "interactive_message": as_json({"options": [{"text": "Staging", "value": "s"}]}),
}


def answer_to(kind, content):
    """`content`: the form of a command, or the JSON of everything else."""
    if kind == "event":
        return Answer()
    if kind == "command":
        return ANSWERS.get(content["command"]) or as_json({"text": f"Deploying {content.get('text', '')}"})
    if is_menu(content):
        return MENUS[content["type"]]
    return ANSWERS.get(content.get("callback_id") or content.get("view", {}).get("callback_id"), Answer())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not verifier.is_valid_request(body, dict(self.headers)):
            return self.refuse(401)
        try:
            kind, fields, content = understand(self.headers.get("Content-Type"), body.decode())
            if content.get("type") == "url_verification":
                return self.answer(as_json({"challenge": content["challenge"]}))
            answer = answer_to(kind, content)
        except (KeyError, ValueError):
            return self.refuse(400)
        time.sleep(answer.after)
        record.append(kind, self.headers.get, path=self.path, **fields)
        self.answer(answer)

    def refuse(self, status):
        record.append("refused", self.headers.get, status=status, path=self.path)
        self.answer(Answer(status=status))

    def answer(self, answer):
        self.send_response(answer.status)
        if answer.content_type:
            self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", arguments.port), Handler)
serve(server, server.server_port, arguments)
