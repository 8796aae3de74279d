// What the help texts look like.

import ArgumentParser
import Testing

@testable import relay

@Suite struct HelpTests {
    @Test("an example is shown as it is to be typed: none of its lines is joined with the next, or broken")
    func examples() {
        let texts = Self.helpTexts(of: RelayCommand.self)
        #expect(texts.count > 30)
        for text in texts {
            for line in text.split(separator: "\n") where line.hasPrefix("  relay ") || line.hasPrefix("  curl ") {
                #expect(!line.dropFirst(2).contains("   "), "\(line)")
                #expect(line.split(separator: "'").count != 2, "a quotation that does not end: \(line)")
            }
        }
    }

    /// Of a command and all below it.
    private static func helpTexts(of command: any ParsableCommand.Type) -> [String] {
        [command.helpMessage(columns: 80)] + command.configuration.subcommands.flatMap { helpTexts(of: $0) }
    }
}
