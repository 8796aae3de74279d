// Base64 with padding (RFC 4648 §4), by libcrypto.

internal import COpenSSL

enum Base64 {
    static func encode(_ bytes: [UInt8]) -> String {
        // EVP_EncodeBlock(3) writes a zero byte after the text.
        let capacity = (bytes.count + 2) / 3 * 4 + 1
        return String(unsafeUninitializedCapacity: capacity) { text in
            Int(EVP_EncodeBlock(text.baseAddress, bytes, Int32(bytes.count)))
        }
    }

    /// nil unless it is what `encode` writes: EVP_DecodeBlock(3) would skip spaces around it and ignore stray bits at
    /// its end.
    static func decode(_ text: [UInt8]) -> [UInt8]? {
        guard text.count.isMultiple(of: 4), let size = Int32(exactly: text.count) else { return nil }
        let padding = text.suffix(2).count { $0 == UInt8(ascii: "=") }
        let bytes = [UInt8](unsafeUninitializedCapacity: text.count / 4 * 3) { bytes, count in
            count = max(0, Int(EVP_DecodeBlock(bytes.baseAddress, text, size)) - padding)
        }
        return Array(encode(bytes).utf8) == text ? bytes : nil
    }
}
