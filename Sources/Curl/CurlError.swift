// Why there is no response.

internal import CCurl
internal import Glibc

/// A request that came to no complete response.
package struct CurlError: Error, Sendable, Equatable, CustomStringConvertible {
    package var code: Code
    /// The CURLcode, 0 when libcurl was not asked (libcurl-errors(3)).
    package var curlCode: Int32
    /// For people; names host and port, or the path of a Unix socket, at most, never the query of the URL, its user
    /// information or a header's value.
    package var message: String
    /// Where its head came whole, whatever went wrong with its body: as much of that as there is.
    package var response: CurlResponse?
    package var status: Int? { response?.status }

    package enum Code: Sendable, Hashable, CaseIterable {
        /// The name of the host has no address, or resolving it failed.
        case dnsError
        /// Nothing listens there, or there is no way to it.
        case connectionRefused
        /// The connection ended before the response did. Whether the peer has acted on the request is not known.
        case connectionReset
        /// `connectTimeout`, or `timeout` before the connection stood.
        case connectTimeout
        case timeout
        /// A handshake or certificate that is not good, on either side, or a file for it that cannot be read.
        case tlsError
        /// The request's `addressObjection` let none of the addresses pass.
        case blockedAddress
        /// The proxy cannot be resolved or refuses the tunnel.
        case proxyError
        /// A body of more than `maxResponseBytes` (`status` then tells what the peer thought of the request), or
        /// response headers of more than 100 KiB.
        case responseTooLarge
        /// The task was canceled, or the client was shut down.
        case canceled
        /// The request cannot be made: a URL or header that is not well-formed.
        case invalidRequest
        /// The rest, for example a peer that does not speak HTTP.
        case other
    }

    package var description: String { message }

    static let canceled = CurlError(code: .canceled, curlCode: 0, message: "canceled")
}

extension CurlError.Code {
    /// What is known about a failed transfer besides its CURLcode.
    struct Circumstances {
        /// The write or header callback refused more bytes.
        var exceededLimit = false
        /// Connection, TLS handshake and proxy tunnel stood.
        var wasConnected = false
        /// `errno` of the last connect; 0 for none.
        var systemError: Int32 = 0
        /// The server ended TLS with an alert. In TLS 1.3 the client is done with the handshake before the server has
        /// looked at its certificate (RFC 8446 §2).
        var hasTLSAlert = false
        /// Status of the proxy's answer to CONNECT; 0 for none.
        var proxyStatus = 0
    }

    init(_ result: CURLcode, _ circumstances: Circumstances) {
        self =
            switch result {
            case CURLE_COULDNT_RESOLVE_HOST: .dnsError
            case CURLE_COULDNT_RESOLVE_PROXY, CURLE_PROXY: .proxyError
            case CURLE_COULDNT_CONNECT: circumstances.systemError == ETIMEDOUT ? .connectTimeout : .connectionRefused
            case CURLE_OPERATION_TIMEDOUT: circumstances.wasConnected ? .timeout : .connectTimeout
            case CURLE_WRITE_ERROR where circumstances.exceededLimit: .responseTooLarge
            case CURLE_RECV_ERROR where circumstances.hasTLSAlert, CURLE_SEND_ERROR where circumstances.hasTLSAlert:
                .tlsError
            case CURLE_RECV_ERROR where circumstances.proxyStatus >= 300: .proxyError
            case CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PARTIAL_FILE, CURLE_HTTP2,
                CURLE_HTTP2_STREAM,
                _ where result.meansReusedConnectionClosed:
                .connectionReset
            case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE,
                CURLE_SSL_CERTPROBLEM,
                CURLE_SSL_CIPHER, CURLE_SSL_CRL_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS,
                CURLE_SSL_CLIENTCERT, CURLE_SSL_SHUTDOWN_FAILED, CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_USE_SSL_FAILED,
                CURLE_SSL_ENGINE_NOTFOUND, CURLE_SSL_ENGINE_SETFAILED, CURLE_SSL_ENGINE_INITFAILED:
                .tlsError
            case CURLE_URL_MALFORMAT, CURLE_BAD_FUNCTION_ARGUMENT, CURLE_UNKNOWN_OPTION: .invalidRequest
            default: .other
            }
    }
}

extension CURLcode {
    /// libcurl wanted to send a request again and was not let: by `EasyHandle.mayBeginRequest`, or by the refusal to
    /// rewind the body.
    var meansReusedConnectionClosed: Bool { self == CURLE_ABORTED_BY_CALLBACK || self == CURLE_SEND_FAIL_REWIND }
}
