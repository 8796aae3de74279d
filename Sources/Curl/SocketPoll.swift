// Waits until one of many sockets is ready, or somebody wakes us: epoll and eventfd (epoll(7), eventfd(2)).

internal import CCurl
internal import Glibc

/// Ends a `SocketPoll.wait` from any thread. Holds its descriptor open as long as somebody may still wake.
final class Waker: Sendable {
    fileprivate let descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    func wake() { _ = eventfd_write(descriptor, 1) }
}

/// The sockets that one thread waits on.
struct SocketPoll: ~Copyable {
    struct Interest: OptionSet {
        let rawValue: UInt32

        static let read = Interest(rawValue: EPOLLIN.rawValue)
        static let write = Interest(rawValue: EPOLLOUT.rawValue)
        /// Reported, never asked for: the peer is gone, or the socket has an error.
        static let failure = Interest(rawValue: EPOLLERR.rawValue | EPOLLHUP.rawValue)
    }

    let waker: Waker
    private let descriptor: Int32
    /// No more at a time, so that tasks on the thread have their turn between them. Those left out are told of next.
    private let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: 32)

    /// nil when the process has no file descriptor left.
    init?() {
        let descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        self.descriptor = descriptor
        self.waker = Waker()
        guard descriptor >= 0, waker.descriptor >= 0 else { return nil }
        setInterest(.read, in: waker.descriptor)
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        events.deallocate()
    }

    /// Starts to wait for a socket, or changes what is waited for.
    func setInterest(_ interest: Interest, in socket: Int32) {
        var event = epoll_event(events: interest.rawValue, data: epoll_data_t(fd: socket))
        // Most are waited for already.
        if epoll_ctl(descriptor, EPOLL_CTL_MOD, socket, &event) != 0, errno == ENOENT {
            epoll_ctl(descriptor, EPOLL_CTL_ADD, socket, &event)
        }
    }

    /// Ends the interest in a socket; a closed or unknown one is no error.
    func remove(_ socket: Int32) {
        epoll_ctl(descriptor, EPOLL_CTL_DEL, socket, nil)
    }

    /// Waits until something is ready, somebody woke us, or the time is over (nil: no bound), and tells of each ready
    /// socket.
    func wait(atMostMilliseconds bound: Int32?, onReady: (_ socket: Int32, _ readiness: Interest) -> Void) {
        let count = epoll_wait(descriptor, events.baseAddress, Int32(events.count), bound ?? -1)
        for event in events.prefix(Int(max(0, count))) {
            if event.data.fd == waker.descriptor {
                var wakes: eventfd_t = 0
                _ = eventfd_read(waker.descriptor, &wakes)
            } else {
                onReady(event.data.fd, Interest(rawValue: event.events))
            }
        }
    }
}
