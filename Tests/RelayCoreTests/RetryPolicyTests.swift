// One fact per line on when a delivery is attempted again and when it is given up.

import RelayCore
import Testing

@Suite struct RetryPolicyTests {
    let policy = RetryPolicy(schedule: [.seconds(1), .seconds(5)], jitter: 0.2, retryAfterMax: .seconds(60))

    @Test("accepted is complete")
    func accepted() {
        #expect(policy.decide(.init(.accepted), attempt: 1, random: 0.5) == .complete)
    }

    @Test("a 410 is never retried")
    func gone() {
        let decision = policy.decide(.init(.rejected(.http(status: 410))), attempt: 1, random: 0.5)
        #expect(decision == .deadLetter(.rejected(.http(status: 410))))
    }

    @Test(
        "the wait is that of the schedule, jittered to both sides",
        arguments: [(0.0, 800), (0.5, 1_000), (0.999_999, 1_199)])
    func jitter(random: Double, milliseconds: Int64) {
        guard case .retry(let wait) = policy.decide(.init(.failed(.timeout)), attempt: 1, random: random) else {
            Issue.record("expected a retry")
            return
        }
        #expect(wait.milliseconds == milliseconds)
    }

    @Test("Retry-After is a lower bound", arguments: [(2, 5), (30, 30), (3_600, 60)])
    func retryAfter(hint: Int, wait: Int) {
        let result = AttemptResult(.failed(.http(status: 429)), status: 429, retryAfter: .seconds(hint))
        #expect(policy.decide(result, attempt: 2, random: 0.5) == .retry(after: .seconds(wait)))
    }

    @Test("after the schedule comes the dead letter")
    func exhausted() {
        let decision = policy.decide(.init(.failed(.timeout)), attempt: 3, random: 0.5)
        #expect(decision == .deadLetter(.attemptsExhausted(.timeout)))
    }

    @Test("the default schedule makes 11 attempts over more than 15 hours")
    func defaults() {
        let schedule = RetryPolicy().schedule
        #expect(schedule.count + 1 == 11)
        #expect(schedule.reduce(.zero, +) > .seconds(15 * 3600))
    }
}
