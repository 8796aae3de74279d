// IP addresses that are written in a URL.

internal import CCurl

extension CurlRequest {
    /// Why the URL's own address may not be connected to, where a proxy will do that; nil when it may, when the URL has
    /// a name instead, or when there is no proxy: then `addressObjection` is asked while connecting.
    var objectionBehindProxy: String? {
        guard let addressObjection, unixSocketPath == nil, proxy != .none, let address = literalAddress else {
            return nil
        }
        return addressObjection(address)
    }

    /// The address that stands for the host, as libcurl understands it: `127.1`, `0x7f000001` and `2130706433` are
    /// 127.0.0.1 (curl_url_set(3), since 7.77). A dot at the end, which libcurl keeps, makes no difference to some
    /// proxies.
    private var literalAddress: [UInt8]? {
        guard let parsed = curl_url() else { return nil }
        defer { curl_url_cleanup(parsed) }
        var url = self.url
        if let end = dotAfterHost { url.remove(at: end) }
        var text: UnsafeMutablePointer<CChar>?
        guard curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK,
            curl_url_get(parsed, CURLUPART_HOST, &text, 0) == CURLUE_OK, let text
        else { return nil }
        defer { curl_free(text) }
        let host = String(cString: text).filter { $0 != "[" && $0 != "]" }
        return address(of: host)
    }

    /// The dot that ends the host of the URL.
    private var dotAfterHost: String.Index? {
        guard let scheme = url.firstRange(of: "://") else { return nil }
        let authority = url[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let host = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
        return host.prefix { $0 != ":" }.last == "." ? host.prefix { $0 != ":" }.indices.last : nil
    }
}

/// The bytes of an IP address in network order; nil when the text is none.
func address(of text: String) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = relay_text_address(text, &bytes)
    return count > 0 ? Array(bytes.prefix(Int(count))) : nil
}
