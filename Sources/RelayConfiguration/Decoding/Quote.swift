// How values and keys of the file are shown in messages: recognisable, short, and never a secret.

import RelayCore

enum Quote {
    /// A value in quotes on one line, control characters escaped, at most 60 characters of it; `***` for what looks
    /// like a Slack token, and for the userinfo of a URL.
    static func value(_ text: String) -> String {
        guard !text.lowercased().hasPrefix("xapp-"), !text.lowercased().hasPrefix("xox") else { return "***" }
        let shown = text.withoutUserinfo
        return (shown.count > 60 ? shown.prefix(57) + "..." : shown).debugDescription
    }

    /// An unknown key with a space before it, or nothing when it may be a value in the wrong place
    /// (`{ signing_secret 8f74… }`).
    static func key(_ text: String) -> String {
        let isWord = text.utf8.count <= 40 && text.utf8.allSatisfy { $0.isASCIILetter || "_-.".utf8.contains($0) }
        return isWord ? " `\(text)`" : ""
    }
}

extension UInt8 {
    var isASCIILetter: Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20)
    }

    var isASCIIDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }

    /// C0 controls and DEL.
    var isASCIIControl: Bool { self < 0x20 || self == 0x7F }
}

/// The end of a message about an unknown word: the known word nearest to it, or all of them.
struct Hint: CustomStringConvertible {
    let description: String

    init(for word: String, among known: [String]) {
        if let likely = Self.likely(word, among: known) {
            description = "did you mean `\(likely)`?"
        } else {
            description = known.isEmpty ? "none is known" : "known: \(known.joined(separator: ", "))"
        }
    }

    /// The known word that is a few characters away, or that begins with the given one or the other way round.
    private static func likely(_ word: String, among known: [String]) -> String? {
        let nearest = known.map { (word: $0, distance: editDistance($0, word)) }.min { $0.distance < $1.distance }
        if let nearest, nearest.distance <= max(2, nearest.word.count / 3), nearest.distance < nearest.word.count {
            return nearest.word
        }
        return word.count < 3 ? nil : known.first { $0.count >= 3 && (word.hasPrefix($0) || $0.hasPrefix(word)) }
    }
}

/// Insertions, deletions and replacements of one character that make one word of the other (Levenshtein). Words of the
/// file can be long: beyond 64 characters the length difference alone is the answer.
func editDistance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a.utf8), Array(b.utf8))
    guard a.count <= 64, b.count <= 64 else { return max(a.count, b.count) }
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, y) in b.enumerated() {
            let replaced = diagonal + (x == y ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(replaced, row[j] + 1, diagonal + 1)
        }
    }
    return row[b.count]
}
