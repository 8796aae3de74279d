// The one source of chance in a run.

import RelayCore
import RelayTestKit

/// Draws from a seed. Used on the one thread that a run has; a process gets dice of its own, so that what it draws while
/// it dies changes nothing of what follows.
final class Dice: @unchecked Sendable {  // never used by two threads: a run has one
    private var generator: SeededRandom

    init(seed: UInt64) { generator = SeededRandom(seed: seed) }

    /// Dice that take nothing from these: for what is added to a plan. The seeds that are named stay what they are.
    func aside() -> Dice {
        var generator = generator
        return Dice(seed: generator.next() &+ 1)
    }

    func fork() -> Dice { Dice(seed: generator.next()) }
    func makeRandom() -> SeededRandom { SeededRandom(seed: generator.next()) }

    /// Uniform in 0 ..< 1.
    func unit() -> Double { Double(generator.next() >> 11) * 0x1p-53 }
    func chance(_ probability: Double) -> Bool { unit() < probability }

    func int(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int(generator.next() % UInt64(range.upperBound - range.lowerBound + 1))
    }

    func milliseconds(_ range: ClosedRange<Int>) -> Duration { .milliseconds(int(range)) }
    func seconds(_ range: ClosedRange<Int>) -> Duration {
        milliseconds(range.lowerBound * 1000...range.upperBound * 1000)
    }

    /// One of them, or nil when there is none.
    func pick<Element>(_ elements: [Element]) -> Element? {
        elements.isEmpty ? nil : elements[int(0...elements.count - 1)]
    }

    /// One of them, by weight.
    func weigh<Element>(_ choices: [(Element, Int)]) -> Element {
        var left = int(1...choices.reduce(0) { $0 + $1.1 })
        for (element, weight) in choices {
            left -= weight
            if left <= 0 { return element }
        }
        return choices[0].0
    }
}
