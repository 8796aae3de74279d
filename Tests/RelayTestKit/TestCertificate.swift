// A certificate authority and a certificate for localhost, for tests over TLS.

internal import NIOSSL

/// Self-made, without any meaning outside the tests; valid until 2126.
package struct TestCertificate: Sendable {
    /// PEM of the authority that clients must trust.
    package var authority: String
    /// PEM of the certificate for `localhost` and 127.0.0.1, issued by the authority.
    package var certificate: String
    /// PEM of the certificate's private key.
    package var privateKey: String

    package static let localhost = TestCertificate(
        authority: localhostAuthority, certificate: localhostCertificate, privateKey: localhostKey)

    func makeServerContext() throws -> NIOSSLContext {
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8)).map {
            NIOSSLCertificateSource.certificate($0)
        }
        let key = try NIOSSLPrivateKey(bytes: Array(privateKey.utf8), format: .pem)
        return try NIOSSLContext(
            configuration: .makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(key)))
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
