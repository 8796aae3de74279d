// A reusable libcurl easy handle: everything Relay asks of libcurl for one request stands here.

internal import CCurl
internal import Glibc

/// Owns a `CURL *` and runs one transfer after another on it. Belongs to the client's thread.
final class EasyHandle {
    let pointer: UnsafeMutableRawPointer
    private(set) var transfer: Transfer?
    private var headers: UnsafeMutablePointer<curl_slist>?
    /// The header line that is being made: its room is used again.
    private var line: [UInt8] = []
    private var resolvedNames: UnsafeMutablePointer<curl_slist>?
    private var isOnConnectionOfItsOwn = false
    /// What the request's `addressObjection` said last.
    private var objection: String?
    /// It said so of the address of a connection that was open already.
    private var isConnectionRefused = false
    private var hasOpenedSocket = false
    /// All that was wanted is there: see `Transfer.endsWhenConnected`.
    private var isConnectedAtLast = false
    /// Bytes sent when the request was begun for the first time: none, or what asked a proxy for a tunnel.
    private var sentAtBeginning: Int?
    /// CURL_ERROR_SIZE bytes that libcurl writes its message into.
    private let message = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))

    /// nil when memory is exhausted.
    init?(maxIdle: Duration) {
        guard let easy = curl_easy_init() else { return nil }
        pointer = easy
        message.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        setConstantOptions()
        setLong(CURLOPT_MAXAGE_CONN, Int(maxIdle.components.seconds))
    }

    deinit {
        curl_easy_cleanup(pointer)
        curl_slist_free_all(headers)
        curl_slist_free_all(resolvedNames)
        message.deallocate()
    }

    /// The handle that a pointer given back by libcurl belongs to.
    static func of(_ pointer: UnsafeMutableRawPointer) -> EasyHandle? {
        var context: UnsafeMutableRawPointer?
        guard relay_easy_get_context(pointer, &context) == CURLE_OK, let context else { return nil }
        return Unmanaged<EasyHandle>.fromOpaque(context).takeUnretainedValue()
    }

    /// Makes the handle ready for a transfer. Each option that differs between requests is set each time, so that
    /// nothing of the last one is left.
    /// - Parameter onConnectionOfItsOwn: neither a connection used before nor one to be used again.
    func prepare(_ transfer: Transfer, onConnectionOfItsOwn: Bool) throws(CurlError) {
        let request = transfer.request
        self.transfer = transfer
        isOnConnectionOfItsOwn = onConnectionOfItsOwn
        objection = nil
        isConnectionRefused = false
        hasOpenedSocket = false
        isConnectedAtLast = false
        sentAtBeginning = nil
        message.pointee = 0
        try setTarget(of: request)
        try setTLS(of: request)
        try setMessage(of: request)
        setLong(CURLOPT_FRESH_CONNECT, onConnectionOfItsOwn ? 1 : 0)
        // Until there is a response: see `readHeaderLine`.
        setLong(CURLOPT_FORBID_REUSE, 1)
    }

    /// Whether the transfer came to nothing because it was given a connection, opened for an earlier request, to an
    /// address that its own request objects to. Nothing has been sent, and the connection is closed: another may do.
    var wantsAnotherConnection: Bool { isConnectionRefused && !isOnConnectionOfItsOwn }

    /// - Returns: false to end the transfer.
    fileprivate func readHeaderLine(_ line: UnsafeRawBufferPointer) -> Bool {
        guard let transfer, transfer.readHeaderLine(line) else { return false }
        // The peer of this connection answers, so that it may be used again. One on which a request times out before
        // that, or is canceled, is closed: libcurl would keep an HTTP/2 connection, dead or not, for the next request,
        // and the one after it.
        if transfer.isHeadComplete, !isOnConnectionOfItsOwn { setLong(CURLOPT_FORBID_REUSE, 0) }
        return true
    }

    /// What the transfer came to.
    func result(_ code: CURLcode) -> Result<CurlResponse, CurlError> {
        guard let transfer else { return .failure(.canceled) }
        if isConnectedAtLast { return .success(transfer.response(status: 0)) }
        if code == CURLE_OK {
            // libcurl is content with a head that breaks off after its status line.
            guard transfer.isHeadComplete else { return .failure(error(CURLE_GOT_NOTHING, .connectionReset)) }
            return .success(transfer.response(status: long(CURLINFO_RESPONSE_CODE)))
        }
        if let objection, isConnectionRefused || code == CURLE_COULDNT_CONNECT && !hasOpenedSocket {
            return .failure(CurlError(code: .blockedAddress, curlCode: Int32(code.rawValue), message: objection))
        }
        let circumstances = CurlError.Code.Circumstances(
            exceededLimit: transfer.exceededLimit,
            wasConnected: offset(CURLINFO_PRETRANSFER_TIME_T) > 0,
            systemError: systemError,
            hasTLSAlert: hasTLSAlert,
            proxyStatus: long(CURLINFO_HTTP_CONNECTCODE))
        var failure = error(code, .init(code, circumstances))
        if transfer.isHeadComplete { failure.response = transfer.response(status: long(CURLINFO_RESPONSE_CODE)) }
        return .failure(failure)
    }

    /// Whether the request may be sent on the connection at hand. The second time it is asked for one transfer, libcurl
    /// wants to repeat it: not a POST, unless nothing at all of it has been sent.
    fileprivate func mayBeginRequest(to peer: String) -> Bool {
        if let objection = transfer?.objection(to: address(of: peer) ?? []) {
            self.objection = objection
            isConnectionRefused = true
            return false
        }
        if transfer?.endsWhenConnected == true {
            isConnectedAtLast = true
            return false
        }
        let sent = long(CURLINFO_REQUEST_SIZE)
        guard let sentAtBeginning else {
            sentAtBeginning = sent
            return true
        }
        return transfer?.request.method == .get || sent == sentAtBeginning
    }

    /// Opens the socket for one of the server's addresses; libcurl tries the next one where there is none. nil when the
    /// request objects to the address, or when there is no socket.
    fileprivate func openSocket(to destination: UnsafePointer<curl_sockaddr>) -> curl_socket_t? {
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = relay_socket_address(destination, &bytes)
        if let objection = transfer?.objection(to: Array(bytes.prefix(Int(count)))) {
            self.objection = objection
            return nil
        }
        let socket = relay_socket_open(destination)
        guard socket != CURL_SOCKET_BAD else { return nil }
        hasOpenedSocket = true
        return socket
    }

    /// Drops the transfer, so that the handle can be used for the next one.
    func reset() {
        transfer = nil
        relay_easy_set_list(pointer, CURLOPT_HTTPHEADER, nil)
        curl_slist_free_all(headers)
        headers = nil
        // Frees the copy.
        relay_easy_set_pointer(pointer, CURLOPT_COPYPOSTFIELDS, nil)
        relay_easy_set_list(pointer, CURLOPT_RESOLVE, nil)
        curl_slist_free_all(resolvedNames)
        resolvedNames = nil
    }
}

