// What takes a while to start, and is started once for all cases of a suite.

import Testing

/// Processes that the cases of a suite share.
protocol SharedStage: Sendable {
    /// Those that run; nil outside of a suite that has them. A task-local value.
    static var current: Self? { get }

    /// Starts them, runs `body` while they are `current`, and stops them.
    static func perform(_ body: () async throws -> Void) async throws
}

extension SharedStage {
    static var running: Self {
        get throws { try #require(current, "the suite does not have the trait .sharing(\(Self.self).self)") }
    }
}

struct SharedStageTrait<Stage: SharedStage>: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await Stage.perform(function)
    }
}

extension Trait {
    /// Started before the first case of the suite, stopped after the last.
    static func sharing<Stage>(_ stage: Stage.Type) -> Self where Self == SharedStageTrait<Stage> { Self() }
}
