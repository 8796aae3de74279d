// What is said of deliveries.

import AdminServer
import Testing

@testable import relay

@Suite("Deliveries")
struct DeliveriesCommandTests {
    private func delivery(_ more: String) throws -> API.Delivery {
        let text = """
            {"id":"3f9c2a1b-1","backend":"orders","route":"all","app":"default","kind":"event","state":"pending",\
            "envelope_id":"e","received_at":"2026-11-23T09:30:00.000Z","attempts_made":0,"replays":0,"attempts":[]\(more)}
            """
        return try AdminClient.decode(Array(text.utf8))
    }

    @Test("one that waits for others of its order key says so, in the list and on its page")
    func blocked() throws {
        let blocked = try delivery(#","order_key":"C1""#)
        #expect(DeliveryList.all([blocked]).lines(width: nil).last?.contains("  blocked  ") == true)
        let page = DeliveryPage.lines(blocked, withPayload: false)
        #expect(page.contains { $0.contains("when the deliveries of its order key that came before it are settled") })
    }

    @Test("one whose turn it is, and one without an order key, are not blocked")
    func notBlocked() throws {
        #expect(try !delivery(#","order_key":"C1","due":"2026-11-23T09:30:00.000Z""#).isBlocked)
        #expect(try !delivery(#","due":"2026-11-23T09:30:00.000Z""#).isBlocked)
    }
}
