// Bytes from outside: whatever becomes of a file, it is a configuration or mistakes with a place.

import RelayConfiguration
import Testing
import YAML

/// SplitMix64: a sequence that is the same in every run.
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite("Damaged files")
struct MutationTests {
    /// Bytes that mean something to YAML, and some that nothing may hold.
    private static let bytes = Array(" \n\t:-?#{}[],&*!|>'\"%@`~0a.\r\\".utf8) + [0, 0x7F, 0x80, 0xC3, 0xEF, 0xFF]

    private func damage(_ text: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var text = text
        for _ in 0..<Int.random(in: 1...4, using: &random) where !text.isEmpty {
            let place = Int.random(in: 0..<text.count, using: &random)
            let end = min(text.count, place + Int.random(in: 1...40, using: &random))
            switch Int.random(in: 0..<6, using: &random) {
            case 0: text.insert(Self.bytes.randomElement(using: &random) ?? 0, at: place)
            case 1: text.remove(at: place)
            case 2: text[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 3: text.removeSubrange(place..<end)
            case 4: text.insert(contentsOf: text[place..<end], at: Int.random(in: 0...text.count, using: &random))
            default: text[place] = Self.bytes.randomElement(using: &random) ?? 0
            }
        }
        return text
    }

    @Test("a damaged example is taken, or refused with places inside it", arguments: 0..<8)
    func damagedExample(_ seed: Int) {
        var random = SeededGenerator(state: UInt64(seed))
        let original = Array(exampleText.utf8)
        for _ in 0..<500 {
            let text = damage(original, &random)
            let lines = text.count { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") } + 2
            do throws(ConfigurationErrors) {
                let configuration = try Configuration.parse(yaml: text, file: "relay.yaml")
                #expect(!configuration.backends.isEmpty && !configuration.routes.isEmpty)
            } catch {
                #expect(!error.errors.isEmpty)
                for mistake in error.errors {
                    #expect((1...lines).contains(mistake.line) && mistake.column >= 1 && !mistake.message.isEmpty)
                }
            }
        }
    }

    @Test("what is read of a damaged example is written so that it reads the same", arguments: 0..<4)
    func damagedRoundTrip(_ seed: Int) throws {
        var random = SeededGenerator(state: UInt64(1000 + seed))
        let original = Array(Sample.minimal.utf8)
        var read = 0
        for _ in 0..<500 {
            guard let tree = try? YAMLNode(parsing: damage(original, &random)) else { continue }
            read += 1
            let text = tree.text
            #expect(try YAMLNode(parsing: Array(text.utf8)).text == text)
        }
        #expect(read > 0)
    }
}
