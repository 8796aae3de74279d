// Writing JSON: the one piece of it that more than one target needs.

extension [UInt8] {
    /// Appends a JSON string (RFC 8259 §7): quotes, backslashes and control characters escaped, all else as UTF-8.
    package mutating func appendJSONString(_ text: String) {
        append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                append(UInt8(ascii: "\\"))
                append(byte)
            case 0x00...0x1F:
                append(contentsOf: "\\u00".utf8)
                append(
                    contentsOf: [byte >> 4, byte & 0x0F].map {
                        $0 < 10 ? UInt8(ascii: "0") + $0 : UInt8(ascii: "a") - 10 + $0
                    })
            default: append(byte)
            }
        }
        append(UInt8(ascii: "\""))
    }
}
