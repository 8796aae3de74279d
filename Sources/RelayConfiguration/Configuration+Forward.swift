// The configuration of `relay forward URL`, which has no file.

package import RelayCore
import YAML

extension Configuration {
    /// Everything to one URL: events are queued for it, commands, interactions and options get its answer. No port is
    /// opened, the first dial does not wait, and deliveries are kept in memory unless a path is given.
    /// - Parameters:
    ///   - url: of the backend, absolute, http or https.
    ///   - apiURL: another Slack, such as the simulator.
    ///   - queuePath: of a database file that keeps deliveries over restarts.
    /// - Throws: what the URL or the path must be. The error has no position, because there is no file.
    package static func forward(
        url: String, appToken: SecretReference = .environment("SLACK_APP_TOKEN"),
        signingSecret: SecretReference = .environment("SLACK_SIGNING_SECRET"),
        apiURL: String = SlackConfiguration.defaultAPIURL, queuePath: String? = nil
    ) throws(ConfigurationErrors) -> Configuration {
        var problems: [String] = []
        func value<Value>(_ name: String, _ text: String, _ reader: Reader<Value>) -> Value? {
            do throws(Refusal) {
                return try reader(text)
            } catch {
                problems.append("\(name) \(error.message)")
                return nil
            }
        }
        let backendURL = value("the URL", url, .backendURL)
        let slackURL = value("the URL of Slack's API", apiURL, .apiURL)
        if let objection = backendURL.flatMap({ EgressPolicy().objection(toHostOf: $0) }) {
            problems.append("the URL cannot be reached: \(objection)")
        }
        let path = queuePath.map { value("the path of the queue", $0, .line) }
        guard let backendURL, let slackURL, problems.isEmpty else {
            throw ConfigurationErrors(problems.map { ConfigurationError(file: "", line: 0, column: 0, message: $0) })
        }
        let backend = Backend(name: forwardBackendName, url: backendURL)
        return Configuration(
            apps: [
                SlackConfiguration(
                    appToken: appToken, signingSecret: signingSecret, startJitter: .zero, apiURL: slackURL)
            ],
            queue: path.flatMap { $0 }.map { QueueConfiguration(path: $0) } ?? QueueConfiguration(driver: .memory),
            backends: [backend],
            routes: [Route(name: defaultRouteName, to: [backend.name])],
            health: nil, admin: nil)
    }

    /// The name of the one backend of `forward`.
    package static let forwardBackendName: BackendName = "local"
}

extension Reader {
    /// Takes a value that stands in no file.
    fileprivate func callAsFunction(_ text: String) throws(Refusal) -> Value {
        try self(Field(path: "", node: .string(text), problems: Problems(file: "")))
    }
}
