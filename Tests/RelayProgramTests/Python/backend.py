"""What the backend apps of the program tests share: their arguments, the `ready PORT` line, and the record of what they handled."""

import argparse
import json
import os
import sys
import threading
from urllib.parse import parse_qsl


class Record:
    """A file with one JSON object per line, one line per request. A line is complete once its request is answered."""

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, kind, headers, **fields):
        """Appends a line: the kind, then the given fields that are not None, then what Relay says of the delivery.

        `headers` is a function from a header's name to its value, or None when the request has no such header.
        """
        fields.update(
            delivery_id=headers("X-Relay-Delivery-Id"),
            attempt=headers("X-Relay-Attempt"),
            route=headers("X-Relay-Route"),
            retry_num=headers("X-Slack-Retry-Num"),
            retry_reason=headers("X-Slack-Retry-Reason"),
        )
        line = {"kind": kind} | {name: value for name, value in fields.items() if value is not None}
        # One write to a file opened for appending: lines of requests handled at the same time do not mix.
        os.write(self._file, (json.dumps(line, ensure_ascii=False) + "\n").encode())


def fields_of_event(body):
    """The key fields of an Events API body."""
    event = body.get("event", {})
    channel, user = event.get("channel"), event.get("user")
    return {
        "type": event.get("type", body.get("type")),
        "subtype": event.get("subtype"),
        "event_id": body.get("event_id"),
        "team": body.get("team_id"),
        "channel": channel.get("id") if isinstance(channel, dict) else channel,
        "user": user.get("id") if isinstance(user, dict) else user,
        "text": event.get("text"),
    }


def fields_of_command(form):
    """The key fields of a slash command's form."""
    return {
        "command": form["command"],
        "text": form.get("text", ""),
        "team": form.get("team_id"),
        "channel": form.get("channel_id"),
        "user": form.get("user_id"),
        "trigger_id": form.get("trigger_id"),
    }


def fields_of_interaction(payload):
    """The key fields of the `payload` of an interaction or an options request."""
    actions = payload.get("actions") or [{}]
    view = payload.get("view") or {}
    return {
        "type": payload["type"],
        "action_id": actions[0].get("action_id", payload.get("action_id")),
        "callback_id": payload.get("callback_id", view.get("callback_id")),
        "value": actions[0].get("value", payload.get("value")),
        "team": (payload.get("team") or {}).get("id"),
        "user": (payload.get("user") or {}).get("id"),
        "trigger_id": payload.get("trigger_id"),
    }


def understand(content_type, body):
    """The kind of a request, its key fields, and its form or JSON.

    Told apart as Slack's documentation says: by content type, then by form field. Raises KeyError or ValueError for
    what is none of Slack's.
    """
    if content_type == "application/json":
        event = json.loads(body)
        return "event", fields_of_event(event), event
    if content_type != "application/x-www-form-urlencoded":
        raise ValueError(content_type)
    form = dict(parse_qsl(body, keep_blank_values=True, strict_parsing=True))
    if "payload" not in form:
        return "command", fields_of_command(form), form
    payload = json.loads(form["payload"])
    return "options" if is_menu(payload) else "interaction", fields_of_interaction(payload), payload


def is_menu(payload):
    """Whether a `payload` asks for options. That of a legacy message does so without a type of its own."""
    if payload["type"] == "interactive_message":
        return "actions" not in payload
    return payload["type"] in ("block_suggestion", "dialog_suggestion")


def parse_arguments(description):
    """The arguments of a backend app: `port`, `record`, `exit_on_eof`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 (default): any free one")
    parser.add_argument("--record", required=True, help="file that gets one JSON line per request")
    parser.add_argument(
        "--exit-on-eof", action="store_true", help="end when stdin is closed, so that the app cannot outlive its test"
    )
    return parser.parse_args()


def serve(server, port, arguments):
    """Tells the test that the server listens, then serves until the process is ended."""
    if arguments.exit_on_eof:
        threading.Thread(target=exit_on_eof, daemon=True).start()
    print(f"ready {port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


def exit_on_eof():
    sys.stdin.buffer.read()
    os._exit(0)
