// URLs as text, for people.

extension String {
    /// A URL with `***` for what stands before the `@` of its authority (RFC 3986 §3.2.1); an `@` further on is nobody's
    /// secret. Also works on what is no valid URL: without a scheme or `//`, or where a `/` in a password ends the
    /// authority too early. Then too much is hidden rather than too little.
    package var withoutUserinfo: String {
        let scheme = prefix { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }
        let hasAuthority = self[scheme.endIndex...].hasPrefix("://")
        let start = hasAuthority ? index(scheme.endIndex, offsetBy: 3) : startIndex
        let end = self[start...].firstIndex { "/?#".contains($0) } ?? endIndex
        let authority = self[start..<end]
        let port = authority.lastIndex(of: ":").map { authority[authority.index(after: $0)...] } ?? ""
        let isPlain = !authority.isEmpty && (authority.hasSuffix("]") || port.allSatisfy { "0"..."9" ~= $0 })
        let place = hasAuthority && (authority.contains("@") || isPlain) ? authority : self[start...]
        guard let at = place.lastIndex(of: "@"), at != startIndex else { return self }
        return self[..<start] + "***" + self[at...]
    }
}
