// The thread's work: libcurl's multi interface, told by epoll which sockets are ready (libcurl-multi(3),
// "curl_multi_socket_action").

internal import CCurl
internal import Synchronization

/// Runs transfers until its inbox is closed. Everything here happens on one thread.
///
/// `curl_multi_socket_action` does work for the sockets that are ready only; `curl_multi_perform` and `curl_multi_poll`
/// would ask the system about each running transfer in each round, which costs more than all else as soon as slow
/// backends hold many.
final class TransferLoop {
    /// Idle connections that are kept open. Their number never exceeds the largest number of transfers at one time;
    /// libcurl's own bound (four for each *running* transfer) would close them whenever the load falls.
    private static let maxIdleConnections = 1024
    /// Handles without a transfer that are kept for the next ones.
    private static let maxIdleHandles = 256
    /// How long commands are executed that keep coming, before the sockets have their turn.
    private static let turn = Duration.milliseconds(1)

    private let multi: UnsafeMutableRawPointer
    private let maxIdle: Duration
    private let poll: SocketPoll
    private let inbox: Inbox
    private let clock = ContinuousClock()
    /// When libcurl wants to be called without a ready socket.
    private var timer: ContinuousClock.Instant?
    private var running: [ObjectIdentifier: EasyHandle] = [:]
    private var idle: [EasyHandle] = []
    private var hastyServers = HastyServers()
    /// Sockets that libcurl no longer wants to hear of, and that are still waited for: nearly all belong to connections that
    /// are kept for the next request, for which one call of the system is saved. One that becomes ready is waited for no
    /// more. One that was closed may stand here, too: the system has forgotten it, and the next one with its number is new
    /// to it.
    private var unwanted: Set<Int32> = []
    /// Taken, and not executed yet.
    private var commands: ArraySlice<Inbox.Command> = []

    /// Takes the poll that wakes up for `inbox`. nil when memory is exhausted.
    init?(poll: consuming SocketPoll, inbox: Inbox, maxConnections: Int, maxIdle: Duration) {
        guard let multi = curl_multi_init() else { return nil }
        self.multi = multi
        self.maxIdle = maxIdle
        self.poll = poll
        self.inbox = inbox
        // Over HTTP/2, too, each running request has a connection to itself: one that is lost takes no other with it, one
        // on which nothing comes any more can be closed (libcurl keeps what another stream uses), and a body that is
        // read slowly holds up no answer. Sharing would save a fifth of the time of requests that take none (libcurl
        // 7.88 and nghttpd on loopback: 15,000 a second against 19,000).
        relay_multi_set_long(multi, CURLMOPT_PIPELINING, Int(CURLPIPE_NOTHING))
        relay_multi_set_long(multi, CURLMOPT_MAXCONNECTS, min(Self.maxIdleConnections, maxConnections))
        relay_multi_set_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, min(maxConnections, Int(Int32.max)))
        let context = Unmanaged.passUnretained(self).toOpaque()
        relay_multi_set_socket_function(multi, socketChanged, context)
        relay_multi_set_timer_function(multi, timerChanged, context)
    }

    deinit {
        curl_multi_cleanup(multi)
    }

    func run() {
        while executeCommands() {
            fireTimer()
            finishCompleted()
            let mayWait = commands.isEmpty && inbox.beginWait()
            poll.wait(atMostMilliseconds: mayWait ? millisecondsToTimer : 0) { socket, readiness in
                if unwanted.remove(socket) != nil { poll.remove(socket) } else { act(on: socket, readiness.curlFlags) }
            }
            inbox.endWait()
            fireTimer()
            finishCompleted()
        }
        for handle in running.values { end(handle, .failure(.canceled)) }
    }

    fileprivate func setInterest(_ what: Int32, in socket: Int32) {
        unwanted.remove(socket)
        switch what {
        case CURL_POLL_IN: poll.setInterest(.read, in: socket)
        case CURL_POLL_OUT: poll.setInterest(.write, in: socket)
        case CURL_POLL_INOUT: poll.setInterest([.read, .write], in: socket)
        default: unwanted.insert(socket)
        }
    }

    /// - Parameter milliseconds: negative for no timer.
    fileprivate func setTimer(milliseconds: Int) {
        timer = milliseconds < 0 ? nil : clock.now + .milliseconds(milliseconds)
    }
}

extension TransferLoop {
    /// - Returns: false when the inbox is closed, and these were the last ones.
    private func executeCommands() -> Bool {
        let end = clock.now + Self.turn
        repeat {
            if commands.isEmpty {
                let (taken, isClosed) = inbox.take()
                if taken.isEmpty { return !isClosed }
                commands = taken[...]
            }
            execute(commands.removeFirst())
        } while clock.now < end
        return true
    }

