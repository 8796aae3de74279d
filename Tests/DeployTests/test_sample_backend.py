"""The sample backend of deploy/compose, run for real on loopback."""

import hashlib
import hmac
import http.client
import json
import os
import re
import subprocess
import sys
import time
import unittest
from urllib.parse import urlencode

from support import DEPLOY, run

PROGRAM = DEPLOY / "compose/backend.py"
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


def sign(timestamp, body, secret=SECRET):
    """Slack's own recipe, written anew: v0=HMAC-SHA256(secret, "v0:timestamp:body")."""
    return "v0=" + hmac.new(secret.encode(), f"v0:{timestamp}:{body}".encode(), hashlib.sha256).hexdigest()


class SampleBackendTests(unittest.TestCase):
    def setUp(self):
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM, "--port", "0"], env=os.environ | {"SLACK_SIGNING_SECRET": SECRET},
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.port = int(re.fullmatch(r"listening on 127.0.0.1:(\d+)\n", self.process.stdout.readline()).group(1))

    def post(self, body, headers, content_type="application/json"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        self.addCleanup(connection.close)
        connection.request("POST", "/slack/events", body, {"Content-Type": content_type} | headers)
        response = connection.getresponse()
        return response.status, response.read().decode()

    def signed(self, body, timestamp=None, **options):
        timestamp = str(int(time.time())) if timestamp is None else timestamp
        return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": sign(timestamp, body, **options)}

    def test_a_signed_event_is_taken_and_printed(self):
        body = '{"type":"event_callback","event":{"type":"message","text":"hé"}}'
        self.assertEqual(self.post(body.encode(), self.signed(body) | {"X-Relay-Delivery-Id": "d-1"}), (200, ""))
        self.assertEqual(self.process.stdout.readline(), f"/slack/events d-1 {body}\n")

    def test_a_command_gets_a_reply(self):
        body = urlencode({"command": "/deploy", "text": "now"})
        status, reply = self.post(body, self.signed(body), "application/x-www-form-urlencoded")
        self.assertEqual((status, json.loads(reply)), (200, {"text": "The sample backend got /deploy now"}))

    def test_a_wrong_signature_is_refused(self):
        self.assertEqual(self.post("{}", self.signed("{}", secret="another"))[0], 401)

    def test_the_signature_of_another_body_is_refused(self):
        self.assertEqual(self.post('{"a":1}', self.signed("{}"))[0], 401)

    def test_no_signature_is_refused(self):
        self.assertEqual(self.post("{}", {})[0], 401)

    def test_an_old_request_is_refused(self):
        self.assertEqual(self.post("{}", self.signed("{}", timestamp=str(int(time.time()) - 301)))[0], 401)

    def test_a_timestamp_that_is_no_number_is_refused(self):
        self.assertEqual(self.post("{}", self.signed("{}", timestamp="now"))[0], 401)

    def test_a_signature_beyond_ascii_is_refused(self):
        headers = self.signed("{}") | {"X-Slack-Signature": "v0=é"}
        self.assertEqual(self.post("{}", headers)[0], 401)

    def test_a_connection_is_used_again(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        self.addCleanup(connection.close)
        for _ in range(2):
            connection.request("POST", "/", "{}", self.signed("{}"))
            response = connection.getresponse()
            response.read()
            self.assertEqual(response.status, 200)
            self.assertIsNotNone(connection.sock)


class StartTests(unittest.TestCase):
    def test_without_a_secret_it_does_not_start(self):
        environment = {name: value for name, value in os.environ.items() if name != "SLACK_SIGNING_SECRET"}
        code, output = run(sys.executable, PROGRAM, "--port", "0", env=environment)
        self.assertEqual((code, output), (1, "SLACK_SIGNING_SECRET is not set\n"))


if __name__ == "__main__":
    unittest.main()
