"""The Slack app of bolt_listeners.py in HTTP mode, behind Flask, its signature check on. It knows nothing of Relay.

    SLACK_SIGNING_SECRET=… bolt_app.py --port 0 --record requests.jsonl

Prints `ready PORT`, then listens at http://127.0.0.1:PORT/slack/events. Appends one JSON line per handled request to
the file, before it answers; a request that Bolt does not answer with 200 (401: the signature, 404: no listener, 500:
the listener raised) gets a line of the kind `refused`.
"""

import logging
import os

from flask import Flask, request
from slack_bolt.adapter.flask import SlackRequestHandler
from werkzeug.serving import make_server

from backend import Record, parse_arguments, serve, understand
from bolt_listeners import make_app

arguments = parse_arguments("A slack_bolt app in HTTP mode, for the program tests.")
record = Record(arguments.record)

flask_app = Flask(__name__)
handler = SlackRequestHandler(make_app(signing_secret=os.environ["SLACK_SIGNING_SECRET"]))


@flask_app.route("/slack/events", methods=["POST"])
def slack_events():
    return handler.handle(request)


@flask_app.after_request
def record_request(response):
    if response.status_code == 200:
        kind, fields, _ = understand(request.headers.get("Content-Type"), request.get_data(as_text=True))
        record.append(kind, request.headers.get, **fields)
    else:
        record.append("refused", request.headers.get, status=response.status_code, path=request.path)
    return response


logging.getLogger("werkzeug").setLevel(logging.WARNING)
server = make_server("127.0.0.1", arguments.port, flask_app, threaded=True)
serve(server, server.port, arguments)
