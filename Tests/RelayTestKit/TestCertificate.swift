// Certificate authorities, a certificate for localhost and one for a client, for tests over TLS.

internal import NIOSSL

/// Self-made, without any meaning outside the tests; valid until 2126.
package struct TestCertificate: Sendable {
    /// PEM of the authority that the other side must trust.
    package var authority: String
    /// PEM of the certificate issued by the authority.
    package var certificate: String
    /// PEM of the certificate's private key.
    package var privateKey: String

    /// For `localhost` and 127.0.0.1.
    package static let localhost = TestCertificate(
        authority: localhostAuthority, certificate: localhostCertificate, privateKey: localhostKey)

    /// For a client, by an authority of its own.
    package static let client = TestCertificate(
        authority: clientAuthority, certificate: clientCertificate, privateKey: clientKey)

    /// The private key of `client`, encrypted with a password.
    package static let encryptedClientKey = clientKeyWithPassword

    /// - Parameters:
    ///   - protocols: that the server chooses from (ALPN), best first.
    ///   - client: whose authority must have issued the certificate that a client must then show.
    func makeServerContext(protocols: [String] = [], client: TestCertificate? = nil) throws -> NIOSSLContext {
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8)).map {
            NIOSSLCertificateSource.certificate($0)
        }
        let key = try NIOSSLPrivateKey(bytes: Array(privateKey.utf8), format: .pem)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain, privateKey: .privateKey(key))
        configuration.applicationProtocols = protocols
        if let client {
            configuration.certificateVerification = .noHostnameVerification
            configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(client.authority.utf8)))
        }
        return try NIOSSLContext(configuration: configuration)
    }
}

private let localhostAuthority = """
    -----BEGIN CERTIFICATE-----
    MIIBpjCCAUugAwIBAgIUaBhM3RsVi2Mku+h2ROK9V79hOlMwCgYIKoZIzj0EAwIw
    HzEdMBsGA1UEAwwUUmVsYXkgdGVzdCBhdXRob3JpdHkwIBcNMjYxMTIzMDk0MTQ5
    WhgPMjEyNjEwMzAwOTQxNDlaMB8xHTAbBgNVBAMMFFJlbGF5IHRlc3QgYXV0aG9y
    aXR5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEctRX6C0FNDeg/nmTwZZl/IUk
    FsmarZoqTSJFiMrlt+zTD8TcIYylUs0Fxzn5q6r6Tn6v8nkf0xv3OgsJfU//LqNj
    MGEwHQYDVR0OBBYEFAUT3+PErMYhXLh+SK5S4xu1+ssiMB8GA1UdIwQYMBaAFAUT
    3+PErMYhXLh+SK5S4xu1+ssiMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQD
    AgIEMAoGCCqGSM49BAMCA0kAMEYCIQDfj8G2UIH/F+YrNrMCzWq1KTwpFLb98Xvo
    Pn24hzTDiAIhAJEoDqo0ZvfDh/AJrqkbDQ/vRWXdZKQ1Pj5eFA+tjAsD
    -----END CERTIFICATE-----
    """

private let localhostCertificate = """
    -----BEGIN CERTIFICATE-----
    MIIBtDCCAVugAwIBAgIUetvjaeh+NOY81xPuRd31Ceg/xY8wCgYIKoZIzj0EAwIw
    HzEdMBsGA1UEAwwUUmVsYXkgdGVzdCBhdXRob3JpdHkwIBcNMjYxMTIzMDk0MTQ5
    WhgPMjEyNjEwMzAwOTQxNDlaMBQxEjAQBgNVBAMMCWxvY2FsaG9zdDBZMBMGByqG
    SM49AgEGCCqGSM49AwEHA0IABGCOjb1kkNCR8nCintbDSnRL/lmI9U7H691fj09Q
    AYmkAOFzBJb1dLpczn/F9XWqQAdhNUye/C0u6pi34Yuz2KqjfjB8MBoGA1UdEQQT
    MBGCCWxvY2FsaG9zdIcEfwAAATATBgNVHSUEDDAKBggrBgEFBQcDATAJBgNVHRME
    AjAAMB0GA1UdDgQWBBQyanMg+fB5sXMFgkCXj6lG8D5v4TAfBgNVHSMEGDAWgBQF
    E9/jxKzGIVy4fkiuUuMbtfrLIjAKBggqhkjOPQQDAgNHADBEAiBSR+NH4woa4CQq
    0iWE4BnVtjrAC/SnB18h17sW0LvK8AIgPRo6yLVtVtfGbcER/crH4MqikJeiFisX
    0cbPzdGALwE=
    -----END CERTIFICATE-----
    """

