// What an alarm says.

import RelayCore
import Testing

@testable import Relay

@Suite("Alarm messages")
struct AlarmMessageTests {
    @Test("the time in an alarm's text is told to the second")
    func seconds() throws {
        let since = try #require(Timestamp(rfc3339: "2026-11-29T05:07:55.402645609Z"))
        let alarm = Alarm(.init(.backendFailing, "orders"), .firing, since: since)
        #expect(alarm.text == "Backend orders has been failing since 2026-11-29T05:07:55Z; its deliveries are held.")
    }
}