// Options
extension EasyHandle {
    private func setConstantOptions() {
        let context = Unmanaged.passUnretained(self).toOpaque()
        for option in [CURLOPT_PRIVATE, CURLOPT_READDATA, CURLOPT_WRITEDATA, CURLOPT_HEADERDATA] {
            relay_easy_set_pointer(pointer, option, context)
        }
        relay_easy_set_pointer(pointer, CURLOPT_ERRORBUFFER, message)
        relay_easy_set_function(pointer, CURLOPT_READFUNCTION, readBody)
        relay_easy_set_function(pointer, CURLOPT_WRITEFUNCTION, writeBody)
        relay_easy_set_function(pointer, CURLOPT_HEADERFUNCTION, writeHeader)
        // When a reused connection closes before the response begins, libcurl sends the request again on a new one,
        // without a word. `mayBeginRequest` stops that for a POST of which a byte has been sent. Where a byte of the
        // body has been that libcurl asked for, it must also rewind it, which is refused, so that no version of libcurl
        // can go another way.
        relay_easy_set_request_function(pointer, requestBegins, context)
        relay_easy_set_seek_function(pointer) { _, _, _ in CURL_SEEKFUNC_FAIL }
        relay_easy_set_open_function(pointer, socketWanted, context)

        setLong(CURLOPT_NOSIGNAL, 1)
        setLong(CURLOPT_FOLLOWLOCATION, 0)
        setLong(CURLOPT_PATH_AS_IS, 1)
        setLong(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        setLong(CURLOPT_SSL_VERIFYPEER, 1)
        setLong(CURLOPT_SSL_VERIFYHOST, 2)
        // Otherwise OpenSSL asks for it on the terminal, and this thread waits there.
        relay_easy_set_string(pointer, CURLOPT_KEYPASSWD, "")
        relay_easy_set_string(pointer, CURLOPT_PROTOCOLS_STR, "http,https")
        // Otherwise a transfer that ends while its name is being resolved blocks this thread until the resolver gives
        // up.
        setLong(CURLOPT_QUICK_EXIT, 1)
    }

    private func setTarget(of request: CurlRequest) throws(CurlError) {
        try set(CURLOPT_URL, request.url)
        try set(CURLOPT_UNIX_SOCKET_PATH, request.unixSocketPath)
        let proxy = request.unixSocketPath == nil ? request.proxy : .none
        switch proxy {
        case .environment:
            try set(CURLOPT_PROXY, nil)
            try set(CURLOPT_NOPROXY, nil)
        case .none:
            try set(CURLOPT_PROXY, "")
            try set(CURLOPT_NOPROXY, nil)
        case .url(let url):
            try set(CURLOPT_PROXY, url)
            try set(CURLOPT_NOPROXY, "")
        }
        for entry in request.resolvedNames { resolvedNames = try appended(entry, to: resolvedNames) }
        relay_easy_set_list(pointer, CURLOPT_RESOLVE, resolvedNames)
        setLong(CURLOPT_TIMEOUT_MS, request.timeout.curlMilliseconds)
        setLong(CURLOPT_CONNECTTIMEOUT_MS, request.connectTimeout.curlMilliseconds)
    }

    private func setTLS(of request: CurlRequest) throws(CurlError) {
        try set(CURLOPT_CAINFO, request.caFile ?? Self.defaultCAFile)
        try set(CURLOPT_SSLCERT, request.clientCertificateFile)
        try set(CURLOPT_SSLKEY, request.clientKeyFile)
        // Files of one's own are replaced while we run. A store of authorities that libcurl keeps (for 24 h, where it
        // has no default directory), and a resumed session, which checks and shows no certificate, would not notice.
        let hasFiles = request.caFile != nil || request.clientCertificateFile != nil
        setLong(CURLOPT_CA_CACHE_TIMEOUT, hasFiles ? 0 : 24 * 60 * 60)
        setLong(CURLOPT_SSL_SESSIONID_CACHE, hasFiles ? 0 : 1)
        setLong(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
        // Refused, and without effect, where libcurl lacks it.
        if request.allowsHTTP2 { setLong(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS) }
    }

    private func setMessage(of request: CurlRequest) throws(CurlError) {
        try set(CURLOPT_ACCEPT_ENCODING, request.acceptEncoding)
        setLong(request.method == .post ? CURLOPT_POST : CURLOPT_HTTPGET, 1)
        try set(CURLOPT_CUSTOMREQUEST, request.method == .delete ? "DELETE" : nil)
        if request.method == .post { try setBody(of: request) }
        // Two that libcurl adds by itself: the wait for "100 Continue", and a Content-Type for each POST.
        headers = try appended("Expect:", to: headers)
        if request.method == .post, !request.headers.contains(where: { $0.name.isContentType }) {
            headers = try appended("Content-Type:", to: headers)
        }
        for (name, value) in request.headers { try appendHeader(name, value) }
        relay_easy_set_list(pointer, CURLOPT_HTTPHEADER, headers)
    }

    /// A body in memory goes out with the head, in one call of the system, up to 64 KiB; one that libcurl asks for piece
    /// by piece in a second one. Not over TLS, with which libcurl does not count what went out of a call that could not
    /// take all: `mayBeginRequest` would not know of it.
    private func setBody(of request: CurlRequest) throws(CurlError) {
        relay_easy_set_offset(pointer, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(request.body.count))
        guard request.goesInTheClear, !request.body.isEmpty else { return }
        let code = request.body.withUnsafeBytes {
            relay_easy_set_pointer(pointer, CURLOPT_COPYPOSTFIELDS, $0.baseAddress)
        }
        guard code == CURLE_OK else { throw error(code, .other) }
    }

    private func appendHeader(_ name: String, _ value: String) throws(CurlError) {
        line.removeAll(keepingCapacity: true)
        line += name.utf8
        // `Name:` would remove a header of libcurl's own; `Name;` sends one without a value (CURLOPT_HTTPHEADER).
        line += (value.isEmpty ? ";" : ": ").utf8
        line += value.utf8
        line.append(0)
        let longer = line.withUnsafeBytes {
            curl_slist_append(headers, $0.baseAddress?.assumingMemoryBound(to: CChar.self))
        }
        guard let longer else { throw error(CURLE_OUT_OF_MEMORY, .other) }
        headers = longer
    }

    private func appended(
        _ line: String, to list: UnsafeMutablePointer<curl_slist>?
    ) throws(CurlError) -> UnsafeMutablePointer<curl_slist> {
        guard let longer = curl_slist_append(list, line) else { throw error(CURLE_OUT_OF_MEMORY, .other) }
        return longer
    }

    private func set(_ option: CURLoption, _ value: String?) throws(CurlError) {
        let code = relay_easy_set_string(pointer, option, value)
        guard code == CURLE_OK else { throw error(code, .invalidRequest) }
    }

    private func setLong(_ option: CURLoption, _ value: Int) {
        relay_easy_set_long(pointer, option, value)
    }

    /// The bundle file that libcurl was built with, or nil.
    private static let defaultCAFile = relay_default_ca_file().map { String(cString: $0) }
}

extension CurlRequest {
    /// Surely without TLS, to the server and to any proxy.
    fileprivate var goesInTheClear: Bool { url.hasPrefix("http://") && (proxy == .none || unixSocketPath != nil) }
}

extension String {
    fileprivate var isContentType: Bool { utf8.elementsEqual("content-type".utf8) { $0 | 0x20 == $1 } }
}

// Results
extension EasyHandle {
    private func error(_ code: CURLcode, _ kind: CurlError.Code) -> CurlError {
        CurlError(code: kind, curlCode: Int32(code.rawValue), message: text(of: code))
    }

    private func text(of code: CURLcode) -> String {
        // libcurl's own words are about the callback or the rewinding.
        if code.meansReusedConnectionClosed { return "the server closed a reused connection before it answered" }
        if code == CURLE_COULDNT_CONNECT, let path = transfer?.request.unixSocketPath {
            // libcurl's own words name the URL's host and port, which nobody listens at.
            let why = systemError == 0 ? "" : ": \(String(cString: strerror(systemError)))"
            return Self.printable("cannot connect to the Unix socket \(path)\(why)")
        }
        let hasOwnWords = message.pointee != 0 && !String(cString: message).hasPrefix("Unsupported proxy")
        // Of a proxy that it cannot use, libcurl names the whole URL, password included.
        let text = !hasOwnWords ? String(cString: curl_easy_strerror(code)) : String(cString: message)
        let printable = Self.printable(text)
        guard mayHaveMissedTLSAlert(code) else { return printable }
        return "\(printable), right after the TLS handshake: as of a server that wants a certificate of its client"
    }

    /// A peer can have a part in the text: control characters stay out of logs.
    private static func printable(_ text: String) -> String {
        String(text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : Character($0) })
    }

    /// A server that refuses the client's certificate in TLS 1.3 says so while the request is being sent, and ends the
    /// connection: libcurl does not read what came before a call that could send nothing more.
    private func mayHaveMissedTLSAlert(_ code: CURLcode) -> Bool {
        guard let transfer, hasOpenedSocket, !transfer.isHeadComplete, !hasTLSAlert else { return false }
        return [CURLE_SEND_ERROR, CURLE_RECV_ERROR].contains(code) && transfer.request.url.hasPrefix("https://")
            && offset(CURLINFO_APPCONNECT_TIME_T) > 0
    }

    /// As OpenSSL words it: "SSL routines::tlsv13 alert certificate required".
    private var hasTLSAlert: Bool {
        let text = String(cString: message)
        return text.contains("SSL routines") && text.contains(" alert ")
    }

    /// `errno` of the last connect; 0 for none.
    private var systemError: Int32 { Int32(truncatingIfNeeded: long(CURLINFO_OS_ERRNO)) }

    private func long(_ info: CURLINFO) -> Int {
        var value = 0
        relay_easy_get_long(pointer, info, &value)
        return value
    }

    private func offset(_ info: CURLINFO) -> Int {
        var value: curl_off_t = 0
        relay_easy_get_offset(pointer, info, &value)
        return Int(value)
    }
}

// Callbacks: the context is the `EasyHandle`, alive as long as its `CURL *` is.

private func transfer(_ context: UnsafeMutableRawPointer?) -> Transfer? {
    context.flatMap { Unmanaged<EasyHandle>.fromOpaque($0).takeUnretainedValue().transfer }
}

private func requestBegins(
    _ context: UnsafeMutableRawPointer?, _ peer: UnsafeMutablePointer<CChar>?, _ local: UnsafeMutablePointer<CChar>?,
    _ peerPort: Int32, _ localPort: Int32
) -> Int32 {
    guard let context, let peer else { return CURL_PREREQFUNC_ABORT }
    let handle = Unmanaged<EasyHandle>.fromOpaque(context).takeUnretainedValue()
    return handle.mayBeginRequest(to: String(cString: peer)) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
}

private func socketWanted(
    _ context: UnsafeMutableRawPointer?, _ purpose: curlsocktype, _ address: UnsafeMutablePointer<curl_sockaddr>?
) -> curl_socket_t {
    guard let context, let address else { return CURL_SOCKET_BAD }
    return Unmanaged<EasyHandle>.fromOpaque(context).takeUnretainedValue().openSocket(to: address) ?? CURL_SOCKET_BAD
}

private func readBody(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    let buffer = UnsafeMutableRawBufferPointer(start: bytes, count: size * count)
    return transfer(context)?.readBody(into: buffer) ?? Int(CURL_READFUNC_ABORT)
}

private func writeBody(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    let buffer = UnsafeRawBufferPointer(start: bytes, count: size * count)
    return transfer(context)?.readResponseBody(buffer) == true ? buffer.count : -1
}

private func writeHeader(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    let buffer = UnsafeRawBufferPointer(start: bytes, count: size * count)
    guard let context else { return -1 }
    let handle = Unmanaged<EasyHandle>.fromOpaque(context).takeUnretainedValue()
    return handle.readHeaderLine(buffer) ? buffer.count : -1
}

extension Duration {
    /// At least 1, because 0 means "no bound" to libcurl; at most what fits its 32-bit platforms.
    fileprivate var curlMilliseconds: Int {
        let (seconds, attoseconds) = min(max(self, .milliseconds(1)), .seconds(2_000_000)).components
        return Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
    }
}