private let localhostKey = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgCH/M/ibLNZx3v0Dg
    sTtQV3s2Nqcy3HHbsORdDC6x1K2hRANCAARgjo29ZJDQkfJwop7Ww0p0S/5ZiPVO
    x+vdX49PUAGJpADhcwSW9XS6XM5/xfV1qkAHYTVMnvwtLuqYt+GLs9iq
    -----END PRIVATE KEY-----
    """

private let clientAuthority = """
    -----BEGIN CERTIFICATE-----
    MIIBfzCCASWgAwIBAgIBATAKBggqhkjOPQQDAjAmMSQwIgYDVQQDDBtSZWxheSB0
    ZXN0IGNsaWVudCBhdXRob3JpdHkwIBcNMjYwMTAxMDAwMDAwWhgPMjEyNjAxMDEw
    MDAwMDBaMCYxJDAiBgNVBAMMG1JlbGF5IHRlc3QgY2xpZW50IGF1dGhvcml0eTBZ
    MBMGByqGSM49AgEGCCqGSM49AwEHA0IABGi5jVs8FGrnDt/bCMSWO2Hvyssd5cWw
    tDsvVo7aZQITy4g64qnzFNX0xqfy8QGMMDZ68T7+06Sfy5iMQA9/KmejQjBAMA8G
    A1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgEGMB0GA1UdDgQWBBQVg807EofX
    IlhJ1XbUzfCo5xkklTAKBggqhkjOPQQDAgNIADBFAiEA2ii0Rovmc99foW8PdNIe
    8WH5bNGcJPnb71/ZIS24SE8CIG5OIQIQw/bYihzYa5CoW1WNjShKjoUIG7budOWe
    Q79H
    -----END CERTIFICATE-----
    """

private let clientCertificate = """
    -----BEGIN CERTIFICATE-----
    MIIBijCCAS+gAwIBAgIBAjAKBggqhkjOPQQDAjAmMSQwIgYDVQQDDBtSZWxheSB0
    ZXN0IGNsaWVudCBhdXRob3JpdHkwIBcNMjYwMTAxMDAwMDAwWhgPMjEyNjAxMDEw
    MDAwMDBaMBAxDjAMBgNVBAMMBXJlbGF5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD
    QgAEKcVEnTeGHJ3f+tLVs6nghiwUkFuupj42DD3GtLV1n0Ww7afbNX7MQApZCcxl
    EX6KuosOt4X4t3VnNwU2OtFTvqNiMGAwCQYDVR0TBAIwADATBgNVHSUEDDAKBggr
    BgEFBQcDAjAdBgNVHQ4EFgQUjXv1fBEd9/5BmuCXcpVncsttb5UwHwYDVR0jBBgw
    FoAUFYPNOxKH1yJYSdV21M3wqOcZJJUwCgYIKoZIzj0EAwIDSQAwRgIhANi72HNF
    UccVotBcwenSibIbmZ5PsZU979x3ygp2bKeZAiEA6T10xRpl3BdvpsHBuHLEZ0ll
    FgEV/v/roeIJWqmS1Ag=
    -----END CERTIFICATE-----
    """

private let clientKey = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgCZEy7mHBbyjKCx5u
    xUxZZ/xxUTG5wTo8lfDRQagcWAehRANCAAQpxUSdN4Ycnd/60tWzqeCGLBSQW66m
    PjYMPca0tXWfRbDtp9s1fsxAClkJzGURfoq6iw63hfi3dWc3BTY60VO+
    -----END PRIVATE KEY-----
    """

private let clientKeyWithPassword = """
    -----BEGIN ENCRYPTED PRIVATE KEY-----
    MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhVx5wiq4F16QICCAAw
    DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEENFzCEHgqhbqLwISYcyGM1MEgZDJ
    FoURCkVYp+cpKaQEanCpW/IuAscWplnDBbNsevFiTO2GX6U8gtY2+q1aIEN9aBi/
    QKbkc+w8/XEVf+/xKncpC244PC50vBvIicC4NAPAGwDu0V1ioRQSmuJIoOvQndqr
    vHWvx1pgdn9UnaqAtKbmIoXyMQ3P5ZrlF/yT3zKdm/LDsS62JBEPvyO2M0gRU54=
    -----END ENCRYPTED PRIVATE KEY-----
    """
