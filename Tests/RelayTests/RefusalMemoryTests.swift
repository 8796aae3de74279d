// One fact per line on which refusals of a configuration are news.

import Relay
import RelayConfiguration
import Testing

@Suite("RefusalMemory")
struct RefusalMemoryTests {
    var memory = RefusalMemory()
    let version = FileVersion(of: #filePath)

    @Test("the first refusal is news, the same one again is not")
    mutating func same() {
        let news = [memory.refused(["a", "b"], version: version), memory.refused(["a", "b"], version: version)]
        #expect(news == [true, false])
    }

    @Test("other problems of the same file are news, and so is another file with the same problems")
    mutating func other() {
        let news = [
            memory.refused(["a"], version: version), memory.refused(["b"], version: version),
            memory.refused(["b"], version: nil),
        ]
        #expect(news == [true, true, true])
    }

    @Test("after a file that was right the same refusal is news again")
    mutating func accepted() {
        _ = memory.refused(["a"], version: version)
        memory.accepted()
        let isNews = memory.refused(["a"], version: version)
        #expect(isNews)
    }
}
