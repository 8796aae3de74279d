// Facts on points in time.

import RelayCore
import Testing

@Suite struct TimestampTests {
    @Test("seconds and milliseconds are rounded down, before the epoch too")
    func rounding() {
        #expect(Timestamp(nanosecondsSinceEpoch: 1_999_999_999).secondsSinceEpoch == 1)
        #expect(Timestamp(nanosecondsSinceEpoch: -1).secondsSinceEpoch == -1)
        #expect(Timestamp(nanosecondsSinceEpoch: -1).millisecondsSinceEpoch == -1)
    }

    @Test("arithmetic saturates")
    func saturation() {
        let end = Timestamp(nanosecondsSinceEpoch: .max)
        #expect(end.advanced(by: .seconds(1)) == end)
        #expect(Timestamp(millisecondsSinceEpoch: .min).nanosecondsSinceEpoch == .min)
    }

    @Test("a duration leads from one point to the other")
    func durations() {
        #expect(Timestamp.seconds(1).duration(to: .seconds(3)) == .seconds(2))
        #expect(Timestamp.seconds(3).advanced(by: .seconds(-2)) == .seconds(1))
    }

    @Test("a delivery's id reads as it was written")
    func deliveryID() {
        let id = DeliveryID(queue: 0xbeef, sequence: 12)
        #expect(id.description == "0000beef-12")
        #expect(DeliveryID(id.description) == id)
        #expect(DeliveryID("0000BEEF-12") == id)
        for text in ["beef-12", "0000beef-0", "0000beef", "0000beef-+5", "+000beef-5", "0000beef-05", "0000beef-5-"] {
            #expect(DeliveryID(text) == nil)
        }
    }

    @Test("secrets and payloads print as nothing of what they hold")
    func redaction() {
        #expect("\(Secret("hunter2")) \(String(reflecting: Secret("hunter2")))" == "*** ***")
        #expect("\(Payload("hunter2"))" == "<7 bytes>")
        var dumped = ""
        dump((Secret("hunter2"), Payload("hunter2")), to: &dumped)
        #expect(!dumped.contains("104"))
    }
}
