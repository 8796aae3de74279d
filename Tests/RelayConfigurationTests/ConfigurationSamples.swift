// Configurations that the tests start from.

import RelayConfiguration
import RelayCore

enum Sample {
    /// The five lines of the design.
    static let minimal = """
        version: 1
        slack: { app_token: env:SLACK_APP_TOKEN, signing_secret: env:SLACK_SIGNING_SECRET }
        backends:
          legacy: { url: http://127.0.0.1:3000/slack/events }

        """

    /// Everything but backends and routes.
    static let head = "version: 1\nslack: { app_token: env:A, signing_secret: env:B }\n"

    static let slack = SlackConfiguration(
        appToken: .environment("SLACK_APP_TOKEN"), signingSecret: .environment("SLACK_SIGNING_SECRET"))

    static let backend = Backend(name: "legacy", url: "http://127.0.0.1:3000/slack/events")

    /// The minimal configuration with more keys in `slack`, more keys in the backend, and more sections below.
    static func with(slack: String = "", backend: String = "", _ sections: String = "") -> String {
        """
        version: 1
        slack:
          app_token: env:A
          signing_secret: env:B
        \(slack.indented(by: 2))
        backends:
          legacy:
            url: http://127.0.0.1:3000/
        \(backend.indented(by: 4))
        \(sections)
        """
    }
}

extension String {
    func indented(by spaces: Int) -> String {
        split(separator: "\n").map { String(repeating: " ", count: spaces) + $0 }.joined(separator: "\n")
    }
}

/// The messages of every mistake, in the order of the file; empty when there is none.
func mistakes(in yaml: String) -> [String] {
    do throws(ConfigurationErrors) {
        _ = try Configuration.parse(yaml: yaml, file: "relay.yaml")
        return []
    } catch {
        return error.errors.map(\.message)
    }
}
