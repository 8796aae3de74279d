// A route's `path` put into the URL of a backend.

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
