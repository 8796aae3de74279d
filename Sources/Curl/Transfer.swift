// One call of `perform`: its request, its caller, and the response as it grows.

internal import CCurl
internal import Synchronization

/// The request and its continuation are set once; the rest belongs to the thread of the client.
///
/// `@unchecked Sendable`: made by the caller, given to the client's thread through the mutex of `Inbox`, touched by
/// that thread alone from then on. `isCanceled` is atomic.
final class Transfer: @unchecked Sendable {
    /// More is no honest response; libcurl itself bounds a single line only. For the heads of interim responses and
    /// trailers, too: otherwise they may go on for as long as the request.
    static let maxHeadBytes = 100 * 1024

    let request: CurlRequest
    let endsWhenConnected: Bool
    let isCanceled = Atomic(false)
    private var continuation: CheckedContinuation<Result<CurlResponse, CurlError>, Never>?

    /// Set while the transfer is running.
    var easy: EasyHandle?

    private var sentBytes = 0
    private var headerBytes = 0
    private var head: [UInt8] = []
    private(set) var isHeadComplete = false
    private var body: [UInt8] = []
    private(set) var exceededLimit = false

    init(_ request: CurlRequest, endsWhenConnected: Bool = false) {
        self.request = request
        self.endsWhenConnected = endsWhenConnected
    }

    /// Called once, before the transfer is given to the thread.
    func resume(_ continuation: CheckedContinuation<Result<CurlResponse, CurlError>, Never>) {
        self.continuation = continuation
    }

    /// Hands the result to the caller; a second call does nothing.
    func finish(_ result: Result<CurlResponse, CurlError>) {
        continuation?.resume(returning: result)
        continuation = nil
    }

    /// Why the request may not go to an address; a Unix domain socket has none.
    func objection(to address: [UInt8]) -> String? {
        request.unixSocketPath == nil ? request.addressObjection?(address) : nil
    }

    func response(status: Int) -> CurlResponse { CurlResponse(status: status, head: head, body: body) }
}

// What libcurl's callbacks do.
extension Transfer {
    /// Copies the next piece of the body; 0 at its end.
    func readBody(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let piece = request.body[sentBytes...].prefix(buffer.count)
        piece.withUnsafeBytes { buffer.copyMemory(from: $0) }
        sentBytes += piece.count
        return piece.count
    }

    /// Takes one line of the head. A status line begins it anew, because interim responses (1xx) come first; lines
    /// after the empty one are trailers.
    /// - Returns: false to end the transfer: the head is too large.
    func readHeaderLine(_ line: UnsafeRawBufferPointer) -> Bool {
        if line.starts(with: "HTTP/".utf8) {
            head.removeAll(keepingCapacity: true)
            isHeadComplete = false
        } else if line.first == UInt8(ascii: "\r") || line.first == UInt8(ascii: "\n") {
            isHeadComplete = true
        } else if !isHeadComplete {
            head += line
        }
        headerBytes += line.count
        exceededLimit = headerBytes > Self.maxHeadBytes
        return !exceededLimit
    }

    /// - Returns: false to end the transfer: the body is longer than the request allows.
    func readResponseBody(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if let reader = request.bodyReader {
            exceededLimit = !reader(Array(bytes))
            return !exceededLimit
        }
        exceededLimit = bytes.count > request.maxResponseBytes - body.count
        if !exceededLimit { body += bytes }
        return !exceededLimit
    }
}
