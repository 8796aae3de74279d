// Where a backend may be: judges the IP address that a connection is about to be made to.

/// Which addresses a backend may be reached at. What decides, in this order:
///
/// 1. `deny`: an address in one of these networks is denied.
/// 2. What is denied everywhere: link-local and metadata addresses, and those that are none to connect to. Only an
///    `allow` entry that lies within the rule's own network outweighs it, so that a wide `allow` opens none of them by
///    accident: `169.254.169.254/32` must be named to be reached.
/// 3. `allow`: an address in one of these networks is allowed.
/// 4. The preset.
///
/// An IPv6 address that carries an IPv4 address must pass as that one, too.
package struct EgressPolicy: Sendable, Hashable {
    package enum Preset: String, Sendable, CaseIterable {
        /// Loopback and private networks are allowed, and the Internet.
        case sidecar
        /// The Internet alone.
        case `public`
    }

    package var preset: Preset
    package var allow: [IPNetwork]
    package var deny: [IPNetwork]

    package init(preset: Preset = .sidecar, allow: [IPNetwork] = [], deny: [IPNetwork] = []) {
        self.preset = preset
        self.allow = allow
        self.deny = deny
    }

    /// Why no connection may be made to an address, naming address and rule; nil when it may.
    package func objection(to address: IPAddress) -> String? {
        let address = address.canonical
        if let rule = rule(against: address) { return "egress does not allow \(address): \(rule)" }
        for inner in address.carried {
            if let rule = rule(against: inner) { return "egress does not allow \(address) (for \(inner)): \(rule)" }
        }
        return nil
    }

    private func rule(against address: IPAddress) -> String? {
        if let network = deny.first(where: { $0.contains(address) }) { return "deny \(network)" }
        let allowing = allow.filter { $0.contains(address) }
        for rule in Rule.everywhere where rule.network.contains(address) {
            guard allowing.contains(where: { $0.lies(within: rule.network) }) else { return rule.description }
        }
        guard preset == .public, allowing.isEmpty else { return nil }
        return Rule.notPublic.first { $0.network.contains(address) }?.description
    }
}

extension IPAddress {
    /// The IPv4 addresses that an IPv6 address leads to by translation or tunnel: a gateway on the way, which Relay
    /// does not know of, may take a packet there.
    fileprivate var carried: [IPAddress] {
        guard case .v6(let value) = self, value > 1 else { return [] }
        let low = UInt32(truncatingIfNeeded: value)
        switch value >> 32 {
        // IPv4-compatible (RFC 4291 §2.5.5.1), IPv4-translated (RFC 7915, RFC 2765 §2.1), NAT64 (RFC 6052 §2.1)
        case 0, 0xFFFF_0000, 0x0064_FF9B << 64: return [.v4(low)]
        default: break
        }
        switch value >> 96 {
        // Teredo: the server, and the client with its bits inverted (RFC 4380 §4).
        case 0x2001_0000: return [.v4(UInt32(truncatingIfNeeded: value >> 64)), .v4(~low)]
        // 6to4 (RFC 3056 §2)
        case 0x2002_0000...0x2002_FFFF: return [.v4(UInt32(truncatingIfNeeded: value >> 80))]
        default: return []
        }
    }
}

/// A network that a policy denies by itself, and what it is.
private struct Rule: CustomStringConvertible {
    let network: IPNetwork
    let name: String

    var description: String { "\(network) is \(name)" }

    /// Denied by every preset.
    static let everywhere: [Rule] = [
        // Cloud metadata and credentials. Within link-local: AWS, Azure, Google and others; ECS tasks; EKS pods. On
        // addresses of other kinds: the same over IPv6 (AWS, EKS, Google), Alibaba, Azure's platform, Oracle.
        v4(169, 254, 169, 254, 32, "a metadata address"), v4(169, 254, 170, 2, 32, "a metadata address"),
        v4(169, 254, 170, 23, 32, "a metadata address"), v4(100, 100, 100, 200, 32, "a metadata address"),
        v4(168, 63, 129, 16, 32, "a metadata address"), v4(192, 0, 0, 192, 32, "a metadata address"),
        v6([0xFD00, 0xEC2, 0, 0, 0, 0, 0, 0x254], 128, "a metadata address"),
        v6([0xFD00, 0xEC2, 0, 0, 0, 0, 0, 0x23], 128, "a metadata address"),
        v6([0xFD20, 0xCE, 0, 0, 0, 0, 0, 0x254], 128, "a metadata address"),
        // IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), each with its own RFC.
        v4(169, 254, 0, 0, 16, "link-local"),  // RFC 3927
        v4(0, 0, 0, 0, 8, "no address to connect to"),  // RFC 791 §3.2; Linux takes 0.0.0.0 for this host
        v4(224, 0, 0, 0, 4, "multicast"),  // RFC 5771
        v4(255, 255, 255, 255, 32, "broadcast"),  // RFC 919
        v6([], 128, "no address to connect to"),  // RFC 4291 §2.5.2; taken for this host like 0.0.0.0
        v6([0xFE80], 10, "link-local"),  // RFC 4291 §2.5.6
        v6([0xFF00], 8, "multicast"),  // RFC 4291 §2.7
        v6([0x100], 64, "discarded"),  // RFC 6666
        // Any IPv4 address, at a place that only the network knows (RFC 8215).
        v6([0x64, 0xFF9B, 1], 48, "a local translation prefix"),
    ]

    /// Denied by the preset `public`: what the registries do not call globally reachable.
    static let notPublic: [Rule] = [
        v4(127, 0, 0, 0, 8, "loopback"),  // RFC 1122 §3.2.1.3
        v4(10, 0, 0, 0, 8, "private"), v4(172, 16, 0, 0, 12, "private"), v4(192, 168, 0, 0, 16, "private"),  // RFC 1918
        v4(100, 64, 0, 0, 10, "shared by carriers"),  // RFC 6598
        v4(192, 0, 0, 0, 24, "for protocols"),  // RFC 6890
        v4(192, 0, 2, 0, 24, "for documentation"), v4(198, 51, 100, 0, 24, "for documentation"),  // RFC 5737
        v4(203, 0, 113, 0, 24, "for documentation"),
        v4(192, 88, 99, 0, 24, "for 6to4 relays"),  // RFC 7526
        v4(198, 18, 0, 0, 15, "for benchmarks"),  // RFC 2544
        v4(240, 0, 0, 0, 4, "reserved"),  // RFC 1112 §4
        v6([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),  // RFC 4291 §2.5.3
        v6([0xFC00], 7, "private"),  // RFC 4193
        v6([0xFEC0], 10, "site-local"),  // RFC 3879
        v6([0x100, 0, 0, 1], 64, "a placeholder"),  // RFC 9780
        v6([0x2001], 23, "for protocols"),  // RFC 2928
        v6([0x2001, 0xDB8], 32, "for documentation"), v6([0x3FFF], 20, "for documentation"),  // RFC 3849, RFC 9637
        v6([0x5F00], 16, "for segment routing"),  // RFC 9602
    ]

    private static func v4(_ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: UInt32, _ length: Int, _ name: String) -> Rule {
        Rule(network: .init(containing: .v4(a << 24 | b << 16 | c << 8 | d), prefixLength: length), name: name)
    }

    /// - Parameter groups: those that the address begins with; the rest is zero.
    private static func v6(_ groups: [UInt128], _ length: Int, _ name: String) -> Rule {
        let value = groups.enumerated().reduce(UInt128(0)) { $0 | $1.element << UInt128(112 - 16 * $1.offset) }
        return Rule(network: .init(containing: .v6(value), prefixLength: length), name: name)
    }
}
