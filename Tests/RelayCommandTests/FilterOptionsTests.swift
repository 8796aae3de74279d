// Which deliveries a command is about.

import AdminServer
import ArgumentParser
import Testing

@testable import relay

@Suite("FilterOptions")
struct FilterOptionsTests {
    @Test("every option is a word of the query, and of a replay's filter")
    func words() throws {
        let filter = try FilterOptions.parse([
            "--backend", "a", "--backend", "b", "--route", "r", "--app", "x", "--kind", "event", "--reason", "timeout",
            "--class", "backend", "--since", "2h", "--until", "1h",
        ])
        #expect(
            filter.query(states: ["dead"]).map { "\($0.name)=\($0.value)" } == [
                "state=dead", "backend=a", "backend=b", "route=r", "app=x", "kind=event", "reason=timeout",
                "class=backend", "since=2h", "until=1h",
            ])
        #expect(
            try replay(filter.filter(states: ["dead"])).which
                == "state dead, backend a,b, route r, app x, kind event, reason timeout, class backend, since 2h, until 1h"
        )
        #expect(!filter.isEmpty)
    }

    @Test("no option is no word")
    func none() throws {
        let filter = try FilterOptions.parse([])
        #expect(filter.isEmpty)
        #expect(filter.filter(states: []) == API.Filter())
    }

    private func replay(_ filter: API.Filter) throws -> API.Replay {
        let filter = String(decoding: try AdminJSON.encode(filter), as: UTF8.self)
        let text = """
            {"id":1,"state":"done","filter":\(filter),"created_at":"","matched":0,"replayed":0,"without_payload":0}
            """
        return try AdminClient.decode(Array(text.utf8))
    }
}
