// Durations, sizes and words as they are read and written.

import RelayCore
import Testing

@testable import RelayConfiguration

@Suite("Durations, sizes and near words")
struct QuantityTests {
    @Test(
        "a duration is a number with a unit",
        arguments: [
            ("250ms", Duration.milliseconds(250)), ("10s", .seconds(10)), ("2m", .seconds(120)), ("2h", .seconds(7200)),
            ("30d", .seconds(30 * 86400)), ("2.5s", .milliseconds(2500)), ("0s", .zero), ("0.5ms", .microseconds(500)),
            ("0.000001ms", .nanoseconds(1)), ("1.5d", .seconds(129_600)),
        ])
    func durations(_ text: String, _ duration: Duration) {
        #expect(Duration(configured: text) == duration)
    }

    @Test(
        "anything else is not",
        arguments: [
            "", "s", "5", "5 s", "5S", "5sec", "1h30m", "-1s", "+1s", ".5s", "5.s", "1.2.3s", "0x5s", "1e3s", "٣s",
            "5ſ",
            "0.0000001ms", "9999999999999999s", "999999999999999d",
        ])
    func notDurations(_ text: String) {
        #expect(Duration(configured: text) == nil)
    }

    @Test(
        "a duration is written in the largest unit that makes it whole",
        arguments: [
            ("24h", Duration.seconds(86400)), ("2d", .seconds(172_800)), ("1h", .seconds(3600)), ("60s", .seconds(60)),
            ("2m", .seconds(120)), ("90s", .seconds(90)), ("2500ms", .milliseconds(2500)), ("0s", .zero),
            ("1.234567ms", .nanoseconds(1_234_567)), ("0.000001ms", .nanoseconds(1)),
        ])
    func writtenDurations(_ text: String, _ duration: Duration) {
        #expect(duration.configured == text)
        #expect(Duration(configured: text) == duration)
    }

    @Test(
        "a size is a number with a unit",
        arguments: [
            ("16KiB", 16384), ("4GiB", 4 << 30), ("20MB", 20_000_000), ("1536KiB", 3 << 19), ("512B", 512),
            ("1kB", 1000),
            ("2TiB", 2 << 40), ("0B", 0),
        ] as [(String, Int64)])
    func sizes(_ text: String, _ bytes: Int64) {
        #expect(ByteCount.parse(text) == bytes)
        #expect(ByteCount.text(bytes) == text)
    }

    @Test("anything else is not", arguments: ["", "16", "16K", "16Kib", "0.5B", "16 KiB", "-1B", "99999999TiB"])
    func notSizes(_ text: String) {
        #expect(ByteCount.parse(text) == nil)
    }

    @Test(
        "the distance between words is the number of changes",
        arguments: [("", "", 0), ("a", "", 1), ("timeout", "time_out", 1), ("kitten", "sitting", 3), ("ab", "ba", 2)])
    func distances(_ a: String, _ b: String, _ distance: Int) {
        #expect(editDistance(a, b) == distance)
        #expect(editDistance(b, a) == distance)
    }
}
