// The `traceparent` header (www.w3.org/TR/trace-context, §3.2).

internal import RelayCore

/// One trace for all attempts at a delivery, one span for each attempt. Derived from the delivery's id, so that nothing
/// need be stored; the id begins with 32 random bits of its queue.
struct TraceParent: CustomStringConvertible {
    private let trace: (UInt64, UInt64)
    private let span: UInt64

    init(_ id: DeliveryID, attempt: Int) {
        let sequence = UInt64(bitPattern: id.sequence)
        let high = mix(UInt64(id.queue) << 32 ^ sequence)
        trace = (high, mix(high ^ sequence))
        span = mix(trace.1 ^ UInt64(bitPattern: Int64(attempt)))
    }

    /// Version 00 and the flag `sampled`: without it, backends that follow their parent's decision would record no
    /// trace at all.
    var description: String {
        var text: [UInt8] = []
        text.reserveCapacity(55)
        text += "00-".utf8
        text.appendDigits(trace.0)
        text.appendDigits(trace.1)
        text.append(UInt8(ascii: "-"))
        text.appendDigits(span)
        text += "-01".utf8
        return String(decoding: text, as: UTF8.self)
    }
}

/// Spreads a number over 64 bits; never 0, which trace and span ids must not be. (The finalizer of SplitMix64, Steele
/// et al. 2014)
private func mix(_ value: UInt64) -> UInt64 {
    var mixed = value &+ 0x9e37_79b9_7f4a_7c15
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return max(1, mixed ^ mixed >> 31)
}

extension [UInt8] {
    /// Sixteen hexadecimal digits.
    fileprivate mutating func appendDigits(_ value: UInt64) {
        for shift in stride(from: 60, through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: value >> UInt64(shift)) & 0xf
            append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit)
        }
    }
}
