// Where things are: secrets, URLs, listening addresses.

import RelayCore

extension Reader where Value == SecretReference {
    /// `env:NAME` or `file:/path`. The text itself is never shown: it may be the secret.
    static var secret: Self {
        Self { field throws(Refusal) in
            let text = try field.text()
            if text.hasPrefix("env:") { return .environment(try variable(text.dropFirst(4))) }
            if text.hasPrefix("file:") { return .file(try path(text.dropFirst(5))) }
            throw Refusal("must be env:NAME or file:/path; a secret itself is not taken in this file")
        }
    }

    private static func variable(_ name: Substring) throws(Refusal) -> String {
        let isName = name.utf8.allSatisfy { $0.isASCIILetter || $0.isASCIIDigit || $0 == UInt8(ascii: "_") }
        guard let first = name.utf8.first, isName, !first.isASCIIDigit else {
            throw Refusal("must name an environment variable after `env:`, of letters, digits and `_`")
        }
        return String(name)
    }

    private static func path(_ path: Substring) throws(Refusal) -> String {
        guard path.hasPrefix("/"), !path.utf8.contains(where: \.isASCIIControl) else {
            throw Refusal("must name an absolute path after `file:`")
        }
        return String(path)
    }
}

extension Reader where Value == WebURL {
    /// An absolute URL.
    /// - Parameter schemes: those that can be spoken here.
    static func url(schemes: [String] = ["http", "https"]) -> Self {
        Self { field throws(Refusal) in
            let text = try field.text()
            do throws(Refusal) {
                return try WebURL(text, schemes: schemes)
            } catch {
                throw Refusal("\(error.message), is \(Quote.value(text))")
            }
        }
    }
}

extension Reader where Value == String {
    /// The base of Slack's methods; a slash at its end is dropped, so that `/` and a method can follow.
    static var apiURL: Self {
        Reader<WebURL>.url().then { url throws(Refusal) in
            guard !url.pathAndQuery.contains("?"), url.userinfo == nil else {
                throw Refusal("must be a URL without user and query, is \(Quote.value(url.text))")
            }
            return url.text.hasSuffix("/") ? String(url.text.dropLast()) : url.text
        }
    }

    /// A proxy that understands CONNECT.
    static var proxyURL: Self {
        Reader<WebURL>.url(schemes: ["http"]).then { url throws(Refusal) in
            guard ["", "/"].contains(url.pathAndQuery) else {
                throw Refusal("must be a URL without path, is \(Quote.value(url.text))")
            }
            return url.text
        }
    }

    static var backendURL: Self { Reader<WebURL>.url().then { url throws(Refusal) in url.text } }

    /// A path that can stand in a request line.
    static var urlPath: Self {
        Self { field throws(Refusal) in
            let path = try field.text()
            let isClean = path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"\"<>\\^`{|}#?".utf8.contains($0) }
            guard path.hasPrefix("/"), isClean else {
                throw Refusal(
                    "must begin with `/`, without query, spaces and non-ASCII characters, is \(Quote.value(path))")
            }
            return path
        }
    }

    /// What fits `sun_path` (unix(7): 108 bytes with the final zero).
    static var socketPath: Self {
        line.then { path throws(Refusal) in
            guard path.hasPrefix("/"), path.utf8.count <= 107 else {
                throw Refusal("must be an absolute path of at most 107 bytes, is \(Quote.value(path))")
            }
            return path
        }
    }
}

extension Reader where Value == HealthConfiguration {
    /// `host:port`, `[v6]:port`; port 0 for any free one.
    /// - Parameter example: for messages.
    static func listenAddress(as example: String) -> Self {
        Self { field throws(Refusal) in
            let text = try field.text()
            do throws(Refusal) {
                let address = try WebURL.hostAndPort(text[...], ports: 0...65535)
                guard let port = address.port else { throw Refusal("must end in a port") }
                return HealthConfiguration(host: address.host, port: port)
            } catch {
                throw Refusal("\(error.message), as in \(example), is \(Quote.value(text))")
            }
        }
    }
}
