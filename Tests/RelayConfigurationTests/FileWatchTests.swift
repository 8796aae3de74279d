// When a changed file is read.

import Foundation
import Testing

@testable import RelayConfiguration

@Suite("Looking at a file now and then", .timeLimit(.minutes(1)))
struct FileWatchTests {
    private static func version(_ number: Int64) -> FileVersion {
        FileVersion(modified: .seconds(number), changed: .seconds(number), size: 1, device: 1, inode: 1)
    }

    @Test(
        "it is read when two looks in a row have found the same new version",
        arguments: [
            ([1, 1, 1], [false, false, false]),
            ([2, 2, 2], [false, true, false]),
            ([2, 3, 4, 4], [false, false, false, true]),
            ([nil, 2, nil, 2, 2], [false, false, false, false, true]),
            ([2, 1, 1], [false, false, false]),
            ([2, 2, 1, 1], [false, true, false, true]),
        ] as [([Int64?], [Bool])])
    func looks(_ versions: [Int64?], _ expected: [Bool]) {
        var watch = FileWatch(known: Self.version(1))
        #expect(versions.map { watch.looked($0.map(Self.version)) } == expected)
    }

    @Test("one that was refused is read again after sixty looks, and after sixty more")
    func refused() {
        var watch = FileWatch()
        let reads = (1...130).filter { _ in watch.looked(Self.version(1), isRefused: true) }
        #expect(reads == [2, 62, 122])
    }

    @Test("one that was refused is not read while it is not there, or being written; then at once")
    func refusedAndGone() {
        var watch = FileWatch(known: Self.version(1))
        let absent = (1...70).map { _ in watch.looked(nil, isRefused: true) }
        #expect(!absent.contains(true))
        #expect([1, 1, 1].map { watch.looked(Self.version($0), isRefused: true) } == [false, true, false])
    }

    @Test("a file that others may read now is another version, its content the same")
    func mode() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "relay-watch-\(UUID().uuidString)").path
        try Data("a".utf8).write(to: URL(filePath: file))
        defer { try? FileManager.default.removeItem(atPath: file) }
        let before = try #require(FileVersion(of: file))
        // The clock of a file system can be as coarse as a tick of the kernel.
        while FileVersion(of: file) == before {
            try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: file)
        }
    }

    @Test("without a known version it is read once")
    func unknown() {
        var watch = FileWatch()
        #expect((0..<3).map { _ in watch.looked(Self.version(1)) } == [false, true, false])
    }
}
