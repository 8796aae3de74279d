// Times as text, and the calendar behind them.

import RelayCore
import Testing

@Suite("RFC 3339") struct RFC3339Tests {
    /// The first three are the examples of RFC 3339 §5.8, but the leap seconds; the numbers are those of
    /// `date -d TEXT +%s`.
    @Test(
        "a time with its offset is read, and written in UTC",
        arguments: [
            ("1985-04-12T23:20:50.52Z", 482_196_050, "1985-04-12T23:20:50.52Z"),
            ("1996-12-19T16:39:57-08:00", 851_042_397, "1996-12-20T00:39:57Z"),
            ("1937-01-01T12:00:27.87+00:20", -1_041_337_173, "1937-01-01T11:40:27.87Z"),
            ("2026-11-23t09:30:00z", 1_795_426_200, "2026-11-23T09:30:00Z"),
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            ("2024-02-29T23:59:59.000000001+23:59", 1_709_164_859, "2024-02-29T00:00:59.000000001Z"),
            ("2000-02-29T00:00:00-00:00", 951_782_400, "2000-02-29T00:00:00Z"),
            ("1678-01-01T00:00:00Z", -9_214_560_000, "1678-01-01T00:00:00Z"),
            ("2261-12-31T23:59:59-23:59", 9_214_732_739, "2262-01-01T23:58:59Z"),
        ])
    func good(_ text: String, _ seconds: Int64, _ written: String) throws {
        let time = try #require(Timestamp(rfc3339: text))
        #expect(time.secondsSinceEpoch == seconds)
        #expect(time.rfc3339 == written)
    }

    @Test(
        "anything else is not",
        arguments: [
            "", "2026-11-23", "2026-11-23T09:30:00", "2026-11-23 09:30:00Z", "2026-11-23T09:30Z", "2026-11-23T9:30:00Z",
            "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z", "2026-11-00T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T09:60:00Z",
            "2026-12-31T23:59:60Z", "2026-11-23T09:30:00.Z", "2026-11-23T09:30:00.1234567890Z",
            "2026-11-23T09:30:00+01",
            "2026-11-23T09:30:00+24:00", "2026-11-23T09:30:00+0100", "2026-11-23T09:30:00Z ", " 2026-11-23T09:30:00Z",
            "+026-11-23T09:30:00Z", "2026-11-2３T09:30:00Z", "1677-12-31T23:59:59Z", "2262-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z", "1795426200", "tomorrow",
        ])
    func bad(_ text: String) {
        #expect(Timestamp(rfc3339: text) == nil)
    }

    @Test("what is written reads back, at the ends of the range, too; milliseconds are rounded down")
    func ends() {
        #expect(Timestamp(nanosecondsSinceEpoch: .max).rfc3339 == "2262-04-11T23:47:16.854775807Z")
        #expect(Timestamp(nanosecondsSinceEpoch: .min).rfc3339 == "1677-09-21T00:12:43.145224192Z")
        #expect(Timestamp(nanosecondsSinceEpoch: .min).rfc3339Milliseconds == "1677-09-21T00:12:43.145Z")
        #expect(Timestamp(nanosecondsSinceEpoch: .min).rfc3339Seconds == "1677-09-21T00:12:43Z")
        #expect(Timestamp(nanosecondsSinceEpoch: 1_999_999_999).rfc3339Seconds == "1970-01-01T00:00:01Z")
        #expect(Timestamp(nanosecondsSinceEpoch: -1).rfc3339Seconds == "1969-12-31T23:59:59Z")
        #expect(Timestamp(nanosecondsSinceEpoch: 999_999).rfc3339Milliseconds == "1970-01-01T00:00:00.000Z")
        #expect(Timestamp(nanosecondsSinceEpoch: -1).rfc3339Milliseconds == "1969-12-31T23:59:59.999Z")
    }

    @Test("every day of 800 years comes after the one before it, and back to its number")
    func calendar() {
        var last = CivilDate(daysSinceEpoch: -146_098)
        for days in Int64(-146_097)...146_097 {
            let date = CivilDate(daysSinceEpoch: days)
            let isNext =
                date == CivilDate(year: last.year, month: last.month, day: last.day + 1)
                || date == CivilDate(year: last.year, month: last.month + 1, day: 1)
                || date == CivilDate(year: last.year + 1, month: 1, day: 1) && last.month == 12
            guard isNext, date.daysSinceEpoch == days, date.isReal else {
                Issue.record("\(date) after \(last)")
                return
            }
            last = date
        }
    }
}
