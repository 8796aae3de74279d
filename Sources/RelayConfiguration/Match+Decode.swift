// The `match` of a route from the file, and which kinds of envelope it can be about.

import RelayCore

extension MatchKey: ConfigurationKey {}

extension Match {
    /// The keys of `match`: those that a condition can be about, and `not`.
    struct Key: ConfigurationKey {
        let rawValue: String

        static let not = Key("not")
        static let allCases = MatchKey.allCases.map { Key($0.rawValue) } + [not]

        private init(_ text: String) { rawValue = text }
        init(_ key: MatchKey) { rawValue = key.rawValue }
        init?(rawValue: String) {
            guard rawValue == "not" || MatchKey(rawValue: rawValue) != nil else { return nil }
            self.rawValue = rawValue
        }
    }

    /// nil, noted, when it is not a mapping.
    init?(decoding field: Field) {
        guard let section: Section<Key> = Section(field) else { return nil }
        let conditions = MatchKey.allCases.compactMap { Condition($0, in: section[Key($0)]) }
        let not: Section<MatchKey>? = section.section(.not)
        self.init(conditions, not: MatchKey.allCases.compactMap { key in Condition(key, in: not?[key]) })
    }
}

extension Match.Condition {
    /// nil when the key is absent, or (noted) has no pattern that is taken.
    fileprivate init?(_ key: MatchKey, in field: Field?) {
        guard let patterns = field?.read(.patterns(for: key)), !patterns.isEmpty else { return nil }
        self.init(key, patterns)
    }
}

extension Reader where Value == [Pattern] {
    fileprivate static func patterns(for key: MatchKey) -> Self {
        Self { field throws(Refusal) in try field.oneOrMore().compactMap { $0.read(.pattern(for: key)) } }
    }
}

extension Reader where Value == Pattern {
    /// A pattern that can match a value of its key: what can never match is a mistake, not a rule.
    fileprivate static func pattern(for key: MatchKey) -> Self {
        Reader<String>.line.then { text throws(Refusal) in
            let pattern = Pattern(text)
            switch key {
            case .kind where !Kind.allCases.contains(where: { pattern.matches($0.rawValue) }):
                throw Refusal(
                    "is no kind: \(Quote.value(text)); \(Hint(for: text, among: Kind.allCases.map(\.rawValue)))")
            case .command where !text.hasPrefix("/") && !text.hasPrefix("*"):
                throw Refusal("must begin with `/` as commands do, is \(Quote.value(text))")
            case .channel where text.hasPrefix("#"), .user where text.hasPrefix("@"):
                throw Refusal("must be an ID as Slack sends it (C… or U…), not a name, is \(Quote.value(text))")
            default:
                return pattern
            }
        }
    }
}

extension MatchKey {
    /// The kinds whose payloads can have a value for this key (slack-protocol.md §3.2 to §3.4).
    fileprivate var kinds: Set<Kind> {
        switch self {
        case .event: [.event]
        case .command: [.command]
        // Events have it, too: function_executed.
        case .callbackID: [.event, .interaction, .options]
        case .actionID, .blockID, .view: [.interaction, .options]
        case .kind, .channel, .user, .team, .enterprise, .app: Set(Kind.allCases)
        }
    }
}

extension Match {
    /// The kinds of envelope for which every condition can hold.
    var possibleKinds: Set<Kind> {
        var kinds = Set(Kind.allCases)
        for condition in conditions {
            kinds.formIntersection(condition.key.kinds)
            if condition.key == .kind { kinds = kinds.filter { condition.names($0) } }
        }
        for condition in negated where condition.key == .kind { kinds = kinds.filter { !condition.names($0) } }
        return kinds
    }
}

extension Match {
    /// The kinds for which it can hold and whose answer can be a message: commands, and of interactions the legacy
    /// messages, which have neither actions with ids, nor blocks, nor views (slack-protocol.md §3.4, §3.5).
    var messageKinds: Set<Kind> {
        let isOfBlocks = conditions.contains { [.actionID, .blockID, .view].contains($0.key) }
        return possibleKinds.intersection(isOfBlocks ? [.command] : [.command, .interaction])
    }
}

extension Match.Condition {
    func names(_ kind: Kind) -> Bool { patterns.contains { $0.matches(kind.rawValue) } }
}
