// The configurations in the documentation are valid: whoever copies one can start with it.

import RelayConfiguration
import RelayCore
import Testing

@Suite("Configurations in the documentation")
struct DocumentationTests {
    /// The whole configurations (those that begin with `version:`) among the fenced YAML blocks of a text.
    private func configurations(in markdown: String) -> [String] {
        var blocks: [[Substring]] = []
        var isInBlock = false
        for line in markdown.split(separator: "\n", omittingEmptySubsequences: false) {
            let text = line.drop { $0 == " " }
            if text.hasPrefix("```") {
                isInBlock = text.hasPrefix("```yaml")
                if isInBlock { blocks.append([]) }
            } else if isInBlock {
                blocks[blocks.count - 1].append(line)
            }
        }
        return blocks.map { $0.joined(separator: "\n") }.filter { $0.drop { $0 == " " }.hasPrefix("version:") }
    }

    @Test("are read without a mistake", arguments: ["README.md", "docs/migrating.md"])
    func examples(_ path: String) {
        let configurations = configurations(in: text(of: path))
        #expect(!configurations.isEmpty)
        for configuration in configurations {
            #expect(mistakes(in: configuration) == [], "\(configuration)")
        }
    }
}
