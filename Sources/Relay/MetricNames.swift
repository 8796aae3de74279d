// What each metric means: the HELP lines of /metrics.

enum MetricNames {
    static let alarms = "relay_alarms_total"
    static let answersWaiting = "relay_answers_waiting"
    static let backendState = "relay_backend_state"
    static let queueDepth = "relay_queue_depth"
    static let queueOldestAge = "relay_queue_oldest_age_seconds"
    static let deadLettersKept = "relay_dead_letters"
    static let dropped = "relay_dropped"
    static let queueWritable = "relay_queue_writable"
    static let info = "relay_info"
    static let configurationGeneration = "relay_configuration_generation"
    static let configurationInfo = "relay_configuration_info"
    static let configurationRefused = "relay_configuration_refused"
    static let reloadFailures = "relay_configuration_reload_failures_total"

    static let help = [
        "relay_acknowledgement_duration_seconds": "From reading an envelope to acknowledging it.",
        "relay_acknowledgements_sent_total":
            "Acknowledgements by the connection they left on: same, other, or lost when none was open.",
        alarms: "Alarms by cause, and whether they could be posted.",
        "relay_answer_duration_seconds": "From reading an envelope to its backend's answer being sent to Slack.",
        "relay_answers_total": "Envelopes whose acknowledgement waited for their backend, by what became of them.",
        answersWaiting: "Requests that a backend has not answered yet, and whose answer somebody waits for.",
        "relay_attempt_duration_seconds": "Length of attempts.",
        "relay_attempts_total": "Finished attempts by outcome and reason.",
        backendState: "1 for the state that a backend is in, that of its circuit breaker or paused, else 0.",
        "relay_breaker_openings_total": "How often the circuit breaker of a backend opened.",
        configurationGeneration: "Counts up, from 1, with each reload that changed the configuration.",
        configurationInfo: "Always 1; the label tells which configuration holds (SHA-256 of `relay config show`).",
        configurationRefused: "1 after a reload that was refused, until the next one is not; else 0.",
        reloadFailures: "Reloads that were refused: the old configuration goes on.",
        "relay_connections": "Connections to Slack by state.",
        "relay_connects_total": "Attempts to connect to Slack by outcome.",
        deadLettersKept: "Dead letters kept.",
        "relay_dead_letters_total": "Deliveries given up since the start.",
        "relay_delivery_duration_seconds": "From reading an envelope to its backend's 2xx.",
        "relay_disconnects_total": "Connections that ended, by reason.",
        dropped: "Waiting deliveries removed because the queue was full (when_full: drop_oldest), since the start.",
        "relay_duplicates_total": "Envelopes that Slack sent again although they were stored.",
        "relay_envelopes_total": "Envelopes read.",
        "relay_expired_total": "Deliveries that passed max_age before they could be made.",
        "relay_fan_out_failures_total":
            "Envelopes that were answered and could not be stored for the further backends of their route, by reason.",
        info: "Always 1; the label tells the version.",
        queueDepth: "Deliveries that wait, by state.",
        queueOldestAge: "Age of the oldest delivery that waits.",
        queueWritable: "1 while the queue does all that it is asked to (store, record, read, remove), else 0.",
        "relay_reported_connections":
            "Connections that Slack counts for the app, other processes' and ghosts included.",
        "relay_response_url_posts_total": "Posts of late answers to response URLs, by outcome.",
        "relay_slack_retries_total": "Envelopes read that Slack had to send again, stored before or not.",
        "relay_socket_blind_seconds_total": "Time without any connection to Slack, the start included.",
        "relay_unrecorded_answers_total": "Answered envelopes without a record, by the reason why it was not stored.",
        "relay_unrouted_total": "Envelopes that no route takes, by what is done with them.",
        "relay_unusable_replies_total": "Replies with a body that says nothing to Slack, by problem.",
        "relay_withheld_total": "Envelopes not acknowledged because they could not be stored, by reason.",
    ]
}
