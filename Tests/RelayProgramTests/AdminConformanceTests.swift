// The admin API against its own document: schemathesis asks what docs/openapi.yaml says, and whatever it does not say.

import Foundation
import RelayTestKit
import SlackSimulator
import Testing

@Suite("Admin API against docs/openapi.yaml", .enabled(if: PythonApp.isAvailable), .timeLimit(.minutes(3)))
struct AdminConformanceTests {
    @Test("every answer is one that the document has, and nothing else is taken")
    func schemathesis() async throws {
        try await AdminScene.with(retry: "{ schedule: [] }", backend: { _ in .status(400) }) { scene in
            // Something to look at, and to act on.
            for _ in 1...20 { _ = try await scene.slack.send(.message) }
            _ = try await scene.json("dead", "list", until: { $0.count >= 20 })
            let run = try ChildProcess.schemathesis(
                url: try await scene.running.adminURL, token: AdminTests.token, folder: RelayHome.makeFolder())
            let end = await run.finish()
            #expect(end.code == 0, "\(end.output)\n\(end.errors)")
            // It is still there, and well.
            #expect(try await scene.relay("status").code == 0)
            #expect(!scene.running.log.contains { $0.message == "an admin request cannot be answered" })
        }
    }
}

extension ChildProcess {
    /// - Parameter folder: where it keeps what it found.
    fileprivate static func schemathesis(url: String, token: String, folder: URL) throws -> ChildProcess {
        let here = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let python = URL(
            fileURLWithPath: try #require(ProcessInfo.processInfo.environment["RELAY_PYTHON"], "scripts/test sets it"))
        return try ChildProcess(
            python.deletingLastPathComponent().appendingPathComponent("schemathesis").path,
            [
                "--config-file", here.appendingPathComponent("Python/schemathesis.toml").path, "run",
                here.deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("docs/openapi.yaml")
                    .path,
                "--url", url + "/api/v1", "--header", "Authorization: Bearer \(token)", "--no-color",
            ],
            environment: ["HYPOTHESIS_STORAGE_DIRECTORY": folder.path, "NO_PROXY": "*"])
    }
}
