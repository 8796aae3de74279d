// `Retry-After` in all its forms, and what is none.

import RelayCore
import SlackHTTP
import Testing

@Suite struct RetryAfterTests {
    /// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
    static let example: Int64 = 784_111_777

    @Test(
        "seconds",
        arguments: [
            ("0", Duration.zero), ("120", .seconds(120)), (" 7\t", .seconds(7)), ("007", .seconds(7)),
            ("99999999999999999999999", .seconds(315_360_000)),
        ])
    func seconds(value: String, wait: Duration) {
        #expect(RetryAfter.parse(value, now: Timestamp(millisecondsSinceEpoch: 0)) == wait)
    }

    @Test(
        "a date in each of its three forms",
        arguments: ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])
    func dates(value: String) {
        #expect(
            RetryAfter.parse(value, now: Timestamp(millisecondsSinceEpoch: (Self.example - 90) * 1000)) == .seconds(90))
        #expect(RetryAfter.parse(value, now: Timestamp(millisecondsSinceEpoch: (Self.example + 90) * 1000)) == .zero)
    }

    @Test(
        "the calendar",
        arguments: [
            ("Thu, 01 Jan 1970 00:01:00 GMT", 60), ("Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800),
            ("Fri, 01 Mar 2024 00:00:00 GMT", 1_709_251_200), ("Tue, 31 Dec 1974 23:59:60 GMT", 157_766_400),
            ("Thursday, 01-Jan-70 00:00:07 GMT", 7),
        ] as [(String, Int64)])
    func calendar(value: String, seconds: Int64) {
        let before = Timestamp(millisecondsSinceEpoch: (seconds - 1) * 1000)
        #expect(RetryAfter.parse(value, now: before) == .seconds(1))
    }

    @Test(
        "what is malformed is ignored",
        arguments: [
            "", " ", "-1", "1.5", "soon", "12 s", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nob 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT", "Sun, 06 Nov +994 08:49:37 GMT", "Sun, 06 Nov 99999 08:49:37 GMT", "🕐",
        ])
    func malformed(value: String) {
        #expect(RetryAfter.parse(value, now: Timestamp(millisecondsSinceEpoch: 0)) == nil)
    }
}
