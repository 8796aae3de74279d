// One HTTP request, with all that libcurl needs to know to make it.

/// An HTTP request. Redirects are never followed, TLS certificates are always verified.
package struct CurlRequest: Sendable {
    package enum Method: Sendable {
        case get
        case post
        case delete
    }

    /// Absolute, http or https; a path is sent as it stands, dots included.
    package var url: String
    package var method: Method
    /// Sent in this order, after `Host` and before `Content-Length`; a name given here replaces libcurl's own header of
    /// that name.
    package var headers: [(name: String, value: String)]
    /// Sent with its Content-Length; only with `post`.
    package var body: [UInt8]
    /// For all of it, from resolving the name to the last byte of the response. At least 1 ms.
    package var timeout: Duration
    /// For resolving, connecting and the TLS handshake. At least 1 ms.
    package var connectTimeout: Duration
    /// Connects to this Unix domain socket, without a proxy; the URL then gives scheme, Host and path only.
    package var unixSocketPath: String?
    package var proxy: CurlProxy
    /// A PEM file of certificate authorities to trust, in place of the default bundle file. The default *directory* of
    /// the system (`/etc/ssl/certs` on Debian) stays trusted where libcurl was built with one: there the file adds to
    /// the public authorities; where not, put them into it. (CURLOPT_CAINFO, CURLOPT_CAPATH)
    package var caFile: String?
    /// PEM files with the certificate to show the server, followed by those between it and its authority, and with its
    /// private key, which must not be encrypted (CURLOPT_SSLCERT, CURLOPT_SSLKEY). Both or none. Like `caFile` read
    /// anew for each connection.
    package var clientCertificateFile: String?
    package var clientKeyFile: String?
    /// HTTP/2 where the server of an https URL chooses it (ALPN, RFC 7301); else HTTP/1.1 (CURL_HTTP_VERSION_2TLS). Has
    /// no effect with a libcurl that was built without it: `CurlClient.speaksHTTP2`.
    package var allowsHTTP2: Bool
    /// Why no connection may be made to an IP address, given as its 4 or 16 bytes in network order (none: an address of
    /// another kind); nil when it may. Asked for each address before it is connected to, and for the address of a
    /// connection that is used again; through a proxy for the address of the proxy, and for that in the URL where it
    /// has one. Not for Unix domain sockets. Called on the client's thread, or the caller's.
    package var addressObjection: AddressObjection?
    package typealias AddressObjection = @Sendable (_ address: [UInt8]) -> String?
    /// For tests: addresses of names, in place of what resolving them would give, each as
    /// `HOST:PORT:ADDRESS[,ADDRESS]` (CURLOPT_RESOLVE). They hold for later requests of the client, too, until others
    /// take their place.
    package var resolvedNames: [String] = []
    /// A longer body fails with `responseTooLarge`; counted after decoding.
    package var maxResponseBytes: Int
    /// Takes each piece of the body as it comes, in place of `CurlResponse.body` and its limit; false ends the request
    /// (`responseTooLarge`). Called on the client's thread: must return at once.
    package var bodyReader: (@Sendable ([UInt8]) -> Bool)?
    /// Encodings that libcurl may decode, for example `gzip,deflate`; nil decodes nothing. Sent as `Accept-Encoding`
    /// unless `headers` have it.
    package var acceptEncoding: String?

    package init(
        url: String, method: Method = .get, headers: [(name: String, value: String)] = [], body: [UInt8] = [],
        timeout: Duration = .seconds(60), connectTimeout: Duration = .seconds(30), unixSocketPath: String? = nil,
        proxy: CurlProxy = .environment, caFile: String? = nil, clientCertificateFile: String? = nil,
        clientKeyFile: String? = nil, allowsHTTP2: Bool = false, addressObjection: AddressObjection? = nil,
        maxResponseBytes: Int = 1 << 20, acceptEncoding: String? = nil
    ) {
        self.url = url
        self.method = method
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.connectTimeout = connectTimeout
        self.unixSocketPath = unixSocketPath
        self.proxy = proxy
        self.caFile = caFile
        self.clientCertificateFile = clientCertificateFile
        self.clientKeyFile = clientKeyFile
        self.allowsHTTP2 = allowsHTTP2
        self.addressObjection = addressObjection
        self.maxResponseBytes = maxResponseBytes
        self.acceptEncoding = acceptEncoding
    }
}

/// Whether a request goes through an HTTP proxy: forwarded for http, through a CONNECT tunnel for https.
package enum CurlProxy: Sendable, Equatable {
    /// As `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` say; all but the first also in capitals
    /// (CURLOPT_PROXY).
    case environment
    case none
    /// This one, whatever `no_proxy` says.
    case url(String)
}

extension CurlRequest {
    /// Why libcurl must not see this request; nil when it may. A line break in a header would smuggle in another one.
    var defect: String? {
        guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
            return "url must begin with http:// or https://"
        }
        guard url.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else {
            return "url must hold neither blanks nor control characters"
        }
        for (name, value) in headers {
            guard !name.isEmpty, name.utf8.allSatisfy(\.isTokenCharacter) else {
                return "header name \"\(name.debugDescription)\" must be a token (RFC 9110 §5.6.2)"
            }
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }) else {
                return "the value of header \(name) must hold no control characters"
            }
        }
        return nil
    }
}

extension UInt8 {
    /// RFC 9110 §5.6.2
    fileprivate var isTokenCharacter: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
            UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
            true
        default: false
        }
    }
}
