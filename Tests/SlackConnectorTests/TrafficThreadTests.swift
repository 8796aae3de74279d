// Tasks and sockets on one thread.

import NIOCore
import NIOPosix
import SlackConnector
import Synchronization
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

    @Test(
        "sockets have their turn though tasks never end, and though what each turn leaves takes longer than the breath",
        arguments: [false, true])
    func turns(leavesWork: Bool) async throws {
        let accepted = thread.loop.makePromise(of: Void.self)
        let server = try await ServerBootstrap(group: thread.loop)
            .childChannelInitializer { channel in
                accepted.succeed()
                return channel.close()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let isLeft = Mutex(!leavesWork)
        let leave = { [loop = thread.loop] in
            guard
                isLeft.withLock({ isLeft in
                    defer { isLeft = true }
                    return !isLeft
                })
            else { return }
            loop.execute {
                let end = NIODeadline.now() + .microseconds(300)
                while NIODeadline.now() < end {}
                isLeft.withLock { $0 = false }
            }
        }
        // Where sockets have no turn, they would wait forever.
        let end = ContinuousClock.now + .seconds(20)
        let busy = Task(executorPreference: thread) {
            while !Task.isCancelled, ContinuousClock.now < end {
                leave()
                await Task.yield()
            }
            return Task.isCancelled
        }
        let client = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: server.localAddress?.port ?? 0).get()
        try await accepted.futureResult.get()
        busy.cancel()
        #expect(await busy.value, "the sockets had their turn after the tasks only")
        try? await client.close()
        try await server.close()
    }
}
