// What one program did in one round of one case.

struct Measurement: Codable {
    let program: String
    let envelopes: Int
    /// Envelopes acknowledged per second, from the first sending to the last acknowledgement; nil: has no Slack.
    var acknowledgedPerSecond: Double?
    /// Envelopes delivered per second, from the first sending to the last delivery; nil: delivers nothing.
    var deliveredPerSecond: Double?
    /// nil: has no Slack, or somebody waits for an answer, which `answers` tells of.
    var acknowledgementMicroseconds: Latencies?
    /// From sending to the arrival of the request at the backend.
    var endToEndMicroseconds: Latencies?
    /// Where somebody waits for answers; nil: nobody does.
    var answers: Answers?
    /// In an open loop; nil: in another one.
    var open: Open?
    /// After a backlog; nil: there was none.
    var backlog: Backlog?
    /// CPU time per envelope; `program` is the one that is measured.
    var cpuMicroseconds: Shares
    /// CPU time over wall-clock time, in percent of one core: 100 is the limit of a tool, which has one thread.
    var busyPercent: Shares
    /// The most that was seen while it ran.
    var memory: MemoryUse
    /// fsync and fdatasync.
    var syncsPerEnvelope: Double
    var unacknowledged: Int
    var lost: Int
    var doubled: Int

    struct Answers: Codable {
        /// From the first sending to the last answer.
        var perSecond: Double
        /// From sending a command to having its answer, without the time that the backend takes.
        var addedMicroseconds: Latencies
        /// Acknowledged without the answer.
        var bare: Int
        /// Answered through the response_url.
        var late: Int
    }

    struct Open: Codable {
        /// Envelopes that Slack sent again, as they were not acknowledged within 3 s.
        var redelivered: Int
        /// How often Slack asked for a new connection.
        var refreshes: Int
        /// For how long there was no connection that an envelope could be sent over.
        var unconnectedMilliseconds: Double
    }

    /// What was stored while the backend was down, and was delivered by the next process.
    struct Backlog: Codable {
        /// Before the first envelope.
        var idlePrivateDirtyBytes: Int
        /// From the start after kill -9.
        var firstDeliveryMilliseconds: Double
    }

    struct Shares: Codable {
        var program: Double
        var generator: Double?
        var backend: Double?
    }
}
