// What people and Slack see, when, and what is left for the next process.

import Relay
import RelayCore
import Testing

@Suite struct AnswererTests {
    // What a post and the account say at the same moment has no order: such histories are compared as sets.
    private let sorry = #"{"response_type":"ephemeral","text":"That did not finish. Please try again."}"#

    @Test("a reply in time goes into the acknowledgement")
    func inTime() {
        let story = AnswerStory(.replies("done", after: .seconds(1)))
        story.play(.person("e1"))
        #expect(
            story.history == ["0 ms: asked", #"1000 ms: e1 acknowledged with {"text":"done"}"#, "1000 ms: answered"])
    }

    @Test("a late reply is posted after a bare acknowledgement at the deadline")
    func late() async throws {
        let story = AnswerStory(.replies("done", after: .seconds(4)))
        story.play(.person("e1"))
        #expect(
            Set(story.history) == [
                "0 ms: asked", "2500 ms: e1 acknowledged", "4000 ms: answered_late",
                #"4000 ms: posted {"text":"done"}"#,
            ])
        #expect(try await story.queue.lateAnswerIDs() == [])
    }

    @Test("a late failure is posted, too")
    func lateFailure() {
        let story = AnswerStory(.fails(.timeout, after: .seconds(10)))
        story.play(.person("e1"))
        #expect(
            Set(story.history) == [
                "0 ms: asked", "2500 ms: e1 acknowledged", "10000 ms: failed_late", "10000 ms: posted \(sorry)",
            ])
    }

    @Test("a post that Slack does not take now is made again")
    func postAgain() {
        let story = AnswerStory(
            .replies("done", after: .seconds(3)),
            posts: [.failed(retryAfter: nil, detail: ""), .failed(retryAfter: .seconds(30), detail: "")])
        story.play(.person("e1"))
        #expect(
            story.history.suffix(3) == [
                "3000 ms: post not taken", "3500 ms: post not taken", #"33500 ms: posted {"text":"done"}"#,
            ])
    }

    @Test("a post that Slack refuses is not made again, and one that half an hour was not enough for neither")
    func postGivenUp() async throws {
        let refused = AnswerStory(.replies("done", after: .seconds(3)), posts: [.refused(detail: "used")])
        refused.play(.person("e1"))
        #expect(refused.history.last == "3000 ms: post not taken")
        let never = AnswerStory(
            .replies("done", after: .seconds(3)),
            posts: Array(repeating: .failed(retryAfter: .seconds(900), detail: ""), count: 9))
        never.play(.person("e1"))
        #expect(never.history.filter { $0.hasSuffix("post not taken") }.count == 2)
        #expect(try await never.queue.lateAnswerIDs() == [])
    }

    @Test("a process that dies after the bare acknowledgement leaves the failure to the next one")
    func diesBeforeReply() async throws {
        let first = AnswerStory(.replies("done", after: .seconds(4)))
        first.play(.person("e1"), killedAt: .milliseconds(2_500))
        #expect(first.history.last == "2500 ms: e1 acknowledged")
        let second = AnswerStory(.replies(), queue: first.queue)
        second.play()
        #expect(second.history == ["0 ms: posted \(sorry)"])
        #expect(try await first.queue.lateAnswerIDs() == [])
    }

    @Test("a process that dies between the reply and its post leaves the reply to the next one")
    func diesBeforePost() {
        let first = AnswerStory(
            .replies("done", after: .seconds(4)),
            posts: Array(repeating: .failed(retryAfter: .seconds(60), detail: ""), count: 2))
        first.play(.person("e1"), killedAt: .seconds(30))
        let second = AnswerStory(.replies(), queue: first.queue)
        second.play()
        #expect(second.history == [#"0 ms: posted {"text":"done"}"#])
    }

    @Test("a promise that cannot be stored is not given; the reply is posted all the same")
    func promiseNotStored() {
        let story = AnswerStory(.replies("done", after: .seconds(4)))
        story.queue.fails(with: .unavailable)
        story.play(.person("e1"))
        #expect(Set(story.history) == ["0 ms: asked", "4000 ms: answered_late", #"4000 ms: posted {"text":"done"}"#])
    }

    @Test("nothing is written before the reply")
    func touchesNoDisk() {
        let story = AnswerStory(.replies("done", after: .seconds(1)))
        story.queue.fails(with: .unavailable)
        story.play(.person("e1"))
        #expect(story.history.last == "1000 ms: answered")
    }

    @Test("a modal is withheld at the deadline, and acknowledged when the reply comes after all")
    func modal() {
        let story = AnswerStory(.replies("done", after: .seconds(4)))
        story.play(.person("e1", .interaction, type: "view_submission"))
        #expect(
            story.history == [
                "0 ms: asked", #"4000 ms: e1 acknowledged with {"text":"done"}"#, "4000 ms: answered_late",
            ])
    }

    @Test("nothing listens: asked again until it does")
    func refused() {
        let story = AnswerStory(.fails(.connectionRefused), .fails(.connectionRefused), .replies("done"))
        story.play(.person("e1"))
        #expect(
            story.history == [
                "0 ms: asked", "50 ms: asked again", "150 ms: asked again",
                #"150 ms: e1 acknowledged with {"text":"done"}"#, "150 ms: answered",
            ])
    }

    @Test("nothing ever listens: given up before the deadline")
    func refusedForEver() {
        let story = AnswerStory(.fails(.connectionRefused))
        story.play(.person("e1"))
        #expect(story.history.first == "0 ms: asked")
        #expect(story.history.last == "2350 ms: failed")
    }

    @Test("with all connections gone the reply is posted")
    func connectionLost() {
        let story = AnswerStory(.replies("done", after: .seconds(1)))
        story.disconnect()
        story.play(.person("e1"))
        #expect(
            Set(story.history) == ["0 ms: asked", "1000 ms: answered_by_url", #"1000 ms: posted {"text":"done"}"#])
    }

    @Test("more than may wait are withheld at once, and those who come later are asked for again")
    func overloaded() {
        let story = AnswerStory(.replies("done", after: .seconds(1)), maxWaiting: 1)
        story.play(.person("e1"), .person("e2", at: .milliseconds(500)), .person("e3", at: .seconds(2)))
        #expect(
            story.history == [
                "0 ms: asked", "500 ms: overloaded", #"1000 ms: e1 acknowledged with {"text":"done"}"#,
                "1000 ms: answered", "2000 ms: asked", #"3000 ms: e3 acknowledged with {"text":"done"}"#,
                "3000 ms: answered",
            ])
    }

    @Test("copies share one request: those that wait, and those that come later")
    func copies() {
        let story = AnswerStory(.replies("done", after: .seconds(1)))
        story.play(
            .person("e1", key: "t"), .person("e2", at: .milliseconds(500), key: "t"),
            .person("e3", at: .seconds(60), key: "t"))
        #expect(
            story.history == [
                "0 ms: asked", #"1000 ms: e1 acknowledged with {"text":"done"}"#,
                #"1000 ms: e2 acknowledged with {"text":"done"}"#, "1000 ms: answered",
                #"60000 ms: e3 acknowledged with {"text":"done"}"#,
            ])
    }

    @Test("a reply that comes while its promise is being stored: the job goes on to its end, and a copy asks nobody")
    func replyBesidePromise() {
        let story = AnswerStory(.replies("done", after: .milliseconds(2_600)))
        story.queue.storesLateAnswers { try? await story.clock.sleep(for: .milliseconds(200)) }
        story.play(.person("e1", key: "t"), .person("e2", at: .seconds(60), key: "t"))
        #expect(
            Set(story.history) == [
                "0 ms: asked", "2700 ms: e1 acknowledged", #"2900 ms: posted {"text":"done"}"#,
                "2900 ms: answered_late", "60000 ms: e2 acknowledged",
            ])
    }

    @Test("each has its own deadline, whoever came first and however many have answered meanwhile")
    func deadlines() {
        let story = AnswerStory(
            .replies("late", after: .seconds(9)), .replies("late", after: .seconds(9)), .replies("in time"),
            .replies("late", after: .seconds(9)), deadlines: ["hasty": .seconds(1), "patient": .milliseconds(2_500)])
        story.play(
            .person("e1", app: "patient"), .person("e2", app: "hasty", at: .milliseconds(100)),
            .person("e3", app: "hasty", at: .milliseconds(200)), .person("e4", app: "patient", at: .milliseconds(300)))
        #expect(
            story.history.filter { $0.contains("acknowledged") } == [
                #"200 ms: e3 acknowledged with {"text":"in time"}"#, "1100 ms: e2 acknowledged",
                "2500 ms: e1 acknowledged", "2800 ms: e4 acknowledged",
            ])
    }

    @Test("what failed is asked for again when it comes again")
    func copyOfFailure() {
        let story = AnswerStory(.fails(), .replies("done"))
        story.play(.person("e1", key: "t"), .person("e2", at: .seconds(1), key: "t"))
        #expect(
            story.history == [
                "0 ms: asked", "0 ms: failed", "1000 ms: asked", #"1000 ms: e2 acknowledged with {"text":"done"}"#,
                "1000 ms: answered",
            ])
    }

    @Test("an answer is recorded, and a failed one is no dead letter")
    func recorded() async throws {
        for reaction in [AnswerStory.Reaction.replies("done"), .fails()] {
            let story = AnswerStory(reaction)
            story.play(.person("e1"))
            let record = try #require(story.queue.enqueued.first)
            #expect(record.settled?.settlement.verb == (reaction.result.reply == nil ? .expire : .complete))
            #expect(record.settled?.settlement.id == DeliveryID(queue: 7, sequence: 1))
            #expect(record.targets == [])
            #expect(record.envelope.deduplicationKey == nil)
        }
    }

    @Test("the further backends of a route get a delivery; if that cannot be stored, the answer goes out all the same")
    func fanOut() {
        let route = Route(name: "all", to: ["app", "audit"])
        let story = AnswerStory(.replies("done", after: .seconds(1)))
        story.play(.person("e1", key: "t"), route: route)
        #expect(story.queue.enqueued.first?.targets.map(\.backend) == ["audit"])
        #expect(story.history.last == "1000 ms: answered")
        let full = AnswerStory(.replies("done", after: .seconds(1)))
        full.queue.fails(with: .full)
        full.play(.person("e1", key: "t"), route: route)
        #expect(full.history.last == "1000 ms: answered")
    }
}

