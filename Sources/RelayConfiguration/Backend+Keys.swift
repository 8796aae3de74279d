// The keys of a backend in the file.

import RelayCore

extension Backend {
    enum Key: String, ConfigurationKey {
        case url, urls
        case unixSocket = "unix_socket"
        case signing, timeout
        case connectTimeout = "connect_timeout"
        case maxInFlight = "max_in_flight"
        case maxWaiting = "max_waiting"
        case rateLimit = "rate_limit"
        case orderBy = "order_by"
        case orderBlockMax = "order_block_max"
        case retry
        case maxAge = "max_age"
        case circuitBreaker = "circuit_breaker"
        case tls, egress, proxy, headers
        case retryHeaders = "retry_headers"
        case userAgent = "user_agent"
        case recordPayloads = "record_payloads"
    }

    enum URLsKey: String, ConfigurationKey {
        case events, commands, interactions, options

        var kind: Kind {
            switch self {
            case .events: .event
            case .commands: .command
            case .interactions: .interaction
            case .options: .options
            }
        }
    }

    enum RateLimitKey: String, ConfigurationKey {
        case perSecond = "per_second"
        case burst
    }

    enum CircuitBreakerKey: String, ConfigurationKey {
        case consecutive
        case probeAfter = "probe_after"
        case probeMax = "probe_max"
    }

    enum TLSKey: String, ConfigurationKey {
        case ca
        case clientCert = "client_cert"
        case clientKey = "client_key"
    }

    enum EgressKey: String, ConfigurationKey {
        case preset, allow, deny
    }

    enum RetryKey: String, ConfigurationKey {
        case schedule, jitter
        case retryAfterMax = "retry_after_max"
    }

    enum MaxAgeKey: String, ConfigurationKey {
        case event, command, interaction, options

        var kind: Kind {
            switch self {
            case .event: .event
            case .command: .command
            case .interaction: .interaction
            case .options: .options
            }
        }
    }
}
