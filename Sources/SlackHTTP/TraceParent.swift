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
    var description: String { "00-\(digits(trace.0))\(digits(trace.1))-\(digits(span))-01" }
}

/// Spreads a number over 64 bits; never 0, which trace and span ids must not be. (The finalizer of SplitMix64, Steele
/// et al. 2014)
private func mix(_ value: UInt64) -> UInt64 {
    var mixed = value &+ 0x9e37_79b9_7f4a_7c15
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return max(1, mixed ^ mixed >> 31)
}

private func digits(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}
