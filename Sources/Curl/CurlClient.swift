// The face of this target: HTTP requests by libcurl, on a thread of their own.

internal import CCurl
internal import Glibc
internal import Synchronization

/// Makes HTTP requests. Connections are kept alive and shared by all requests of one client; one client is enough for a
/// process.
///
/// A POST of which a byte has been sent is never sent a second time. Where the peer closes a reused connection at that
/// moment, the request fails with `connectionReset`, and whoever knows whether it may be repeated decides. To keep that
/// rare, connections idle for more than `maxIdle` are not used again, and none of a server that did it in the last 30 s. (A
/// GET is repeated.)
package final class CurlClient: Sendable {
    private let inbox: Inbox
    private let thread: Mutex<pthread_t?>

    /// Starts the thread. Stops the process when the system has no thread, memory or file descriptor to give.
    /// - Parameters:
    ///   - maxConnections: with idle ones, which make room for others. A request beyond waits for a connection, however
    ///     long; its timeouts count from then.
    ///   - maxIdle: whole seconds, at least 1. Servers close idle connections after 5 s at the shortest that is common
    ///     (Apache, Node, uvicorn); a request that crosses such a close is lost. What has been closed already libcurl sees
    ///     by itself.
    package init(maxConnections: Int = .max, maxIdle: Duration = .seconds(3)) {
        _ = Self.isLibraryReady
        guard let poll = SocketPoll() else { preconditionFailure("libcurl client: no file descriptor left") }
        let inbox = Inbox(waker: poll.waker)
        guard let loop = TransferLoop(poll: poll, inbox: inbox, maxConnections: maxConnections, maxIdle: maxIdle)
        else {
            preconditionFailure("libcurl client: curl_multi_init failed")
        }
        self.inbox = inbox
        self.thread = Mutex(Self.startThread(running: loop))
    }

    deinit {
        shutdown()
    }

    /// Runs tasks on the client's thread, between its transfers: what makes one request after the other needs no other
    /// thread to be woken for each, which costs more than what there is to do.
    ///
    /// For tasks that compute for microseconds: all transfers wait meanwhile. After `shutdown`, tasks come to their end on
    /// another thread.
    package var executor: any TaskExecutor { inbox }

    /// Whether the libcurl of this process can speak HTTP/2.
    package static var speaksHTTP2: Bool { relay_speaks_http2() }

    /// Makes one request. Canceling the task ends it, with the connection it was made on.
    package func perform(_ request: CurlRequest) async throws(CurlError) -> CurlResponse {
        try await run(Transfer(request))
    }

    /// Makes a connection as for a request, through a proxy and with TLS as that wants it, and ends it: nothing of the
    /// request is sent. Throws as `perform` does when that is not possible.
    package func connect(_ request: CurlRequest) async throws(CurlError) {
        _ = try await run(Transfer(request, endsWhenConnected: true))
    }

    private func run(_ transfer: Transfer) async throws(CurlError) -> CurlResponse {
        let request = transfer.request
        if let defect = request.defect { throw CurlError(code: .invalidRequest, curlCode: 0, message: defect) }
        if let objection = request.objectionBehindProxy {
            throw CurlError(code: .blockedAddress, curlCode: 0, message: objection)
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                transfer.resume(continuation)
                if !inbox.post(.start(transfer)) { transfer.finish(.failure(.canceled)) }
            }
        } onCancel: {
            // The flag is for the case that this comes before the start.
            transfer.isCanceled.store(true, ordering: .releasing)
            _ = inbox.post(.cancel(transfer))
        }
        return try result.get()
    }

    /// Ends the thread and waits for it, unless it is called there. Requests that are running, and those made later, fail
    /// with `canceled`.
    package func shutdown() {
        let thread = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        guard let thread else { return }
        inbox.close()
        if pthread_equal(thread, pthread_self()) != 0 { pthread_detach(thread) } else { pthread_join(thread, nil) }
    }

    /// `curl_global_init`, once for the process.
    private static let isLibraryReady: Bool = {
        let code = curl_global_init(Int(CURL_GLOBAL_ALL))
        precondition(code == CURLE_OK, "curl_global_init failed with \(code.rawValue)")
        return true
    }()

    private static func startThread(running loop: TransferLoop) -> pthread_t {
        var thread = pthread_t()
        let code = relay_thread_start(&thread, runLoop, Unmanaged.passRetained(loop).toOpaque())
        precondition(code == 0, "libcurl client: pthread_create failed with errno \(code)")
        return thread
    }
}

/// Takes over the reference to the loop: it is freed when the thread ends.
private func runLoop(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let context { Unmanaged<TransferLoop>.fromOpaque(context).takeRetainedValue().run() }
    return nil
}
