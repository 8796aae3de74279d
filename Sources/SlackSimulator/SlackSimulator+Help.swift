// The text of `relay simulate --help`.

extension SlackSimulator {
    /// What the simulator is for, how a backend is developed against it, and the whole control endpoint.
    package static let help = """
        A Slack on your machine: apps.connections.open, WebSockets with hello, pings,
        refreshes and redeliveries, and whatever can go wrong, on one port. No Slack
        app, no token, no network.

        Example: develop a backend against it

          relay simulate &
          export SLACK_APP_TOKEN=xapp-simulated SLACK_SIGNING_SECRET=anything
          relay forward --api-url http://127.0.0.1:9500/api \\
            http://localhost:3000/slack/events &

          control=http://127.0.0.1:9500/control
          curl -d '{"sample":"message","text":"good morning"}' $control/send
          curl -d '{"sample":"command","command":"/deploy","wait_ms":3000}' \\
            $control/send

        What the person who caused an envelope sees is printed as it happens, and told
        as "seen" by the control endpoint. The backend gets the signed POST that Slack would have sent, and checks it
        with SLACK_SIGNING_SECRET. Any Socket Mode client works: give it the API URL
        http://127.0.0.1:9500/api and a token that begins with xapp-.

        SEND: POST JSON to $control/send; answers {"envelope_ids":["…"]}

          {"sample":"message"}
            message, app_mention, command, block_actions, shortcut, message_action,
            view_submission, view_closed, block_suggestion; of old apps:
            interactive_message, message_menu, dialog_submission,
            dialog_cancellation, dialog_suggestion; with text, command, channel,
            user, callback_id, action_id
          {"kind":"event","payload":{…}}
            your payload, byte for byte; kind is event, command, interaction or
            options; or "type":"…". Where a string of it holds {{response_url}},
            a working URL of this envelope goes out.
          {"envelope":{…}}
            a whole envelope, once
          {"frame":"UNAUTHENTICATED: …"}
            any text at all

          Samples and payloads take count (to 100000) and accepts_response_payload.
          With wait_ms the answer comes when all are settled or so much time has
          passed, and has "envelopes", too, as $control/envelopes/ID shows them.

        LOOK: GET; times are milliseconds since 1970

          $control/state
            counts: connected, registered, acknowledged, lost, …
          $control/connections
            those that are open, and the history of all
          $control/envelopes?state=lost&limit=10
            waiting, acknowledged or lost; the newest first
          $control/envelopes/ID?wait_ms=5000
            its copies, acknowledgements and response_url posts, and what the
            person sees; waits until settled

        DISTURB: POST JSON

          $control/connections {"do":"refresh"}
            or disconnect (with reason), close (code), cut, reset, silence,
            text (text); "which": all, oldest, or a number
          $control/upgrades {"count":8,"status":409}
            the next upgrades fail; with headers and body
          $control/upgrades {"count":1,"fault":"html"}
            html, reset, silence, no_hello, or disconnect (with reason)
          $control/api {"count":2,"error":"invalid_auth"}
            the next API calls answer with Slack's error
          $control/api {"count":1,"fault":"status","status":429,"retry_after":2}
            status, html, reset or silence; count 0: no more faults
          $control/posts {"count":2,"status":500}
            the next posts to a response_url fail; with retry_after; or
            "fault":"reset", "silence"
          $control/settings {"ghosts":3}
            connection_limit, fragment_bytes, distribution (random, round_robin),
            redelivery (slack, fast, none), acknowledgement_deadline_ms,
            ping_interval_ms, close_delay_ms, response_url_lifetime_ms, and, null
            to switch them off: connection_lifetime_ms, warning_lead_ms,
            reset_after_ms

        An event that is not acknowledged within 3 s comes again: at once, after 1
        and after 5 minutes, with a new envelope_id and the same event_id. Commands
        and interactions do not. A response_url takes five posts within 30 minutes, of
        content type application/json. The tenth connection is the last one.
        """
}
