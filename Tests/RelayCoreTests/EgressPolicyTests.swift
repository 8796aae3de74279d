// Which addresses a backend may be at.

import RelayCore
import Testing

@Suite struct EgressPolicyTests {
    private func objection(_ policy: EgressPolicy, _ address: String) throws -> String? {
        policy.objection(to: try #require(IPAddress(address)))
    }

    private func networks(_ texts: [String]) throws -> [IPNetwork] { try texts.map { try IPNetwork($0) } }

    @Test(
        "the Internet is allowed by each preset",
        arguments: [
            "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
            "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0",
            "198.17.255.255", "198.20.0.0", "223.255.255.255", "::ffff:1.1.1.1", "2606:4700::1111", "2a00::",
            "64:ff9b::1.1.1.1", "2002:101:101::", "2001:200::1", "2003::", "2001:db7:ffff::", "2001:db9::",
        ])
    func internet(address: String) throws {
        for preset in EgressPolicy.Preset.allCases {
            #expect(try objection(EgressPolicy(preset: preset), address) == nil)
        }
    }

    @Test(
        "what is not of the Internet is allowed by sidecar alone",
        arguments: [
            "127.0.0.1", "127.255.255.255", "10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0",
            "192.168.255.255", "100.64.0.0", "100.127.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1", "203.0.113.1", "192.88.99.1", "240.0.0.1", "255.255.255.254", "::1", "fc00::", "fd00::1",
            "fdff:ffff::1", "fec0::1", "100:0:0:1::1", "2001:1::1", "2001:db8::1", "3fff::1", "5f00::1",
            // IPv4 in IPv6: mapped, compatible, translated, NAT64, 6to4.
            "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::10.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::10.0.0.1",
            "64:ff9b::7f00:1", "2002:a00:1::", "2002:7f00:1:2:3:4:5:6",
        ])
    func sidecarAlone(address: String) throws {
        #expect(try objection(EgressPolicy(), address) == nil)
        #expect(try objection(EgressPolicy(preset: .public), address) != nil)
    }

    static let deniedEverywhere = [
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.0.0", "169.254.255.255", "100.100.100.200",
        "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fe80::1", "febf:ffff::1",
        "0.0.0.0", "0.255.255.255", "::", "224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "ff00::",
        "100::1", "64:ff9b:1::1", "64:ff9b:1:a9fe:a9:fe00::",
        // IPv4 in IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo (client, then server).
        "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::ffff:0.0.0.0", "::169.254.169.254", "::ffff:0:169.254.169.254",
        "64:ff9b::169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "2001:0:101:101::5601:5601",
        "2001:0:a9fe:a9fe::fefe:fefe",
    ]

    @Test(
        "metadata, link-local and what is no address to connect to is denied by each preset",
        arguments: deniedEverywhere)
    func everywhere(address: String) throws {
        let wide = try networks(["0.0.0.0/0", "::/0"])
        for preset in EgressPolicy.Preset.allCases {
            #expect(try objection(EgressPolicy(preset: preset), address) != nil)
            #expect(try objection(EgressPolicy(preset: preset, allow: wide), address) != nil, "by accident")
        }
    }

    @Test(
        "allow opens what public denies; what is denied everywhere only when it is no wider than that",
        arguments: [
            (["10.1.0.0/16"], "10.1.2.3", true), (["10.1.0.0/16"], "10.2.2.3", false),
            (["10.0.0.0/7"], "10.1.2.3", true), (["0.0.0.0/0"], "127.0.0.1", true), (["::/0"], "fd00::1", true),
            (["10.1.2.3"], "::ffff:10.1.2.3", true), (["10.1.2.3"], "64:ff9b::10.1.2.3", true), (["::1"], "::1", true),
            (["169.254.20.10"], "169.254.20.10", true), (["169.254.0.0/16"], "169.254.20.10", true),
            (["169.254.0.0/15"], "169.254.20.10", false), (["169.254.0.0/16"], "169.254.169.254", false),
            (["169.254.169.254"], "169.254.169.254", true), (["169.254.169.254"], "::ffff:169.254.169.254", true),
            (["169.254.169.252/30"], "169.254.169.254", false), (["fe80::/10"], "fe80::1", true),
            (["fd00:ec2::/32"], "fd00:ec2::254", false), (["fd00:ec2::254"], "fd00:ec2::254", true),
            (["100.64.0.0/10"], "100.100.100.200", false), (["64:ff9b:1::/48"], "64:ff9b:1::1", true),
            (["64:ff9b::/96"], "64:ff9b::10.0.0.1", false),
        ])
    func allow(allow: [String], address: String, isAllowed: Bool) throws {
        let policy = EgressPolicy(preset: .public, allow: try networks(allow))
        #expect(try objection(policy, address).map { _ in false } ?? true == isAllowed)
    }

    @Test(
        "deny outweighs everything, and sees through what an address is wrapped in",
        arguments: [
            (["10.0.0.0/8"], "10.0.0.1"), (["0.0.0.0/0"], "1.1.1.1"), (["::/0"], "2606:4700::1111"),
            (["10.0.0.1"], "::ffff:10.0.0.1"), (["10.0.0.1"], "64:ff9b::10.0.0.1"), (["10.0.0.1"], "2002:a00:1::"),
            (["1.1.1.1"], "::1.1.1.1"), (["64:ff9b::/96"], "64:ff9b::1.1.1.1"),
        ])
    func deny(deny: [String], address: String) throws {
        for allow in [[], deny, ["0.0.0.0/0", "::/0"]] {
            #expect(try objection(EgressPolicy(allow: try networks(allow), deny: try networks(deny)), address) != nil)
        }
    }

    @Test(
        "an objection names the address and the rule",
        arguments: [
            ("127.0.0.1", "egress does not allow 127.0.0.1: 127.0.0.0/8 is loopback"),
            ("::ffff:127.0.0.1", "egress does not allow 127.0.0.1: 127.0.0.0/8 is loopback"),
            ("169.254.169.254", "egress does not allow 169.254.169.254: 169.254.169.254/32 is a metadata address"),
            ("8.8.8.8", "egress does not allow 8.8.8.8: deny 8.8.0.0/16"),
            (
                "64:ff9b::10.0.0.1",
                "egress does not allow 64:ff9b::a00:1 (for 10.0.0.1): 10.0.0.0/8 is private"
            ),
        ])
    func words(address: String, objection: String) throws {
        let policy = EgressPolicy(preset: .public, deny: try networks(["8.8.0.0/16"]))
        #expect(try self.objection(policy, address) == objection)
    }
}
