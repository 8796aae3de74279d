// The shapes of the admin API: what it sends, as docs/openapi.yaml says. Shared with the commands that speak to it.

/// What goes over the wire as JSON: keys in snake_case, times in RFC 3339 (UTC, to the millisecond), durations in
/// milliseconds. A key whose value is nil is absent.
package enum API {
    /// Where all of it lies.
    package static let root = "/api/v1"

    /// A part of a list.
    package struct Page<Item: Codable & Sendable>: Codable, Sendable {
        package var items: [Item]
        /// `cursor` of the next page; absent in the last one.
        package var next: String?

        package init(items: [Item], next: String? = nil) {
            self.items = items
            self.next = next
        }
    }

    /// What is wrong (RFC 9457).
    package struct Problem: Codable, Sendable, Equatable {
        /// `urn:relay:problem:` and the code.
        package var type: String
        package var title: String
        package var status: Int
        /// What a caller may switch on.
        package var code: String
        /// For people: names the thing, the value and the limit.
        package var detail: String
        /// One entry per mistake, where there can be several.
        package var errors: [Mistake]?

        package struct Mistake: Codable, Sendable, Equatable {
            /// The parameter or key, or the place in the configuration; absent where there is none.
            package var name: String?
            package var message: String

            package init(name: String?, message: String) {
                self.name = name
                self.message = message
            }
        }
    }
}

// MARK: The gateway

extension API {
    package struct Status: Codable, Sendable, Equatable {
        package var version: String
        package var startedAt: String
        package var state: State
        /// What `/readyz` says is wrong; empty: ready.
        package var problems: [String]
        package var apps: [App]
        /// In the order of the configuration.
        package var backends: [Backend]
        package var queue: Queue
        package var configuration: Loaded

        package enum State: String, Codable, Sendable {
            case running
            /// Takes nothing more, and finishes what is in flight.
            case draining
            /// Does nothing any more; waits to be ended.
            case drained
        }

        package struct App: Codable, Sendable, Equatable {
            package var name: String
            /// Connections that had their hello and are not being replaced.
            package var connected: Int
            /// As many as the configuration wants.
            package var wanted: Int
            /// Connections that Slack counts for the app, those of others included: its number at the last hello, less those
            /// of ours that ended since.
            package var reported: Int?
            /// Slack's word for why it lets this app not connect.
            package var refused: String?
            /// The last attempt that failed, or connection that ended unasked, since all were connected; nil for none.
            package var lastFailure: String?
            package var lastFailureAt: String?
            /// Of an attempt that waits for time to pass; nil when there is none.
            package var nextAttemptAt: String?

            package init(
                name: String, connected: Int, wanted: Int, reported: Int?, refused: String?, lastFailure: String? = nil,
                lastFailureAt: String? = nil, nextAttemptAt: String? = nil
            ) {
                self.name = name
                self.connected = connected
                self.wanted = wanted
                self.reported = reported
                self.refused = refused
                self.lastFailure = lastFailure
                self.lastFailureAt = lastFailureAt
                self.nextAttemptAt = nextAttemptAt
            }
        }

        package struct Queue: Codable, Sendable, Equatable {
            /// It does all that it is asked for.
            package var isWritable: Bool
            /// What it does not do; absent while it does everything.
            package var failing: [Failing]?
            /// Deliveries that are not settled.
            package var waiting: Int
            package var oldestReceivedAt: String?
            /// Dead letters kept.
            package var dead: Int
            /// Removed by `when_full: drop_oldest` since the start.
            package var dropped: Int

            package struct Failing: Codable, Sendable, Equatable {
                /// `store`, `settle`, `lease` or `prune`.
                package var operation: String
                package var detail: String

                package init(operation: String, detail: String) {
                    self.operation = operation
                    self.detail = detail
                }
            }

            package init(
                isWritable: Bool, failing: [Failing]? = nil, waiting: Int, oldestReceivedAt: String?, dead: Int,
                dropped: Int
            ) {
                self.isWritable = isWritable
                self.failing = failing
                self.waiting = waiting
                self.oldestReceivedAt = oldestReceivedAt
                self.dead = dead
                self.dropped = dropped
            }
        }

        package init(
            version: String, startedAt: String, state: State, problems: [String], apps: [App], backends: [Backend],
            queue: Queue, configuration: Loaded
        ) {
            self.version = version
            self.startedAt = startedAt
            self.state = state
            self.problems = problems
            self.apps = apps
            self.backends = backends
            self.queue = queue
            self.configuration = configuration
        }
    }

    /// Which configuration holds.
    package struct Loaded: Codable, Sendable, Equatable {
        /// Counts up from 1 with each reload that changed something.
        package var generation: Int
        /// The same for the same file; hexadecimal.
        package var fingerprint: String
        package var loadedAt: String
        /// What stands in the file now and could not be taken over; absent when it was, or was not tried.
        package var refused: Refused?

        package struct Refused: Codable, Sendable, Equatable {
            package var at: String
            /// For people, one per mistake, with its place in the file where it has one; no secret.
            package var mistakes: [String]

            package init(at: String, mistakes: [String]) {
                self.at = at
                self.mistakes = mistakes
            }
        }

        package init(generation: Int, fingerprint: String, loadedAt: String, refused: Refused? = nil) {
            self.generation = generation
            self.fingerprint = fingerprint
            self.loadedAt = loadedAt
            self.refused = refused
        }
    }

