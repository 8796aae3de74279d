// The section `alarms`: whom to tell when something is wrong.

package import RelayCore

/// Where alarms are posted, and how often one is repeated.
package struct AlarmConfiguration: Sendable, Equatable {
    /// Absolute, http or https; nil: nobody is told.
    package var url: String?
    /// A secret of Standard Webhooks, `whsec_…`; there where `url` is.
    package var secret: SecretReference?
    /// Each cause is told at most once in this time: 1 minute to 7 days.
    package var repeatInterval: Duration

    package init(
        url: String? = nil, secret: SecretReference? = nil, repeatInterval: Duration = .seconds(3600)
    ) {
        self.url = url
        self.secret = secret
        self.repeatInterval = repeatInterval
    }

    enum Key: String, ConfigurationKey {
        case url, secret
        case repeatInterval = "repeat"
    }
}

extension AlarmConfiguration {
    init(decoding section: Section<Key>) {
        self.init()
        section.read(.url, into: &url, .orEmpty(.backendURL))
        secret = section.read(.secret, .secret)
        section.read(.repeatInterval, into: &repeatInterval, .duration(in: .minutes(1) ... .days(7)))
        if url != nil, section[.secret] == nil {
            section.note("alarms.secret is missing; alarms are signed with it: write env:NAME or file:/path")
        }
    }
}
