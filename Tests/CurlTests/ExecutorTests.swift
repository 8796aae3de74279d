// Tasks and transfers on one thread.

import Curl
import Glibc
import RelayTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct ExecutorTests {
    @Test("a task goes on on the client's thread after each of its requests")
    func thread() async throws {
        try await withBackend { backend, client in
            let request = CurlRequest(url: backend.url, method: .post, body: [1], proxy: .none)
            let threads = try await withTaskExecutorPreference(client.executor) {
                var threads = [pthread_self()]
                for _ in 1...20 {
                    _ = try await client.perform(request)
                    threads.append(pthread_self())
                }
                return Set(threads)
            }
            #expect(threads.count == 1)
            #expect(threads != [pthread_self()])
        }
    }

    @Test("transfers have their turn though tasks never end")
    func turns() async throws {
        try await withBackend { backend, client in
            let busy = Task(executorPreference: client.executor) { while !Task.isCancelled { await Task.yield() } }
            let response = try await client.perform(.init(url: backend.url, proxy: .none))
            busy.cancel()
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
}
