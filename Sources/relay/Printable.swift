// Text from outside, as it may reach a terminal.

extension Unicode.Scalar {
    /// Control characters, those of U+0080 to U+009F among them (C1: U+009B begins a sequence as ESC [ does, ECMA-48
    /// §5.3), and those that change how the text around them looks.
    fileprivate var canSteerTerminal: Bool {
        guard value >= 0x7F else { return value < 0x20 }
        return properties.generalCategory == .control || properties.generalCategory == .format
    }

    /// As in a JSON string (RFC 8259 §7).
    fileprivate var escaped: String {
        UTF16.encode(self)?.map { unit in
            let digits = String(unit, radix: 16)
            return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }.joined() ?? ""
    }
}

extension String {
    /// Without what could steer a terminal.
    var printable: String {
        String(unicodeScalars.map { $0.canSteerTerminal ? Character("?") : Character($0) })
    }

    /// JSON with the same meaning, and nothing in it that could steer a terminal.
    var printableJSON: String {
        unicodeScalars.reduce(into: "") { text, scalar in
            if scalar.canSteerTerminal, scalar != "\n", scalar != "\t" {
                text += scalar.escaped
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
    }

    /// As a JSON string; what could steer a terminal is escaped.
    var quoted: String {
        unicodeScalars.reduce(into: "\"") { text, scalar in
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.canSteerTerminal: text += scalar.escaped
            default: text.unicodeScalars.append(scalar)
            }
        } + "\""
    }

    /// A value in a line for people: quoted where blanks, or what could steer a terminal, would make it unclear.
    var quotedWhereUnclear: String {
        unicodeScalars.contains { $0 == " " || $0 == "\"" || $0.canSteerTerminal } ? quoted : self
    }
}
