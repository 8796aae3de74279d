"""The app's preStop in the sidecar's manifests, run for real against an Admin API and a health port that play Relay's."""

import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support import configuration_file, manifest, read_yaml, run


class Relay:
    """Answers as a Relay that is asked to drain does: 202 at once, and busy in /metrics for a while."""

    def __init__(self, busy_looks, drain_status=202):
        self.busy_looks = busy_looks  # so many looks at /metrics still see work
        self.drain_status = drain_status
        self.requests = []
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                relay.requests.append(f"POST {self.path}")
                self.reply(relay.drain_status, "")

            def do_GET(self):
                relay.requests.append(f"GET {self.path}")
                self.reply(200, relay.metrics())

            def reply(self, status, text):
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def metrics(self):
        """First its connections close, then what is in flight is answered: one look each, from the last to the first."""
        busy = min(self.busy_looks, 3)
        self.busy_looks -= 1
        return "\n".join([
            "# TYPE relay_connections gauge",
            f'relay_connections{{app="default",state="connected"}} {2 if busy == 3 else 0}',
            f'relay_answers_waiting{{backend="app"}} {1 if busy >= 2 else 0}',
            f'relay_queue_depth{{backend="app",state="in_flight"}} {4 if busy >= 1 else 0}',
            'relay_queue_depth{backend="app",state="scheduled"} 9',  # not waited for: not this Pod's to finish
            'relay_connects_total{app="default",outcome="connected"} 12',
        ]) + "\n"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class PreStopTests(unittest.TestCase):
    def run_pre_stop(self, relay_port, looks=15):
        """Runs the command of the manifest, its ports replaced by the test's; returns exit code, output and seconds."""
        [app] = [
            each for each in manifest("sidecar", "Deployment")["spec"]["template"]["spec"]["containers"]
            if each["name"] == "app"]
        command = app["lifecycle"]["preStop"]["exec"]["command"]
        script = command[-1]
        configuration = read_yaml(configuration_file("sidecar"))
        for listen, path in [(configuration["admin"]["listen"], "/api/v1/drain"), ("127.0.0.1:9390", "/metrics")]:
            self.assertIn(f"http://{listen}{path}", script)
            script = script.replace(listen, f"127.0.0.1:{relay_port}")
        self.assertIn("seq 15", script)
        start = time.monotonic()
        code, output = run(*command[:-1], script.replace("seq 15", f"seq {looks}"))
        return code, output, time.monotonic() - start

    def relay(self, *arguments, **options):
        relay = Relay(*arguments, **options)
        self.addCleanup(relay.stop)
        return relay

    def test_it_asks_once_and_ends_when_nothing_is_in_flight(self):
        relay = self.relay(busy_looks=3)
        code, output, _ = self.run_pre_stop(relay.port)
        self.assertEqual(code, 0, output)
        self.assertEqual(relay.requests, ["POST /api/v1/drain"] + 4 * ["GET /metrics"])

    def test_it_ends_when_relay_has_ended(self):
        relay = Relay(busy_looks=100)
        threading.Timer(1, relay.stop).start()
        code, output, duration = self.run_pre_stop(relay.port)
        self.assertEqual(code, 0, output)
        self.assertLess(duration, 10)

    def test_it_does_not_wait_for_ever(self):
        relay = self.relay(busy_looks=100)
        code, output, duration = self.run_pre_stop(relay.port, looks=2)
        self.assertEqual(code, 0, output)
        self.assertEqual(len(relay.requests), 3)
        self.assertLess(duration, 10)

    def test_a_drain_that_is_refused_is_an_event_of_the_pod(self):
        relay = self.relay(busy_looks=0, drain_status=403)
        code, _, _ = self.run_pre_stop(relay.port)
        self.assertNotEqual(code, 0)
        self.assertEqual(relay.requests, ["POST /api/v1/drain"])


if __name__ == "__main__":
    unittest.main()