@Suite struct AcknowledgeDeliveredTests {
    private let route = Route(name: "all", to: ["app"], acknowledge: .delivered)

    @Test("an event is acknowledged after the 2xx, and not before")
    func delivered() {
        let story = AnswerStory(.replies(after: .seconds(1)))
        story.play(.event("e1", at: .zero), route: route)
        #expect(story.history == ["0 ms: asked", "1000 ms: e1 acknowledged", "1000 ms: answered"])
    }

    @Test("an event that fails is not acknowledged: Slack sends it again, and it is delivered then")
    func failed() {
        let story = AnswerStory(.fails(), .replies())
        story.play(.event("e1", at: .zero, key: "Ev1"), .event("e2", at: .seconds(60), key: "Ev1"), route: route)
        #expect(
            story.history == [
                "0 ms: asked", "0 ms: failed", "60000 ms: asked", "60000 ms: e2 acknowledged", "60000 ms: answered",
            ])
    }

    @Test("a failure that wants no retry is acknowledged, and kept as a dead letter, with an alarm")
    func noRetry() {
        let story = AnswerStory(.wantsNoRetry)
        story.play(.event("e1", at: .zero, key: "Ev1"), route: route)
        #expect(story.history == ["0 ms: asked", "0 ms: e1 acknowledged", "0 ms: failed"])
        #expect(
            story.queue.enqueued.first?.settled?.settlement.verb == .deadLetter(.rejected(.http(status: 500))))
        #expect(story.alarmsPosted.count == 1)
        #expect(story.alarmsPosted.first?.contains("relay.dead_letter.firing") == true)
    }

    @Test("a copy shares the running request, and is known after it, in the next process, too")
    func copies() {
        let story = AnswerStory(.replies(after: .seconds(1)))
        story.play(
            .event("e1", at: .zero, key: "Ev1"), .event("e2", at: .milliseconds(500), key: "Ev1"),
            .event("e3", at: .seconds(60), key: "Ev1"), route: route)
        #expect(story.history.filter { $0.hasSuffix("asked") }.count == 1)
        #expect(story.history.last == "60000 ms: e3 acknowledged")
        let next = AnswerStory(.replies(), queue: story.queue)
        next.play(.event("e4", at: .seconds(90), key: "Ev1"), route: route)
        #expect(next.history == ["90000 ms: e4 acknowledged"])
    }

    @Test("a reply after the deadline is acknowledged and remembered all the same")
    func late() {
        let story = AnswerStory(.replies(after: .seconds(5)))
        story.play(.event("e1", at: .zero, key: "Ev1"), .event("e2", at: .seconds(9), key: "Ev1"), route: route)
        #expect(
            story.history == [
                "0 ms: asked", "5000 ms: e1 acknowledged", "5000 ms: answered_late", "9000 ms: e2 acknowledged",
            ])
    }

    @Test("the further backends get it with the first one's 2xx, in the same transaction")
    func fanOut() {
        let story = AnswerStory(.replies())
        var route = route
        route.to = ["app", "audit"]
        story.play(.event("e1", at: .zero, key: "Ev1"), route: route)
        #expect(story.queue.enqueued.map { $0.targets.map(\.backend) } == [["audit"]])
        #expect(story.queue.enqueued.first?.settled?.target.backend == "app")
    }

    @Test("what the further backends would miss is not acknowledged; what only the first one has is")
    func notStored() {
        for (backends, isAcknowledged) in [(["app", "audit"] as [BackendName], false), (["app"], true)] {
            let story = AnswerStory(.replies())
            story.queue.fails(with: .unavailable)
            var route = route
            route.to = backends
            story.play(.event("e1", at: .zero, key: "Ev1"), route: route)
            #expect(story.history.contains("0 ms: e1 acknowledged") == isAcknowledged)
        }
    }

    @Test("max_in_flight events at a time; one that has not had its turn by the deadline was never asked for")
    func turns() {
        let story = AnswerStory(.replies(after: .milliseconds(1_500)), maxInFlight: 1)
        story.play(
            .event("e1", at: .zero), .event("e2", at: .milliseconds(100)), .event("e3", at: .milliseconds(200)),
            .event("e4", at: .seconds(10)), route: route)
        #expect(
            story.history == [
                "0 ms: asked", "1500 ms: e1 acknowledged", "1500 ms: answered", "1500 ms: asked",
                "2700 ms: overloaded", "3000 ms: e2 acknowledged", "3000 ms: answered_late", "10000 ms: asked",
                "11500 ms: e4 acknowledged", "11500 ms: answered",
            ])
    }
}
