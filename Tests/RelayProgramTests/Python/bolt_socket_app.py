"""The Slack app of bolt_listeners.py in Socket Mode: slack_bolt's own adapter, unmodified, against the simulator.

    SLACK_APP_TOKEN=xapp-… bolt_socket_app.py http://127.0.0.1:9500/api

Prints `ready` when it is connected, and runs until it is ended. What it acknowledges is what Relay is compared with.
"""

import argparse
import os
import threading

from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

from bolt_listeners import make_app

parser = argparse.ArgumentParser(description="A slack_bolt app in Socket Mode, for the program tests.")
parser.add_argument("api_url")
arguments = parser.parse_args()

app = make_app(client=WebClient(base_url=arguments.api_url + "/"))
# Looks after its connection each second, so that it is soon back when Slack has closed one (the default: each 10 s).
handler = SocketModeHandler(app, os.environ["SLACK_APP_TOKEN"], ping_interval=1)
handler.connect()
print("ready", flush=True)
threading.Event().wait()
