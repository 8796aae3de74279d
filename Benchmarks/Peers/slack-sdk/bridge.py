"""A bridge as people write it with slack_sdk's SocketModeClient and aiohttp.

    bridge.py --api URL --backend URL [--connections N] [--in-flight N] [--answer]

Acknowledges, then posts the payload to the backend with a v0 signature; with --answer it waits for the backend's reply
and acknowledges with it. SLACK_APP_TOKEN and SLACK_SIGNING_SECRET are as Slack gives them. It stores nothing and tries
nothing twice.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import time
from urllib.parse import urlencode

import aiohttp
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

logger = logging.getLogger("bridge")


class Bridge:
    def __init__(self, backend, secret, session, answers):
        self.backend = backend
        self.signer = SignatureVerifier(secret)
        self.session = session
        self.answers = answers

    async def forward(self, client, request):
        """Called by slack_sdk in a task per envelope."""
        if not self.answers:
            await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        try:
            reply = await self.post(request)
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            # Unanswered: Slack shows the person that the app did not respond.
            logger.error("not delivered: %r", error)
            return
        if self.answers:
            await client.send_socket_mode_response(
                SocketModeResponse(envelope_id=request.envelope_id, payload=json.loads(reply))
            )

    async def post(self, request):
        # In HTTP mode Slack sends a command as a form.
        if request.type == "slash_commands":
            content_type, body = "application/x-www-form-urlencoded", urlencode(request.payload)
        else:
            content_type, body = "application/json", json.dumps(request.payload)
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": self.signer.generate_signature(timestamp=timestamp, body=body),
        }
        async with self.session.post(self.backend, data=body, headers=headers) as response:
            response.raise_for_status()
            return await response.read()


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api", default="https://slack.com/api/", help="Slack's API, with a slash at its end")
    parser.add_argument("--backend", required=True, help="where payloads are posted")
    parser.add_argument("--connections", type=int, default=1, help="to Slack")
    parser.add_argument("--in-flight", type=int, default=16, help="posts at the same time")
    parser.add_argument("--answer", action="store_true", help="acknowledge with the backend's reply")
    arguments = parser.parse_args()

    logging.basicConfig(level=logging.WARNING)
    # One session: kept-alive connections, and no more of them than --in-flight; others wait for one. The time to wait in
    # that line must not count as the backend's.
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=arguments.in_flight),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=3, sock_read=10),
    )
    bridge = Bridge(arguments.backend, os.environ["SLACK_SIGNING_SECRET"], session, arguments.answer)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    clients = []
    for _ in range(arguments.connections):
        client = SocketModeClient(
            app_token=os.environ["SLACK_APP_TOKEN"], web_client=AsyncWebClient(base_url=arguments.api)
        )
        client.socket_mode_request_listeners.append(bridge.forward)
        await client.connect()
        clients.append(client)
    await stopped.wait()
    for client in clients:
        await client.close()
    await session.close()


if __name__ == "__main__":
    asyncio.run(main())
