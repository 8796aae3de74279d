// Which of several secrets sign at a time.

import RelayCore
import Testing

@Suite struct SigningEntryTests {
    private static func entry(
        _ name: String, _ scheme: SigningScheme = .slack, from: Int? = nil, until: Int? = nil
    ) -> SigningEntry {
        SigningEntry(
            scheme: scheme, secret: .environment(name), notBefore: from.map { .seconds($0) },
            notAfter: until.map { .seconds($0) })
    }

    private static func names(_ entries: [SigningEntry], at second: Int) -> String {
        entries.active(at: .seconds(second)).map { entry in
            guard case .environment(let name) = entry.secret else { return "?" }
            return name
        }.joined(separator: " ")
    }

    @Test(
        "a secret is used from not_before on, and no more at not_after",
        arguments: [(9, ""), (10, "A"), (19, "A"), (20, "")] as [(Int, String)])
    func window(second: Int, names: String) {
        #expect(Self.names([Self.entry("A", from: 10, until: 20)], at: second) == names)
    }

    @Test("the moment between two windows has one secret")
    func handover() {
        let entries = [Self.entry("OLD", until: 10), Self.entry("NEW", from: 10)]
        let before = Timestamp(nanosecondsSinceEpoch: 9_999_999_999)
        #expect(entries.active(at: before).map(\.secret) == [.environment("OLD")])
        #expect(Self.names(entries, at: 10) == "NEW")
    }

    @Test("of slack and github the first that is valid signs, of the others all", arguments: SigningScheme.allCases)
    func several(scheme: SigningScheme) {
        let entries = [
            Self.entry("PAST", scheme, until: 5), Self.entry("A", scheme, until: 20), Self.entry("B", scheme, from: 5),
            Self.entry("FUTURE", scheme, from: 30),
        ]
        let one = scheme == .slack || scheme == .github
        #expect(Self.names(entries, at: 1) == (one ? "PAST" : "PAST A"))
        #expect(Self.names(entries, at: 10) == (one ? "A" : "A B"))
        #expect(Self.names(entries, at: 20) == "B")
        #expect(Self.names(entries, at: 30) == (one ? "B" : "B FUTURE"))
    }

    @Test("schemes stand side by side, and one of them can have its time over")
    func mixed() {
        let entries = [
            Self.entry("S", until: 10), Self.entry("W1", .standardWebhooks), Self.entry("G", .github),
            Self.entry("E", .ed25519), Self.entry("W2", .standardWebhooks),
        ]
        #expect(Self.names(entries, at: 0) == "S W1 G E W2")
        #expect(Self.names(entries, at: 10) == "W1 G E W2")
        #expect(Self.names([Self.entry("S", until: 10)], at: 10) == "")
    }

    @Test(
        "an entry that another one before it covers never signs",
        arguments: [
            (entry("A"), entry("B"), true),
            (entry("A"), entry("B", from: 1, until: 2), true),
            (entry("A", from: 1), entry("B", from: 1), true),
            (entry("A", from: 1, until: 9), entry("B", from: 1, until: 9), true),
            (entry("A", from: 1), entry("B"), false),
            (entry("A", until: 9), entry("B"), false),
            (entry("A", until: 9), entry("B", from: 3), false),
            (entry("A", from: 2), entry("B", from: 1, until: 9), false),
            (entry("A", .github), entry("B", .github), true),
            (entry("A", .github), entry("B", .slack), false),
            (entry("A", .ed25519), entry("B", .ed25519), false),
            (entry("A", .standardWebhooks), entry("B", .standardWebhooks), false),
        ])
    func replaced(first: SigningEntry, second: SigningEntry, expected: Bool) {
        #expect(first.replaces(second) == expected)
    }

    @Test("an entry reads as scheme, reference and window")
    func description() {
        #expect(Self.entry("A").description == "slack env:A")
        #expect(
            Self.entry("A", .ed25519, from: 0, until: 86_400).description
                == "ed25519 env:A from 1970-01-01T00:00:00Z until 1970-01-02T00:00:00Z")
    }
}