    private func execute(_ command: Inbox.Command) {
        switch command {
        case .start(let transfer):
            start(transfer)
        case .cancel(let transfer):
            guard let handle = transfer.easy else { return }
            end(handle, .failure(.canceled))
        case .run(let job):
            job.runSynchronously(on: inbox.asUnownedTaskExecutor())
        }
    }

    private func start(_ transfer: Transfer, mayShareConnection: Bool = true) {
        guard !transfer.isCanceled.load(ordering: .acquiring) else { return transfer.finish(.failure(.canceled)) }
        guard let handle = idle.popLast() ?? EasyHandle(maxIdle: maxIdle) else {
            return transfer.finish(.failure(.outOfMemory))
        }
        do throws(CurlError) {
            let isHasty = hastyServers.contains(transfer.request.server, now: clock.now)
            try handle.prepare(
                transfer, onConnectionOfItsOwn: isHasty || !mayShareConnection || transfer.endsWhenConnected)
        } catch {
            handle.reset()
            return transfer.finish(.failure(error))
        }
        guard curl_multi_add_handle(multi, handle.pointer) == CURLM_OK else {
            handle.reset()
            return transfer.finish(.failure(.outOfMemory))
        }
        transfer.easy = handle
        running[ObjectIdentifier(handle)] = handle
    }

    private func end(_ handle: EasyHandle, _ result: Result<CurlResponse, CurlError>) {
        take(from: handle)?.finish(result)
    }

    /// Ends a handle's part in its transfer.
    private func take(from handle: EasyHandle) -> Transfer? {
        curl_multi_remove_handle(multi, handle.pointer)
        let transfer = handle.transfer
        handle.reset()
        running[ObjectIdentifier(handle)] = nil
        if idle.count < Self.maxIdleHandles { idle.append(handle) }
        transfer?.easy = nil
        return transfer
    }

    private func act(on socket: Int32, _ flags: Int32) {
        var stillRunning: Int32 = 0
        curl_multi_socket_action(multi, socket, flags, &stillRunning)
    }

    private func fireTimer() {
        guard let timer, timer <= clock.now else { return }
        self.timer = nil
        act(on: CURL_SOCKET_TIMEOUT, 0)
    }

    /// Rounded up, so that the timer is due after the wait.
    private var millisecondsToTimer: Int32? {
        timer.map { timer in
            let (seconds, attoseconds) = clock.now.duration(to: timer).components
            return Int32(clamping: max(0, seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000))
        }
    }

    private func finishCompleted() {
        var waiting: Int32 = 0
        while let message = curl_multi_info_read(multi, &waiting)?.pointee {
            // Copied out, because removing the handle frees the message.
            guard message.msg == CURLMSG_DONE, let handle = EasyHandle.of(message.easy_handle) else { continue }
            if handle.wantsAnotherConnection {
                if let transfer = take(from: handle) { start(transfer, mayShareConnection: false) }
                continue
            }
            let result = handle.result(message.data.result)
            if case .failure(let error) = result, error.code == .connectionReset,
                message.data.result.meansReusedConnectionClosed, let server = handle.transfer?.request.server
            {
                hastyServers.reusedConnectionClosed(server, now: clock.now)
            }
            end(handle, result)
        }
    }
}

extension SocketPoll.Interest {
    fileprivate var curlFlags: Int32 {
        var flags: Int32 = 0
        if contains(.read) { flags |= CURL_CSELECT_IN }
        if contains(.write) { flags |= CURL_CSELECT_OUT }
        if !isDisjoint(with: .failure) { flags |= CURL_CSELECT_ERR }
        return flags
    }
}

extension CurlError {
    fileprivate static let outOfMemory = CurlError(
        code: .other, curlCode: Int32(CURLE_OUT_OF_MEMORY.rawValue), message: "out of memory")
}

// Callbacks: the context is the `TransferLoop`, which outlives its multi handle.

private func socketChanged(
    _ easy: UnsafeMutableRawPointer?, _ socket: curl_socket_t, _ what: Int32, _ context: UnsafeMutableRawPointer?,
    _ socketContext: UnsafeMutableRawPointer?
) -> Int32 {
    guard let context else { return -1 }
    Unmanaged<TransferLoop>.fromOpaque(context).takeUnretainedValue().setInterest(what, in: socket)
    return 0
}

private func timerChanged(
    _ multi: UnsafeMutableRawPointer?, _ milliseconds: Int, _ context: UnsafeMutableRawPointer?
) -> Int32 {
    guard let context else { return -1 }
    Unmanaged<TransferLoop>.fromOpaque(context).takeUnretainedValue().setTimer(milliseconds: milliseconds)
    return 0
}