    /// What came of a reload that was not refused.
    package struct Reloaded: Codable, Sendable, Equatable {
        package var generation: Int
        package var fingerprint: String
        /// The keys that differ from the configuration before; none: the file says what held already.
        package var changed: [String]

        package init(_ loaded: Loaded, changed: [String]) {
            generation = loaded.generation
            fingerprint = loaded.fingerprint
            self.changed = changed
        }
    }

    package struct Configuration: Codable, Sendable, Equatable {
        package var generation: Int
        package var fingerprint: String
        package var loadedAt: String
        /// Every key with the value that holds; secrets are `***`.
        package var yaml: String

        package init(_ loaded: Loaded, yaml: String) {
            generation = loaded.generation
            fingerprint = loaded.fingerprint
            loadedAt = loaded.loadedAt
            self.yaml = yaml
        }
    }

    package struct Connection: Codable, Sendable, Equatable {
        package var app: String
        /// From 0.
        package var slot: Int
        /// As in the log; absent for an empty slot.
        package var id: String?
        package var state: String
        /// Since when in this state.
        package var since: String
        /// The Slack host behind it.
        package var host: String?
        /// Connections of the app that Slack counted at its hello.
        package var reported: Int?

        package init(
            app: String, slot: Int, id: String?, state: String, since: String, host: String?, reported: Int?
        ) {
            self.app = app
            self.slot = slot
            self.id = id
            self.state = state
            self.since = since
            self.host = host
            self.reported = reported
        }
    }

    /// How many connections are being replaced.
    package struct Refreshing: Codable, Sendable, Equatable {
        package var refreshing: Int
    }
}

// MARK: Backends

extension API {
    package struct Backend: Codable, Sendable, Equatable {
        package var name: String
        /// For events, or for the first kind that it has one for; without user and password.
        package var url: String
        package var unixSocket: String?
        /// `closed`, `open`, `half_open` or `paused`.
        package var state: String
        /// What waits for it is not attempted, however due.
        package var isHeld: Bool
        package var paused: Paused?
        /// When it is tried next; absent unless its breaker is open.
        package var probeDue: String?
        /// It asked to be left alone until then.
        package var retryAfter: String?
        package var waiting: Waiting
        package var oldestReceivedAt: String?
        /// Dead letters kept.
        package var dead: Int
        /// Since this process started.
        package var lastAcceptedAt: String?
        /// Absent when its last attempt was accepted, and when there was none.
        package var failing: Failing?

        package struct Paused: Codable, Sendable, Equatable {
            package var since: String
            /// `person`, or `gone`: it answered 410.
            package var cause: String

            package init(since: String, cause: String) {
                self.since = since
                self.cause = cause
            }
        }

        /// Deliveries that are not settled, by state.
        package struct Waiting: Codable, Sendable, Equatable {
            package var pending: Int
            package var scheduled: Int
            package var inFlight: Int
            package var held: Int

            package var total: Int { pending + scheduled + inFlight + held }

            package init(pending: Int, scheduled: Int, inFlight: Int, held: Int) {
                self.pending = pending
                self.scheduled = scheduled
                self.inFlight = inFlight
                self.held = held
            }
        }

        package struct Failing: Codable, Sendable, Equatable {
            /// The first failed attempt after the last accepted one.
            package var since: String
            /// Attempts since then, none of them accepted.
            package var attempts: Int
            /// Of the last one.
            package var reason: String

            package init(since: String, attempts: Int, reason: String) {
                self.since = since
                self.attempts = attempts
                self.reason = reason
            }
        }

        package init(
            name: String, url: String, unixSocket: String? = nil, state: String, isHeld: Bool, paused: Paused? = nil,
            probeDue: String? = nil, retryAfter: String? = nil, waiting: Waiting, oldestReceivedAt: String? = nil,
            dead: Int, lastAcceptedAt: String? = nil, failing: Failing? = nil
        ) {
            self.name = name
            self.url = url
            self.unixSocket = unixSocket
            self.state = state
            self.isHeld = isHeld
            self.paused = paused
            self.probeDue = probeDue
            self.retryAfter = retryAfter
            self.waiting = waiting
            self.oldestReceivedAt = oldestReceivedAt
            self.dead = dead
            self.lastAcceptedAt = lastAcceptedAt
            self.failing = failing
        }
    }

    /// What became of a signed `url_verification`.
    package struct BackendTest: Codable, Sendable, Equatable {
        /// It answered 200 with the challenge.
        package var isOk: Bool
        package var status: Int?
        package var challengeReturned: Bool
        package var durationMs: Int
        /// Why there is no response, or none that counts: as in an attempt.
        package var reason: String?
        package var detail: String?

        package init(
            isOk: Bool, status: Int?, challengeReturned: Bool, durationMs: Int, reason: String?, detail: String?
        ) {
            self.isOk = isOk
            self.status = status
            self.challengeReturned = challengeReturned
            self.durationMs = durationMs
            self.reason = reason
            self.detail = detail
        }
    }
}
