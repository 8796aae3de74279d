// Tasks and sockets on one thread.

import NIOCore
import NIOPosix
import SlackConnector
import Testing

@Suite(.timeLimit(.minutes(1))) struct TrafficThreadTests {
    private let thread = TrafficThread()

    @Test("tasks run on the thread of the loop, in the order given")
    func order() async {
        let numbers = await withTaskExecutorPreference(thread) {
            await withTaskGroup(of: Int.self) { [loop = thread.loop] group in
                for number in 1...100 { group.addTask { loop.inEventLoop ? number : 0 } }
                return await group.reduce(into: []) { $0.append($1) }
            }
        }
        #expect(numbers == Array(1...100))
    }

    @Test("sockets have their turn though tasks never end")
    func turns() async throws {
        let accepted = thread.loop.makePromise(of: Void.self)
        let server = try await ServerBootstrap(group: thread.loop)
            .childChannelInitializer { channel in
                accepted.succeed()
                return channel.close()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let busy = Task(executorPreference: thread) { while !Task.isCancelled { await Task.yield() } }
        let client = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: server.localAddress?.port ?? 0).get()
        try await accepted.futureResult.get()
        busy.cancel()
        try? await client.close()
        try await server.close()
    }
}
