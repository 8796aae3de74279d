// What differs between two configurations, and what of it a running gateway cannot take over.

package import RelayCore
import YAML

/// The step from one configuration to the next. Names keys, never values.
package struct ConfigurationChange: Sendable, Equatable {
    /// Every key with another value, in the order of the file: `slack.app_token`, `backends.orders.timeout`,
    /// `routes.deploys.match`. What is new or gone is named as a whole (`backends.audit`); another order of the routes is
    /// `routes`. Empty: the two say the same.
    package private(set) var keys: [String]
    /// Those of `keys` that cannot change while the gateway runs.
    package private(set) var fixed: [String]
    package private(set) var apps: Names<AppName>
    package private(set) var backends: Names<BackendName>

    /// What became of things with names, each list in the order of its file.
    package struct Names<Name: Sendable & Equatable>: Sendable, Equatable {
        package var added: [Name] = []
        /// There before and after, with other values.
        package var changed: [Name] = []
        package var removed: [Name] = []

        package init(added: [Name] = [], changed: [Name] = [], removed: [Name] = []) {
            self.added = added
            self.changed = changed
            self.removed = removed
        }
    }

    /// - Parameter old: as the gateway runs. What its queue was opened with stands in `queue.limits`.
    package init(from old: Configuration, to new: Configuration) {
        let shown = Self.differences(old.shown(.whole), new.shown(.whole), at: [])
        let unrecorded = old.queue.limits.backendsWithoutRecords
        let records = new.backends.filter { $0.recordsPayloads == unrecorded.contains($0.name) }
            .map { "backends.\($0.name).\(Backend.Key.recordPayloads.rawValue)" }
        fixed = shown.filter(Self.isFixed) + records
        keys = shown + records.filter { !shown.contains($0) }
        apps = Self.names(old.apps, new.apps, \.name)
        backends = Self.names(old.backends, new.backends, \.name)
    }

    /// Why a reload is refused, a sentence for each key; empty when it is not.
    package var refusals: [String] { fixed.map { "\($0) cannot change while Relay runs: it needs a restart" } }

    /// What is opened once, at the start.
    private static func isFixed(_ key: String) -> Bool {
        let parts = key.split(separator: ".").map(String.init)
        switch parts.first {
        case "queue", "health", "admin", "alarms": return true
        case "log": return parts.last == "format"
        default: return false
        }
    }

    private static func names<Thing: Equatable, Name: Hashable>(
        _ old: [Thing], _ new: [Thing], _ name: (Thing) -> Name
    ) -> Names<Name> {
        let before = Dictionary(old.map { (name($0), $0) }) { first, _ in first }
        let after = Set(new.map(name))
        return Names(
            added: new.map(name).filter { before[$0] == nil },
            changed: new.filter { thing in before[name(thing)].map { $0 != thing } ?? false }.map(name),
            removed: old.map(name).filter { !after.contains($0) })
    }
}

// MARK: - Trees

extension ConfigurationChange {
    /// The paths at which two trees differ. Lists of things with names are compared by name, other lists as a whole.
    private static func differences(_ old: YAMLNode, _ new: YAMLNode, at path: [String]) -> [String] {
        guard old.content != new.content else { return [] }
        guard let before = old.members, let after = new.members else { return [path.joined(separator: ".")] }
        let known = Dictionary(before.map { ($0.key, $0.value) }) { first, _ in first }
        var found: [String] = []
        for (key, value) in after {
            if let other = known[key] {
                found += differences(other, value, at: path + [key])
            } else {
                found.append((path + [key]).joined(separator: "."))
            }
        }
        let remaining = Set(after.map(\.key))
        found += before.map(\.key).filter { !remaining.contains($0) }.map { (path + [$0]).joined(separator: ".") }
        // Neither new, nor gone, nor other: in another order.
        return found.isEmpty || isReordered(before.map(\.key), after.map(\.key)) && path.first == "routes"
            ? [path.joined(separator: ".")] + found : found
    }

    private static func isReordered(_ old: [String], _ new: [String]) -> Bool {
        old.filter(new.contains) != new.filter(old.contains)
    }
}

extension YAMLNode {
    /// Of a mapping its entries; of a list of mappings with a `name` these, by name; else nil.
    fileprivate var members: [(key: String, value: YAMLNode)]? {
        switch content {
        case .scalar: return nil
        case .mapping(let entries): return entries.map { ($0.key, $0.value) }
        case .sequence(let items):
            var members: [(key: String, value: YAMLNode)] = []
            for item in items {
                guard case .mapping(let entries) = item.content,
                    case .scalar(let name)? = entries.first(where: { $0.key == "name" })?.value.content
                else { return nil }
                members.append((name.text, item))
            }
            return members
        }
    }
}
