// What is counted, logged and shown of answers.

package import Logging
package import Metrics
package import RelayCore

/// Everything that Answerer and LateAnswerPoster have to tell. Names and labels as in docs/operations.md.
package struct AnswerAccount: Sendable {
    /// What became of a try to post to a `response_url`. The raw value is used in logs and metrics.
    enum PostOutcome: String, Sendable, CaseIterable {
        case posted
        /// Will be tried again.
        case failed
        /// Slack does not take it.
        case refused
        /// Half an hour was not enough.
        case expired
        /// Not tried: too many others that could not be stored.
        case givenUp = "given_up"
    }

    private struct Labels: Hashable {
        var app: AppName
        var kind: Kind?
        var word: String
    }

    private let gateway: GatewayMetrics
    private let backends: [BackendName: BackendMetrics]
    private let answers: CounterFamily<Labels>
    private let problems: CounterFamily<Labels>
    private let unstored: CounterFamily<Labels>
    private let unrecorded: CounterFamily<Labels>
    private let posts: CounterFamily<Labels>
    private let durations: [Kind: Recorder]
    private let logger: Logger
    private let observer: (any DeliveryObserver)?
    private let alarms: AlarmService?

    /// - Parameter apps: whose counters begin at zero.
    package init(
        gateway: GatewayMetrics, backends: [BackendName: BackendMetrics], factory: any MetricsFactory,
        apps: [AppName] = [], logger: Logger, observer: (any DeliveryObserver)? = nil,
        alarms: AlarmService? = nil
    ) {
        func family(_ label: String, by name: String) -> CounterFamily<Labels> {
            CounterFamily { key in
                let kind = key.kind.map { [("kind", $0.rawValue)] } ?? []
                return Counter(
                    label: label, dimensions: [("app", key.app.text)] + kind + [(name, key.word)], factory: factory)
            }
        }
        self.gateway = gateway
        self.backends = backends
        self.logger = logger
        self.observer = observer
        self.alarms = alarms
        answers = family("relay_answers_total", by: "outcome")
        problems = family("relay_unusable_replies_total", by: "problem")
        unstored = family("relay_fan_out_failures_total", by: "reason")
        unrecorded = family("relay_unrecorded_answers_total", by: "reason")
        posts = family("relay_response_url_posts_total", by: "outcome")
        durations = Dictionary(
            uniqueKeysWithValues: Kind.allCases.map { kind in
                let recorder = Recorder(
                    label: "relay_answer_duration_seconds", dimensions: [("kind", kind.rawValue)], aggregate: true,
                    factory: factory)
                return (kind, recorder)
            })
        for app in apps {
            for kind in Kind.allCases where kind != .event {
                for outcome in AnswerOutcome.allCases {
                    answers.begin(Labels(app: app, kind: kind, word: outcome.rawValue))
                }
            }
            for outcome in PostOutcome.allCases { posts.begin(Labels(app: app, word: outcome.rawValue)) }
        }
    }

    // MARK: Envelopes

    func duplicate(_ envelope: Envelope) { gateway.duplicate(envelope) }
    func acknowledged(_ envelope: Envelope, at now: Timestamp) { gateway.acknowledged(envelope, at: now) }

    /// The further backends of an envelope do not get it.
    func unstored(_ envelope: Envelope, because error: QueueError) {
        unstored.increment(Labels(app: envelope.app, kind: envelope.kind, word: "queue_\(error.code.rawValue)"))
        logger.error(
            "an envelope could not be stored for the further backends of its route",
            metadata: [
                LogKey.app: "\(envelope.app)", LogKey.envelopeID: "\(envelope.id)", LogKey.error: "\(error)",
            ])
    }

    /// Somebody was answered, and there is no record of it.
    func unrecorded(_ envelope: Envelope, because error: QueueError) {
        unrecorded.increment(Labels(app: envelope.app, kind: envelope.kind, word: "queue_\(error.code.rawValue)"))
    }

    /// An event that its backend has, or never wants again, is on disk.
    func kept(_ job: AnswerJob, _ request: EnqueueRequest) {
        guard case .deadLetter? = request.settled?.settlement.verb else { return }
        backends[job.backend]?.deadLettered()
        alarms?.happened(.init(.deadLetter, job.backend.text))
        logger.error("delivery given up: dead letter", metadata: metadata(job))
    }

    /// An event that its backend has is not on disk: it will not be remembered; and where other backends were to get it,
    /// it is not acknowledged, and comes again.
    func unkept(_ job: AnswerJob, because error: QueueError) {
        if job.queued.isEmpty {
            unrecorded(job.envelope, because: error)
        } else {
            gateway.withheld([job.envelope], because: "queue_\(error.code.rawValue)")
        }
    }

    // MARK: Jobs

    func attempted(_ job: AnswerJob, _ delivery: Delivery) {
        guard let (attempt, result) = job.lastAttempt else { return }
        backends[job.backend]?.attempted(
            delivery, result.attempt, startedAt: attempt.startedAt, finishedAt: attempt.finishedAt)
        guard case .unusable(let problem) = result.reply else { return }
        problems.increment(Labels(app: job.envelope.app, kind: job.envelope.kind, word: problem.rawValue))
        // Where a payload was needed, the last word says so.
        guard job.shape == .nothing else { return }
        logger.notice("the body of a reply says nothing to Slack, and need not", metadata: metadata(job))
    }

    func finished(_ job: AnswerJob, _ outcome: AnswerOutcome, now: Timestamp) {
        answers.increment(Labels(app: job.envelope.app, kind: job.envelope.kind, word: outcome.rawValue))
        let took = job.envelope.receivedAt.duration(to: now)
        if outcome.isAnswered { durations[job.envelope.kind]?.record(took.inSeconds) }
        observer?.answered(AnswerReport(job, outcome, took: took))
        let level = outcome.logLevel
        guard level >= logger.logLevel else { return }
        var metadata = metadata(job)
        metadata[LogKey.outcome] = "\(outcome.rawValue)"
        metadata[LogKey.answerDuration] = "\(took.milliseconds)"
        if case .payload(let payload)? = job.lastAttempt?.result.reply,
            outcome == .tooLarge || outcome == .answeredByURL
        {
            metadata[LogKey.bytes] = "\(payload.bytes.count)"
            metadata[LogKey.limit] = "\(job.maxPayloadBytes)"
        }
        logger.log(level: level, outcome.message, metadata: metadata)
    }

    // MARK: Posts

    /// The process before this one has acknowledged it, and left no reply.
    func cutOff(_ id: LateAnswer.ID) {
        logger.warning(
            "the last process left no reply to a person: telling them that it failed",
            metadata: [LogKey.app: "\(id.app)", LogKey.envelopeID: "\(id.envelopeID)"])
    }

    func posted(_ id: LateAnswer.ID, _ outcome: PostOutcome, detail: String) {
        posts.increment(Labels(app: id.app, word: outcome.rawValue))
        observer?.posted(id, isDone: outcome != .failed, isAccepted: outcome == .posted, detail: detail)
        var metadata: Logger.Metadata = [
            LogKey.app: "\(id.app)", LogKey.envelopeID: "\(id.envelopeID)", LogKey.outcome: "\(outcome.rawValue)",
        ]
        if !detail.isEmpty { metadata[LogKey.detail] = "\(detail)" }
        switch outcome {
        case .posted: logger.debug("a late answer was posted", metadata: metadata)
        case .failed: logger.warning("a late answer could not be posted; trying again", metadata: metadata)
        case .refused, .expired, .givenUp: logger.error("a late answer was not posted", metadata: metadata)
        }
    }

    private func metadata(_ job: AnswerJob) -> Logger.Metadata {
        var metadata: Logger.Metadata = [
            LogKey.app: "\(job.envelope.app)", LogKey.envelopeID: "\(job.envelope.id)",
            LogKey.envelopeKind: "\(job.envelope.kind.rawValue)",
            LogKey.deliveryID: "\(job.id)", LogKey.backendName: "\(job.backend)",
            LogKey.routeName: "\(job.asked.target.route)",
        ]
        guard let (attempt, result) = job.lastAttempt else { return metadata }
        metadata[LogKey.attemptNumber] = "\(attempt.number)"
        metadata[LogKey.attemptDuration] = "\(attempt.startedAt.duration(to: attempt.finishedAt).milliseconds)"
        if case .unusable(let problem) = result.reply { metadata[LogKey.reason] = "\(problem.rawValue)" }
        if let status = result.attempt.status { metadata[LogKey.attemptStatus] = "\(status)" }
        if let reason = result.attempt.outcome.reason { metadata[LogKey.attemptReason] = "\(reason)" }
        if !result.attempt.detail.isEmpty { metadata[LogKey.attemptDetail] = "\(result.attempt.detail)" }
        return metadata
    }
}

extension AnswerOutcome {
    fileprivate var logLevel: Logger.Level {
        switch self {
        case .answered: .debug
        case .answeredByURL, .answeredLate: .info
        case .failed, .failedLate, .unusable, .tooLarge, .notAccepted, .overloaded, .held, .lost: .warning
        }
    }

    fileprivate var message: Logger.Message {
        switch self {
        case .answered: "answered"
        case .answeredByURL: "answered through the response URL"
        case .answeredLate: "answered late"
        case .failed: "no answer: the backend failed"
        case .failedLate: "no answer in time, and none after it"
        case .unusable: "no answer: the reply is nothing that Slack can be told"
        case .tooLarge: "no answer: the reply is too large for an acknowledgement"
        case .notAccepted: "no answer: Slack takes no payload for this envelope"
        case .overloaded: "no answer: too many wait for this backend"
        case .held: "no answer: the backend is paused, or fails, and is left alone"
        case .lost: "no answer: no connection was open to send it on"
        }
    }
}
