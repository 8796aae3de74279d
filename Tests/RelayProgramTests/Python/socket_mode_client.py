"""An unmodified slack_sdk SocketModeClient that connects to the simulator and acknowledges what it gets.

SocketModeClientTests runs it with the interpreter in RELAY_PYTHON, which scripts/test prepares. By hand, in an environment made of requirements.txt, against `relay simulate --port 9500`:

    python socket_mode_client.py http://127.0.0.1:9500/api --envelopes 3

Prints one JSON object per line: {"connected": true} at each hello, {"envelope": …} for each envelope once it was acknowledged,
{"error": …} for whatever the SDK complains about. Ends with 0 when so many envelopes came, with 1 after --timeout seconds.
A slash command is answered with a payload, all else with a bare acknowledgement.
"""

import argparse
import json
import logging
import sys
import threading

from slack_sdk import WebClient
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse


def say(**line):
    print(json.dumps(line), flush=True)


class Complaints(logging.Handler):
    """Everything the SDK logs as a warning or worse: a good Slack gives it no reason to."""

    def emit(self, record):
        say(error=record.getMessage())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("api_url")
    parser.add_argument("--envelopes", type=int, default=1, help="end after so many (default 1)")
    parser.add_argument("--ping-interval", type=float, default=5, help="seconds (the SDK's default: 5)")
    parser.add_argument("--timeout", type=float, default=60, help="seconds (default 60)")
    arguments = parser.parse_args()

    logger = logging.getLogger("slack_sdk")
    logger.addHandler(Complaints(level=logging.WARNING))
    client = SocketModeClient(
        app_token="xapp-simulated",
        web_client=WebClient(base_url=arguments.api_url + "/", logger=logger),
        logger=logger,
        ping_interval=arguments.ping_interval,
    )
    done = threading.Event()
    seen = []

    def on_message(_client, message, _raw):
        if message.get("type") == "hello":
            say(connected=True, connections=message["num_connections"])

    def on_request(client, request):
        payload = {"text": "answered"} if request.type == "slash_commands" else None
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id, payload=payload))
        seen.append(request.envelope_id)
        say(envelope=request.envelope_id, type=request.type, retry=request.retry_attempt)
        if len(seen) >= arguments.envelopes:
            done.set()

    client.message_listeners.append(on_message)
    client.socket_mode_request_listeners.append(on_request)
    client.connect()
    in_time = done.wait(arguments.timeout)
    client.close()
    return 0 if in_time else 1


if __name__ == "__main__":
    sys.exit(main())
