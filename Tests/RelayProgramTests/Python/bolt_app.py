"""A Slack app as Bolt's documentation shows it for HTTP mode, behind Flask, with its signature check on. It knows nothing of Relay.

    SLACK_SIGNING_SECRET=… bolt_app.py --port 0 --record requests.jsonl

Prints `ready PORT`, then listens at http://127.0.0.1:PORT/slack/events. Appends one JSON line per handled request to the file,
before it answers; a request that Bolt refuses (401: the signature, 404: no listener) gets a line of the kind `refused`.
"""

import logging
import os
import re

from flask import Flask, request
from slack_bolt import App
from slack_bolt.adapter.flask import SlackRequestHandler
from slack_bolt.authorization import AuthorizeResult
from werkzeug.serving import make_server

from backend import (
    Record,
    fields_of_command,
    fields_of_event,
    fields_of_interaction,
    parse_arguments,
    serve,
)

arguments = parse_arguments("A slack_bolt app in HTTP mode, for the program tests.")
record = Record(arguments.record)


def authorize(enterprise_id, team_id):
    # With a function of ours Bolt does not ask slack.com who it is: the tests stay on loopback.
    return AuthorizeResult(
        enterprise_id=enterprise_id,
        team_id=team_id,
        bot_token="xoxb-not-a-token",
        bot_id="B0RELAYTEST",
        bot_user_id="U0RELAYTEST",
    )


app = App(
    signing_secret=os.environ["SLACK_SIGNING_SECRET"],
    authorize=authorize,
    token_verification_enabled=False,
    # Answer after the listener: once Relay sees the 200, the line is in the file.
    process_before_response=True,
)


@app.event("message")
def message_sent(body):
    record.append("event", request.headers.get, **fields_of_event(body))


@app.event("app_mention")
def app_mentioned(body):
    record.append("event", request.headers.get, **fields_of_event(body))


@app.event(re.compile(".*"))
def anything_else_happened(body):
    record.append("event", request.headers.get, **fields_of_event(body))


@app.command("/deploy")
def deploy(ack, command):
    record.append("command", request.headers.get, **fields_of_command(command))
    ack(f"Deploying {command.get('text', '')}")


@app.action("approve")
def approved(ack, body):
    record.append("interaction", request.headers.get, **fields_of_interaction(body))
    ack()


@app.shortcut(re.compile(".*"))
def shortcut_used(ack, body):
    record.append("interaction", request.headers.get, **fields_of_interaction(body))
    ack()


@app.view(re.compile(".*"))
def view_submitted(ack, body):
    record.append("interaction", request.headers.get, **fields_of_interaction(body))
    ack()


@app.options(re.compile(".*"))
def options_wanted(ack, body):
    record.append("options", request.headers.get, **fields_of_interaction(body))
    ack(options=[{"text": {"type": "plain_text", "text": "Staging"}, "value": "staging"}])


flask_app = Flask(__name__)
handler = SlackRequestHandler(app)


@flask_app.route("/slack/events", methods=["POST"])
def slack_events():
    return handler.handle(request)


@flask_app.after_request
def record_refusal(response):
    if response.status_code != 200:
        record.append("refused", request.headers.get, status=response.status_code, path=request.path)
    return response


logging.getLogger("werkzeug").setLevel(logging.WARNING)
server = make_server("127.0.0.1", arguments.port, flask_app, threaded=True)
serve(server, server.port, arguments)
