"""A Slack app as Bolt's documentation shows it, without a way to be reached: bolt_app.py and bolt_socket_app.py run it.

One listener for each way to answer a person. It knows neither in which mode it runs nor of Relay.
"""

import re
import time

from slack_bolt import App
from slack_bolt.authorization import AuthorizeResult

NEVER = 3600


def make_app(**arguments):
    """The app with all its listeners. `arguments` go to `App`."""
    app = App(
        authorize=authorize,
        token_verification_enabled=False,
        # Answer after the listener: a listener that takes long answers late, and does not get Bolt's own 404 at 3 s.
        process_before_response=True,
        **arguments,
    )
    for listen in (
        listen_to_events,
        listen_to_commands,
        listen_to_views,
        listen_to_blocks,
        listen_to_shortcuts,
        listen_to_dialogs,
        listen_to_attachments,
    ):
        listen(app)
    return app


def authorize(enterprise_id, team_id):
    # With a function of ours Bolt does not ask slack.com who it is: the tests stay on loopback.
    return AuthorizeResult(
        enterprise_id=enterprise_id,
        team_id=team_id,
        bot_token="xoxb-not-a-token",
        bot_id="B0RELAYTEST",
        bot_user_id="U0RELAYTEST",
    )


def plain_text(text):
    return {"type": "plain_text", "text": text}


def option(text):
    return {"text": plain_text(text), "value": text.lower()}


def modal(title, *blocks):
    return {"type": "modal", "callback_id": "next_form", "title": plain_text(title), "blocks": list(blocks)}


def section(text):
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def listen_to_events(app):
    @app.event("message")
    def message_sent():
        pass

    @app.event("app_mention")
    def app_mentioned():
        pass

    @app.event(re.compile(".*"))
    def anything_else_happened():
        pass


def listen_to_commands(app):
    @app.command("/deploy")
    def deploy(ack, command):
        ack(f"Deploying {command.get('text', '')}")

    @app.command("/blocks")
    def blocks(ack, command):
        ack(text="Deployed", blocks=[section(f"Deployed *{command['text']}*"), {"type": "divider"}])

    @app.command("/public")
    def public(ack, command):
        ack(response_type="in_channel", text=f"Everybody: {command['text']}")

    @app.command("/attachment")
    def attachment(ack):
        ack(text="Deployed", attachments=[{"text": "in 3 minutes", "color": "good"}])

    @app.command("/quiet")
    def quiet(ack):
        ack()

    @app.command("/large")
    def large(ack, command):
        ack("x" * int(command["text"]))

    @app.command("/slow")
    def slow(ack, command):
        time.sleep(float(command["text"]))
        ack(f"It took {command['text']} seconds")

    @app.command("/never")
    def never(ack):
        time.sleep(NEVER)

    @app.command("/broken")
    def broken(ack):
        raise RuntimeError("a listener raises")


def listen_to_views(app):
    @app.view("plain_form")
    def plain_form(ack):
        ack()

    @app.view("errors_form")
    def errors_form(ack, view):
        answer = view["state"]["values"]["input"]["answer"]["value"]
        ack(response_action="errors", errors={"input": f"{answer} is taken"})

    @app.view("update_form")
    def update_form(ack):
        ack(response_action="update", view=modal("Done", section("All went well")))

    @app.view("push_form")
    def push_form(ack):
        ack(response_action="push", view=modal("One more", section("Really?")))

    @app.view("clear_form")
    def clear_form(ack):
        ack(response_action="clear")

    @app.view("large_form")
    def large_form(ack):
        ack(response_action="update", view=modal("Log", *[section("x" * 2_900)] * 8))

    @app.view("slow_form")
    def slow_form(ack, view):
        time.sleep(float(view["state"]["values"]["input"]["answer"]["value"]))
        ack(response_action="clear")

    @app.view("broken_form")
    def broken_form(ack):
        raise RuntimeError("a listener raises")

    @app.view_closed("plain_form")
    def form_closed(ack):
        ack()


def listen_to_blocks(app):
    @app.action("approve")
    def approve(ack):
        ack()

    @app.action("talkative")
    def talkative(ack):
        # Nothing may be said here; people try.
        ack("Approved")

    @app.action("broken_button")
    def broken_button(ack):
        raise RuntimeError("a listener raises")

    @app.options("flat_menu")
    def flat_menu(ack, payload):
        ack(options=[option("Staging"), option(payload["value"])])

    @app.options("grouped_menu")
    def grouped_menu(ack):
        ack(
            option_groups=[
                {"label": plain_text("Small"), "options": [option("Staging"), option("Test")]},
                {"label": plain_text("Large"), "options": [option("Production")]},
            ]
        )

    @app.options("large_menu")
    def large_menu(ack):
        ack(options=[option(f"{number} {'x' * 70}") for number in range(140)])


def listen_to_shortcuts(app):
    @app.global_shortcut("deploy_shortcut")
    def deploy_shortcut(ack):
        ack()

    @app.message_shortcut("deploy_message")
    def deploy_message(ack):
        ack()


def listen_to_dialogs(app):
    @app.dialog_submission("plain_dialog")
    def plain_dialog(ack):
        ack()

    @app.dialog_submission("errors_dialog")
    def errors_dialog(ack, payload):
        ack(errors=[{"name": "answer", "error": f"{payload['submission']['answer']} is taken"}])

    @app.dialog_suggestion("plain_dialog")
    def dialog_menu(ack, payload):
        ack(options=[{"label": "Staging", "value": "staging"}, {"label": payload["value"], "value": "typed"}])

    @app.dialog_cancellation("plain_dialog")
    def dialog_canceled(ack):
        ack()


def listen_to_attachments(app):
    @app.attachment_action("replaced_attachment")
    def replaced_attachment(ack, payload):
        ack({"text": f"Approved: {payload['value']}", "attachments": []})

    @app.attachment_action("kept_attachment")
    def kept_attachment(ack):
        ack()

    @app.attachment_action("added_attachment")
    def added_attachment(ack):
        ack({"text": "Approved", "response_type": "in_channel", "replace_original": False})
