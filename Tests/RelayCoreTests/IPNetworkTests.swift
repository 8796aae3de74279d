// Addresses and networks, as text and as numbers.

import Testing

@testable import RelayCore

@Suite struct IPNetworkTests {
    @Test(
        "an address is read in any form and shown in one",
        arguments: [
            ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("192.0.2.1", "192.0.2.1"), ("::", "::"),
            ("::1", "::1"), ("1::", "1::"), ("FE80::00A0", "fe80::a0"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
            ("1:0:0:4:0:0:0:8", "1:0:0:4::8"), ("1:0:0:4:5:0:0:8", "1::4:5:0:0:8"),
            ("1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"), ("::ffff:c000:201", "::ffff:192.0.2.1"),
            ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"), ("1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:c000:201"),
            ("0:0:0:0:0:0:0:0", "::"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ])
    func address(text: String, shown: String) throws {
        #expect(try #require(IPAddress(text)).description == shown)
        #expect(IPAddress(shown) == IPAddress(text))
    }

    @Test(
        "what is no address",
        arguments: [
            "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.+4", "1.2.3. 4", "0x7f.0.0.1", "1.2.3.4.",
            ":", ":::", "1:2", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "1::2::3", "12345::", "g::", "::1%eth0",
            "[::1]",
            "1.2.3.4::", "::1.2.3.4:1", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4", "+1::", "h.example",
        ])
    func noAddress(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test("bytes in network order")
    func bytes() {
        #expect(IPAddress(bytes: [192, 0, 2, 1]) == IPAddress("192.0.2.1"))
        #expect(
            IPAddress(bytes: [0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 11) + [5]) == IPAddress("2001:db8::5"))
        for count in [0, 3, 5, 15, 17] { #expect(IPAddress(bytes: [UInt8](repeating: 1, count: count)) == nil) }
    }

    @Test(
        "a network holds what begins with its prefix",
        arguments: [
            ("10.0.0.0/8", "10.255.255.255", true), ("10.0.0.0/8", "11.0.0.0", false), ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false), ("192.0.2.7", "192.0.2.7", true), ("192.0.2.7", "192.0.2.6", false),
            ("192.0.2.6/31", "192.0.2.7", true), ("::/0", "ff00::", true), ("::/0", "1.2.3.4", false),
            ("fe80::/10", "febf::1", true), ("fe80::/10", "fec0::1", false), ("::1", "::1", true), ("::1", "::", false),
        ])
    func contains(network: String, address: String, isInside: Bool) throws {
        #expect(try IPNetwork(network).contains(try #require(IPAddress(address))) == isInside)
    }

    @Test(
        "a network is written with its lowest address, in its own family",
        arguments: [
            ("10.0.0.1/8", "has bits set after its prefix; the network is 10.0.0.0/8"),
            ("192.0.2.7/0", "has bits set after its prefix; the network is 0.0.0.0/0"),
            ("fd00::1/8", "has bits set after its prefix; the network is fd00::/8"),
            ("fd00::/7", "has bits set after its prefix; the network is fc00::/7"),
            ("10.0.0.0/33", "must have a prefix length of 0 to 32 after the `/`"),
            ("10.0.0.0/08", "must have a prefix length of 0 to 32 after the `/`"),
            ("10.0.0.0/", "must have a prefix length of 0 to 32 after the `/`"),
            ("10.0.0.0/8/8", "must have a prefix length of 0 to 32 after the `/`"),
            ("10.0.0.0/255.0.0.0", "must have a prefix length of 0 to 32 after the `/`"),
            ("::/129", "must have a prefix length of 0 to 128 after the `/`"),
            ("::ffff:10.0.0.0/104", "must be written as the IPv4 network that it is, 10.0.0.0/8"),
            ("::ffff:10.0.0.1", "must be written as the IPv4 network that it is, 10.0.0.1/32"),
            ("10.0/8", "must be an IP network such as 10.0.0.0/8 or fd00::/8, or an IP address"),
            ("backend.example", "must be an IP network such as 10.0.0.0/8 or fd00::/8, or an IP address"),
            ("", "must be an IP network such as 10.0.0.0/8 or fd00::/8, or an IP address"),
        ])
    func mistakes(text: String, message: String) {
        let error = #expect(throws: IPNetworkError.self) { try IPNetwork(text) }
        #expect(error?.description == message)
    }

    @Test("a network is shown with its prefix length", arguments: ["10.0.0.0/8", "0.0.0.0/0", "::/0", "fd00::/8"])
    func shown(text: String) throws {
        #expect(try IPNetwork(text).description == text)
        #expect(try IPNetwork("::1").description == "::1/128")
    }
}
