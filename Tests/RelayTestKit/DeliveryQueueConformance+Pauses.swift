// Facts about the pauses that a queue keeps.

import RelayCore
import Testing

extension DeliveryQueueConformance {
    static let pauseFacts: [Fact] = [
        Fact("a pause is found as it was set, and takes the place of the one before") { make in
            let queue = try await make(.init())
            #expect(try await queue.pauses() == [:])
            let byPerson = Pause(since: .second(1), cause: .person)
            try await queue.setPause(byPerson, of: "a")
            try await queue.setPause(byPerson, of: "b")
            let gone = Pause(since: .second(2), cause: .gone)
            try await queue.setPause(gone, of: "a")
            #expect(try await queue.pauses() == ["a": gone, "b": byPerson])
        },
        Fact("a pause that was ended is gone, and ending one that is not there changes nothing") { make in
            let queue = try await make(.init())
            try await queue.setPause(Pause(since: .second(1), cause: .gone), of: "a")
            for _ in 0..<2 { try await queue.setPause(nil, of: "a") }
            #expect(try await queue.pauses() == [:])
        },
        Fact("a pause holds up neither storing nor leasing: whoever attempts asks for it") { make in
            let queue = try await make(.init())
            try await queue.setPause(Pause(since: .second(1), cause: .person), of: "a")
            let ids = try await queue.storeWaiting(.event())
            #expect(try await queue.leasedIDs(at: 9) == ids)
        },
        Fact("after close pauses are neither told nor set: both calls throw closed") { make in
            let queue = try await make(.init())
            await queue.close()
            #expect(await queueErrorCode { _ = try await queue.pauses() } == .closed)
            #expect(await queueErrorCode { try await queue.setPause(nil, of: "a") } == .closed)
        },
    ]
}
