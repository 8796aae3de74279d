// Secrets from the environment and from files that change.

import Foundation
import RelayConfiguration
import RelayCore
import Synchronization
import Testing

/// A clock that tests move.
private final class ManualInstant: Sendable {
    private let instant = Mutex(ContinuousClock.now)

    var now: ContinuousClock.Instant { instant.withLock { $0 } }
    func advance(by duration: Duration) { instant.withLock { $0 = $0.advanced(by: duration) } }
}

/// A directory that lives as long as the test.
private final class TemporaryDirectory {
    let url = FileManager.default.temporaryDirectory.appending(path: "relay-secrets-\(UUID().uuidString)")

    init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appending(path: name).path }
    func write(_ text: String, to name: String) throws { try Data(text.utf8).write(to: url.appending(path: name)) }
}

@Suite("Reading secrets")
struct SecretStoreTests {
    private let directory: TemporaryDirectory
    private let clock = ManualInstant()
    private let store: SecretStore

    init() throws {
        directory = try TemporaryDirectory()
        let clock = clock
        store = SecretStore(environment: ["SET": "hunter2\n", "EMPTY": "", "BLANK": "\n"], now: { clock.now })
    }

    private func reason(_ reference: SecretReference) -> String? {
        do throws(SecretError) {
            _ = try store.secret(reference)
            return nil
        } catch {
            return error.reason
        }
    }

    private func file(_ name: String = "secret") -> SecretReference { .file(directory.path(name)) }

    @Test("a variable's value, without the newline at its end")
    func environment() throws {
        #expect(try store.secret(.environment("SET")) == Secret("hunter2"))
    }

    @Test(
        "a variable that is not set, or empty, is an error that names it",
        arguments: [("ABSENT", "the variable is not set"), ("EMPTY", "is empty"), ("BLANK", "is empty")])
    func missingVariable(_ name: String, _ expected: String) {
        #expect(reason(.environment(name)) == expected)
    }

    @Test(
        "a file's content, without the newlines at its end",
        arguments: ["s3cret", "s3cret\n", "s3cret\r\n", "s3cret\n\n"])
    func content(_ text: String) throws {
        try directory.write(text, to: "secret")
        #expect(try store.secret(file()) == Secret("s3cret"))
    }

    @Test("spaces belong to the secret")
    func spaces() throws {
        try directory.write(" a b \n", to: "secret")
        #expect(try store.secret(file()) == Secret(" a b "))
    }

    @Test(
        "a file that cannot be a secret is refused, its content not told",
        arguments: [
            ("", "is empty"), ("\n", "is empty"), ("hunter2\nx", "has more than one line, or a zero byte"),
            ("a\0b", "has more than one line, or a zero byte"),
        ])
    func badFile(_ text: String, _ expected: String) throws {
        try directory.write(text, to: "secret")
        #expect(reason(file()) == expected)
    }

    @Test("64 KiB are taken, more are refused")
    func size() throws {
        try directory.write(String(repeating: "x", count: SecretStore.maxBytes), to: "fits")
        try directory.write(String(repeating: "x", count: SecretStore.maxBytes + 1), to: "large")
        #expect(try store.secret(file("fits")).bytes.count == SecretStore.maxBytes)
        #expect(reason(file("large")) == "is larger than 65536 bytes")
    }

    @Test("a file that is not there, or no file, is an error")
    func missingFile() throws {
        #expect(reason(file("absent")) == "cannot be opened: No such file or directory")
        #expect(reason(.file(directory.url.path)) == "is not a regular file")
        #expect(mkfifo(directory.path("pipe"), 0o600) == 0)
        #expect(reason(file("pipe")) == "is not a regular file")
    }

    @Test("a file is looked at again after a second, not before")
    func rotation() throws {
        try directory.write("one", to: "secret")
        #expect(try store.secret(file()) == Secret("one"))
        try directory.write("three", to: "secret")
        clock.advance(by: .milliseconds(999))
        #expect(try store.secret(file()) == Secret("one"))
        clock.advance(by: .milliseconds(1))
        #expect(try store.secret(file()) == Secret("three"))
    }

    @Test("a symbolic link that is moved, as Kubernetes does, leads to the new secret")
    func symbolicLink() throws {
        for (name, text) in [("old", "one"), ("new", "two")] {
            try FileManager.default.createDirectory(
                at: directory.url.appending(path: name), withIntermediateDirectories: true)
            try directory.write(text, to: "\(name)/secret")
        }
        let data = directory.path("..data")
        try FileManager.default.createSymbolicLink(atPath: data, withDestinationPath: "old")
        try FileManager.default.createSymbolicLink(
            atPath: directory.path("secret"), withDestinationPath: "..data/secret")
        #expect(try store.secret(file()) == Secret("one"))
        try FileManager.default.createSymbolicLink(atPath: data + "_tmp", withDestinationPath: "new")
        #expect(rename(data + "_tmp", data) == 0)
        clock.advance(by: .seconds(1))
        #expect(try store.secret(file()) == Secret("two"))
    }

    @Test("a file that went away is an error, and its return is noticed at once")
    func removal() throws {
        try directory.write("one", to: "secret")
        _ = try store.secret(file())
        try FileManager.default.removeItem(atPath: directory.path("secret"))
        clock.advance(by: .seconds(1))
        #expect(reason(file()) == "cannot be opened: No such file or directory")
        try directory.write("two", to: "secret")
        #expect(try store.secret(file()) == Secret("two"))
    }

    @Test("an unchanged file keeps its secret")
    func unchanged() throws {
        try directory.write("one", to: "secret")
        for _ in 0..<3 {
            #expect(try store.secret(file()) == Secret("one"))
            clock.advance(by: .seconds(1))
        }
    }

    @Test("an error names the reference and the reason, not the secret")
    func description() throws {
        try directory.write("hunter2\nhunter3", to: "secret")
        let path = directory.path("secret")
        #expect(throws: SecretError(.file(path), reason: "has more than one line, or a zero byte")) {
            try store.secret(.file(path))
        }
    }
}
