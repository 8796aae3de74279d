// Tasks and transfers on one thread.

import Curl
import Glibc
import NIOCore
import RelayTestKit
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct ExecutorTests {
    @Test("a task goes on where its transfers run, after each of them")
    func thread() async throws {
        try await withBackend({ _ in .respond(body: [1]) }) { backend, client in
            let threads = Threads()
            // Called where the transfer runs.
            var request = CurlRequest(url: backend.url, proxy: .none)
            request.bodyReader = { _ in
                threads.note()
                return true
            }
            let get = request
            try await withTaskExecutorPreference(client.executor) {
                threads.note()
                for _ in 1...20 {
                    _ = try await client.perform(get)
                    threads.note()
                }
            }
            #expect(threads.all.count == 1)
        }
    }

    @Test("what comes to an idle thread, from several, wakes it each time")
    func wakes() async {
        let client = CurlClient()
        await withDiscardingTaskGroup { group in
            for _ in 1...4 {
                group.addTask {
                    for _ in 1...500 {
                        await Task(executorPreference: client.executor) { await Task.yield() }.value
                    }
                }
            }
        }
        client.shutdown()
    }

    @Test("transfers have their turn though tasks never end")
    func turns() async throws {
        try await withBackend { backend, client in
            let busy = Task(executorPreference: client.executor) { while !Task.isCancelled { await Task.yield() } }
            defer { busy.cancel() }
            let response = try await client.perform(.init(url: backend.url, proxy: .none))
            #expect(response.status == 200)
        }
    }

    @Test("when the thread has ended, tasks come to their end on another one, and their requests are canceled")
    func shutdown() async throws {
        try await withBackend { backend, client in
            let request = CurlRequest(url: backend.url, proxy: .none)
            let response = try await client.perform(request)
            #expect(response.status == 200)
            client.shutdown()
            let code = await withTaskExecutorPreference(client.executor) {
                await Task.yield()
                return await client.code(of: request)
            }
            #expect(code == .canceled)
        }
    }

    @Test("a task that waits for its transfer when the thread ends comes to its end on another one")
    func shutdownMeanwhile() async throws {
        let listener = try await makeSilentListener()
        let client = CurlClient()
        let port = try #require(listener.localAddress?.port)
        let request = CurlRequest(url: "http://127.0.0.1:\(port)", proxy: .none)
        let task = Task(executorPreference: client.executor) { await client.code(of: request) }
        // Behind it.
        await Task(executorPreference: client.executor) {}.value
        client.shutdown()
        #expect(await task.value == .canceled)
        try await listener.close()
    }
}

/// The threads that something ran on.
private final class Threads: Sendable {
    private let seen = Mutex<Set<pthread_t>>([])

    func note() { seen.withLock { _ = $0.insert(pthread_self()) } }
    var all: Set<pthread_t> { seen.withLock { $0 } }
}
