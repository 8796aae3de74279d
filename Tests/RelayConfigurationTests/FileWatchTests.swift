// When a changed file is read.

import Testing

@testable import RelayConfiguration

@Suite("Looking at a file now and then")
struct FileWatchTests {
    private static func version(_ number: Int64) -> FileVersion {
        FileVersion(modified: .seconds(number), size: 1, device: 1, inode: 1)
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

    @Test("without a known version it is read once")
    func unknown() {
        var watch = FileWatch()
        #expect((0..<3).map { _ in watch.looked(Self.version(1)) } == [false, true, false])
    }
}
