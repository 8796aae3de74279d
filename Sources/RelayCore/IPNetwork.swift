// A range of IP addresses in CIDR notation (RFC 4632 §3.1, RFC 4291 §2.3).

/// All addresses that begin with the same bits. Of one family: an IPv4 network holds no IPv6 address, and the other way
/// round; an IPv4-mapped address is an IPv4 address here (`IPAddress.canonical`).
package struct IPNetwork: Sendable, Hashable {
    /// The lowest address: all bits after the prefix are zero.
    package let address: IPAddress
    package let prefixLength: Int

    /// Reads `10.0.0.0/8`, `fd00::/8`, or one address, which stands for itself alone.
    package init(_ text: String) throws(IPNetworkError) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(String(first)) else { throw .notANetwork }
        var length = address.width
        if parts.count == 2 {
            guard let given = Int(parts[1]), String(given) == parts[1], (0...address.width).contains(given) else {
                throw .prefixLength(limit: address.width)
            }
            length = given
        }
        let network = IPNetwork(containing: address, prefixLength: length)
        guard network.address == address else { throw .hostBits(network) }
        guard case .v4(let v4) = address.canonical, case .v6 = address, length >= 96 else {
            self = network
            return
        }
        throw .mapped(IPNetwork(containing: .v4(v4), prefixLength: length - 96))
    }

    /// The network of this size that an address lies in.
    /// - Parameter prefixLength: 0 to the number of the address's bits.
    init(containing address: IPAddress, prefixLength: Int) {
        self.prefixLength = prefixLength
        self.address =
            switch address {
            case .v4(let value): .v4(value & ~(UInt32.max >> UInt32(prefixLength)))
            case .v6(let value): .v6(value & ~(UInt128.max >> UInt128(prefixLength)))
            }
    }

    package func contains(_ address: IPAddress) -> Bool {
        address.width == self.address.width
            && IPNetwork(containing: address, prefixLength: prefixLength).address == self.address
    }

    /// Whether every address of this network is one of the other, too.
    func lies(within other: IPNetwork) -> Bool { prefixLength >= other.prefixLength && other.contains(address) }
}

extension IPNetwork: CustomStringConvertible {
    package var description: String { "\(address)/\(prefixLength)" }
}

/// Why a text is no network; the description continues a sentence that begins with where it stands.
package enum IPNetworkError: Error, Equatable, CustomStringConvertible {
    case notANetwork
    case prefixLength(limit: Int)
    /// The address lies inside this network, and may have been meant alone.
    case hostBits(IPNetwork)
    /// An IPv4-mapped network; this is the IPv4 one.
    case mapped(IPNetwork)

    package var description: String {
        switch self {
        case .notANetwork: "must be an IP network such as 10.0.0.0/8 or fd00::/8, or an IP address"
        case .prefixLength(let limit): "must have a prefix length of 0 to \(limit) after the `/`"
        case .hostBits(let network): "has bits set after its prefix; the network is \(network)"
        case .mapped(let network): "must be written as the IPv4 network that it is, \(network)"
        }
    }
}
