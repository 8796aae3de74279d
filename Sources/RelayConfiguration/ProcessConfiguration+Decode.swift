// The sections `unrouted`, `health` and `log` from the file.

import RelayCore

extension UnroutedPolicy {
    init(decoding section: Section<Key>) {
        self.init()
        section.read(.event, into: &event, .choice)
        section.read(.others, into: &others, .choice)
    }
}

extension HealthConfiguration {
    /// nil for `listen: none`: no port is opened.
    static func decode(_ section: Section<Key>) -> HealthConfiguration? {
        var health: HealthConfiguration? = HealthConfiguration()
        section.read(.listen, into: &health, .orNone(.listenAddress(as: "0.0.0.0:9390")))
        return health
    }
}

extension LogConfiguration {
    init(decoding section: Section<Key>) {
        self.init()
        section.read(.level, into: &level, .choice)
        var word = FormatWord.auto
        section.read(.format, into: &word, .choice)
        format = word.format
    }

    /// What the file can say: the formats, and the word for the default.
    enum FormatWord: String, CaseIterable {
        case auto, json, text

        var format: Format? { Format(rawValue: rawValue) }
    }
}
