// A route's `path` put into the URL of a backend.

package import RelayCore

extension Backend {
    /// Where a delivery of a kind goes; nil when there is no URL for the kind.
    /// - Parameter path: the route's, in place of the URL's own.
    package func targetURL(for kind: Kind, path: String?) -> String? {
        url(for: kind).map { url in path.map { TargetURL.replacePath(of: url, with: $0) } ?? url }
    }
}

enum TargetURL {
    /// The URL with another path. Its query is kept unless the new path brings one; a fragment is dropped.
    static func replacePath(of url: String, with path: String) -> String {
        guard let scheme = url.firstRange(of: "://") else { return url }
        let host = url[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let rest = url[host.endIndex...].prefix { $0 != "#" }
        let query = path.contains("?") ? "" : rest.drop { $0 != "?" }
        return url[..<host.endIndex] + path + query
    }
}
