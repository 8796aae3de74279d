// What deliveries share that must not overtake each other.

import RelayCore
import Testing

@Suite struct OrderKeyTests {
    private func attributes(_ change: (inout EnvelopeAttributes) -> Void) -> EnvelopeAttributes {
        var attributes = EnvelopeAttributes()
        change(&attributes)
        return attributes
    }

    private static let full: EnvelopeAttributes = {
        var attributes = EnvelopeAttributes()
        attributes.channel = "C1"
        attributes.thread = "170.5"
        attributes.user = "U1"
        attributes.team = "T1"
        return attributes
    }()

    @Test(
        "the key is the field that order_by names, with its word",
        arguments: [
            (OrderBy.none, nil), (.channel, "channel:C1"), (.thread, "thread:C1/170.5"), (.user, "user:U1"),
            (.team, "team:T1"),
        ] as [(OrderBy, String?)])
    func keys(_ orderBy: OrderBy, _ key: String?) {
        #expect(orderBy.key(of: Self.full) == key)
    }

    @Test("an envelope without the field is unordered", arguments: OrderBy.allCases)
    func withoutField(_ orderBy: OrderBy) {
        #expect(orderBy.key(of: EnvelopeAttributes()) == nil)
    }

    @Test("an app that is installed for a whole enterprise may have no team")
    func enterprise() {
        #expect(OrderBy.team.key(of: attributes { $0.enterprise = "E1" }) == "team:E1")
    }

    @Test("threads of two channels are two, although they began at the same time")
    func threadsOfChannels() {
        let other = attributes {
            $0.channel = "C2"
            $0.thread = "170.5"
        }
        #expect(OrderBy.thread.key(of: other) != OrderBy.thread.key(of: Self.full))
    }
}
