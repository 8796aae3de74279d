// The wish of a person, or of a program, that the process end as it does at SIGTERM.

/// Sent from anywhere, heard by `ProcessLife`.
struct DrainRequest: Sendable {
    let requests: AsyncStream<Void>
    private let sink: AsyncStream<Void>.Continuation

    init() { (requests, sink) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    func send() { sink.yield() }
}
