// Posts late answers to their response URLs, again and again while Slack takes them.

package import RelayCore
import SocketMode

/// One message per envelope, within the half hour that a response URL lives (slack-protocol.md §5). What is stored is
/// read anew for each try: those that wait cost little memory, however large they are.
package actor LateAnswerPoster {
    /// A late answer, by where it is.
    enum Post: Sendable {
        case stored(LateAnswer.ID)
        /// The store could not take it: it lives as long as the process.
        case unstored(LateAnswer)
        /// Nothing is to be posted: what is stored is to be forgotten.
        case nothing(LateAnswer.ID)
    }

    static let maxConcurrent = 16
    /// Of those that only memory holds.
    private static let maxUnstored = 256

    private let way: @Sendable (AppName) -> any ResponsePoster
    private let store: any LateAnswerStore
    private let clock: any RelayClock
    private let random: @Sendable () -> Double
    private let health: QueueHealth
    private let account: AnswerAccount
    /// Places for tries that are under way, and who waits for one.
    private var free = LateAnswerPoster.maxConcurrent
    private var line = FIFO<CheckedContinuation<Void, Never>>()
    /// Posts that are being tried or wait for a place; not those that wait for their next try.
    private var busy = 0
    private var unstored = 0
    /// Of what the last process left behind, what was not looked at yet.
    private var owed: Set<LateAnswer.ID>
    private var isDraining = false
    private let work: AsyncStream<Post>
    private let workToDo: AsyncStream<Post>.Continuation

    /// - Parameters:
    ///   - way: to Slack, of each app; asked for each try. Of an app that is not configured any more, too: somebody
    ///     was promised an answer.
    ///   - owed: what the last process left behind: posted first. Those without a reply say that it failed.
    ///   - random: gives numbers uniform in 0 ..< 1, for jitter.
    package init(
        way: @escaping @Sendable (AppName) -> any ResponsePoster, store: any LateAnswerStore, owed: [LateAnswer.ID],
        clock: any RelayClock,
        random: @escaping @Sendable () -> Double, health: QueueHealth, account: AnswerAccount
    ) {
        self.way = way
        self.store = store
        self.clock = clock
        self.random = random
        self.health = health
        self.account = account
        self.owed = Set(owed)
        (work, workToDo) = AsyncStream.makeStream()
        busy = owed.count
        for id in owed { workToDo.yield(.stored(id)) }
    }

    nonisolated func mayPost(to url: ResponseURL, of app: AppName) -> Bool { way(app).mayPost(to: url) }

    /// Lives until drained, or until its task is canceled: what is stored is then posted after the next start.
    package func run() async {
        await withDiscardingTaskGroup { group in
            for await post in work {
                group.addTask { await self.perform(post) }
            }
            // Whatever waits for its next try waits on disk.
            group.cancelAll()
        }
    }

    /// From now on `run` returns as soon as no try is under way. To be called when no posts come any more.
    package func drain() {
        isDraining = true
        endIfDrained()
    }

    func post(_ post: Post) {
        var post = post
        if case .unstored(let answer) = post {
            if unstored < Self.maxUnstored {
                unstored += 1
            } else {
                // What was promised before is said instead: that it failed.
                account.posted(answer.id, .givenUp, detail: "too many replies cannot be stored")
                post = .stored(answer.id)
            }
        }
        busy += 1
        workToDo.yield(post)
    }

    // MARK: -

    private func perform(_ first: Post) async {
        defer { if case .unstored = first { unstored -= 1 } }
        var post = first
        var forgetUntil: Timestamp?
        var backoff = Backoff(initial: .seconds(1), maximum: .seconds(60), minimum: .milliseconds(500))
        while true {
            await takePlace()
            let next = await attempt(post)
            givePlaceBack()
            busy -= 1
            endIfDrained()
            let retryAfter: Duration?
            switch next {
            case .over: return
            case .again(let wait): retryAfter = wait
            case .forget(let id):
                // Said, and not to be said again after a restart. Later than this nobody would.
                let end = forgetUntil ?? clock.now.advanced(by: ResponseURL.lifetime)
                guard clock.now < end else { return }
                forgetUntil = end
                post = .nothing(id)
                retryAfter = nil
            }
            let wait = backoff.failed(random: random(), lowerBound: retryAfter ?? .zero)
            guard (try? await clock.sleep(for: wait)) != nil else { return }
            busy += 1
        }
    }

    private enum Next {
        case over
        /// It could not be forgotten yet.
        case forget(LateAnswer.ID)
        case again(retryAfter: Duration?)
    }

    private func attempt(_ post: Post) async -> Next {
        let answer: LateAnswer
        switch post {
        case .nothing(let id): return await forget(id)
        case .unstored(let value): answer = value
        case .stored(let id):
            do {
                let value = try await store.lateAnswer(id)
                health.worked(.lease)
                guard let value else { return .over }
                answer = value
            } catch {
                health.failed(.lease, error)
                return .again(retryAfter: nil)
            }
        }
        guard clock.now < answer.expiresAt else { return await close(answer, .expired) }
        if owed.remove(answer.id) != nil, answer.reply == nil { account.cutOff(answer.id) }
        switch await way(answer.id.app).post(answer.body, to: answer.responseURL) {
        case .posted:
            return await close(answer, .posted)
        case .refused(let detail):
            return await close(answer, .refused, detail)
        case .failed(let retryAfter, let detail):
            // Cut short by us.
            guard !Task.isCancelled else { return .over }
            account.posted(answer.id, .failed, detail: detail)
            return .again(retryAfter: retryAfter)
        }
    }

    private func close(
        _ answer: LateAnswer, _ outcome: AnswerAccount.PostOutcome, _ detail: String = ""
    ) async -> Next {
        account.posted(answer.id, outcome, detail: detail)
        // An unstored reply takes the place of a promise that may be stored.
        return await forget(answer.id)
    }

    private func forget(_ id: LateAnswer.ID) async -> Next {
        do {
            try await store.remove(id)
            return .over
        } catch {
            health.failed(.store, error)
            return .forget(id)
        }
    }

    private func takePlace() async {
        guard free == 0 else {
            free -= 1
            return
        }
        await withCheckedContinuation { line.append($0) }
    }

    private func givePlaceBack() {
        if let next = line.popFirst() { next.resume() } else { free += 1 }
    }

    private func endIfDrained() {
        if isDraining, busy == 0 { workToDo.finish() }
    }
}
