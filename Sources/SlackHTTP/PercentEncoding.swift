// application/x-www-form-urlencoded as Slack writes it (slack-protocol.md §4.4).

extension [UInt8] {
    /// Appends bytes as a form value: `A-Z a-z 0-9 - _ .` as they are, a blank as `+`, all else as `%XX` in upper case.
    mutating func appendPercentEncoded(_ bytes: some Collection<UInt8>) {
        reserveCapacity(count + bytes.count + bytes.count / 2)
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                append(byte)
            case UInt8(ascii: " "):
                append(UInt8(ascii: "+"))
            default:
                append(UInt8(ascii: "%"))
                append(upperCaseDigit(byte >> 4))
                append(upperCaseDigit(byte & 0xf))
            }
        }
    }
}

private func upperCaseDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
}
