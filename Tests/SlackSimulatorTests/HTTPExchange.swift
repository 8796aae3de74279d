// A plain HTTP client for the simulator's port: one request, one answer.

import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Testing

enum HTTPExchange {
    struct Answer {
        var status: Int
        var headers: HTTPHeaders
        var body: String

        func json() throws -> [String: Any] {
            try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
        }
    }

    /// One request on a connection of its own. Throws when the connection ends without an answer.
    static func send(
        _ method: HTTPMethod, _ url: String, headers: HTTPHeaders = [:], body: String = "",
        trust: NIOSSLCertificate? = nil
    ) async throws -> Answer {
        let url = try #require(URLComponents(string: url))
        let answer = MultiThreadedEventLoopGroup.singleton.next().makePromise(of: Answer.self)
        let channel = try await bootstrap(url, trust: trust, on: answer.futureResult.eventLoop) { channel in
            try channel.pipeline.syncOperations.addHTTPClientHandlers()
            try channel.pipeline.syncOperations.addHandler(AnswerReader(answer))
        }
        let target = url.percentEncodedPath + (url.percentEncodedQuery.map { "?" + $0 } ?? "")
        var head = HTTPRequestHead(version: .http1_1, method: method, uri: target, headers: headers)
        head.headers.add(name: "host", value: "\(url.host ?? ""):\(url.port ?? 0)")
        head.headers.add(name: "content-length", value: "\(body.utf8.count)")
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(string: body))), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        defer { channel.close(promise: nil) }
        return try await answer.futureResult.get()
    }

    static func bootstrap(
        _ url: URLComponents, trust: NIOSSLCertificate?, on eventLoop: any EventLoop,
        _ configure: @escaping @Sendable (any Channel) throws -> Void
    ) async throws -> any Channel {
        var tls: NIOSSLContext?
        if let trust {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.trustRoots = .certificates([trust])
            tls = try NIOSSLContext(configuration: configuration)
        }
        let host = url.host ?? "127.0.0.1"
        let context = tls
        return try await ClientBootstrap(group: eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let context {
                        let name = host == "localhost" ? host : nil
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: context, serverHostname: name))
                    }
                    try configure(channel)
                }
            }
            .connect(host: host, port: url.port ?? 80).get()
    }
}

/// Joins the parts of one answer.
private final class AnswerReader: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let promise: EventLoopPromise<HTTPExchange.Answer>
    private var answer = HTTPExchange.Answer(status: 0, headers: [:], body: "")

    init(_ promise: EventLoopPromise<HTTPExchange.Answer>) { self.promise = promise }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let head): (answer.status, answer.headers) = (Int(head.status.code), head.headers)
        case .body(let part): answer.body += String(buffer: part)
        case .end: promise.succeed(answer)
        }
    }

    func channelInactive(context: ChannelHandlerContext) { promise.fail(ChannelError.eof) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { promise.fail(error) }
}
