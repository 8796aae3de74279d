// The `headers` of a backend from the file: what a user may add to a request, and what only Relay writes.

import RelayCore

extension Reader where Value == [Backend.Header] {
    /// Headers of the user's own. Their values can be credentials: no message shows one.
    static var headers: Self {
        Self { field throws(Refusal) in
            var names: Set<String> = []
            return try field.entries().compactMap { entry in
                guard let name = entry.key.read(.headerName) else { return nil }
                guard names.insert(name.lowercased()).inserted else {
                    entry.key.note("is given twice (case makes no difference): \(name)")
                    return nil
                }
                return entry.value.read(.headerValue).map { Backend.Header(name: name, value: $0) }
            }
        }
    }
}

extension Reader where Value == String {
    /// A token (RFC 9110 §5.6.2) that is not one of the headers that Relay or libcurl writes.
    fileprivate static var headerName: Self {
        Self { field throws(Refusal) in
            let name = try field.text()
            let isToken = name.utf8.allSatisfy {
                $0.isASCIILetter || $0.isASCIIDigit || "!#$%&'*+-.^_`|~".utf8.contains($0)
            }
            guard isToken, (1...128).contains(name.utf8.count) else {
                throw Refusal("must be a header name: 1 to 128 letters, digits and `-`")
            }
            let lower = name.lowercased()
            guard !ownHeaders.contains(lower), !ownHeaderPrefixes.contains(where: lower.hasPrefix) else {
                throw Refusal("must not be a header that Relay sets itself, is \(name)")
            }
            return name
        }
    }

    fileprivate static var headerValue: Self {
        Self { field throws(Refusal) in
            let value = try field.text()
            guard !value.utf8.contains(where: { $0.isASCIIControl && $0 != UInt8(ascii: "\t") }),
                value.utf8.count <= 8192
            else { throw Refusal("must be at most 8192 bytes without line breaks and other control characters") }
            return value
        }
    }
}

/// In lower case: those of docs/architecture.md, and those that frame the request.
private let ownHeaders: Set<String> = [
    "accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host",
    "keep-alive", "te", "traceparent", "trailer", "transfer-encoding", "upgrade", "user-agent",
    "webhook-id", "webhook-signature", "webhook-timestamp", "x-hub-signature-256",
]
private let ownHeaderPrefixes = ["x-slack-", "x-relay-", "proxy-"]
