// swift-tools-version: 6.2
// The targets of Relay in their layers: an import points down, never sideways between edges (docs/architecture.md).

import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

/// For the targets that decide and do no I/O: the compiler also asks for a word at each unsafe construct.
let pureSettings: [SwiftSetting] = settings + [.strictMemorySafety()]

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")
let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOHTTP1", package: "swift-nio"),
    .product(name: "NIOWebSocket", package: "swift-nio"),
    .product(name: "NIOSSL", package: "swift-nio-ssl"),
]
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")

let package = Package(
    name: "relay",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "relay", targets: ["relay"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // Top
        .executableTarget(
            name: "relay",
            dependencies: [
                "AdminServer", "Curl", "Relay", "RelayConfiguration", "RelayCore", "Signing",
                "SlackHTTP", "SlackSimulator", "SocketMode", "WebhookSender", lifecycle, logging,
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),
        .target(
            name: "Relay",
            dependencies: [
                "AdminServer", "CPosix", "Curl", "RelayConfiguration", "RelayCore", "SQLiteQueue", "Signing",
                "SlackConnector",
                "SlackHTTP", "SocketMode", "WebhookSender", lifecycle, logging, metrics,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings),

        // Edges
        .target(
            name: "SlackConnector",
            dependencies: [
                "Curl", "RelayCore", "SocketMode", logging, metrics,
                .product(name: "NIOExtras", package: "swift-nio-extras"),
            ] + nio,
            swiftSettings: settings),
        .target(
            name: "WebhookSender",
            dependencies: ["Curl", "RelayCore", "Signing", "SlackHTTP"],
            swiftSettings: settings),
        .target(
            name: "SQLiteQueue",
            dependencies: [
                "CPosix", "RelayCore", logging, .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ],
            swiftSettings: settings),
        .target(
            name: "AdminServer",
            dependencies: [
                "RelayCore", lifecycle, logging, .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            swiftSettings: settings),
        .target(name: "RelayConfiguration", dependencies: ["CPosix", "RelayCore", "YAML"], swiftSettings: settings),
        .target(
            name: "SlackSimulator",
            dependencies: ["RelayCore", lifecycle, logging] + nio,
            swiftSettings: settings),

        // Protocol
        .target(name: "SocketMode", dependencies: ["RelayCore"], swiftSettings: pureSettings),
        .target(name: "SlackHTTP", dependencies: ["RelayCore"], swiftSettings: pureSettings),

        // Ground
        .target(name: "RelayCore", swiftSettings: pureSettings),
        .target(name: "Signing", dependencies: ["COpenSSL"], swiftSettings: settings),
        .target(name: "YAML", dependencies: ["CYAML"], swiftSettings: settings),
        .target(name: "Curl", dependencies: ["CCurl"], swiftSettings: settings),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CPosix"),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),

        // Tests
        .systemLibrary(name: "CSpawn", path: "Tests/CSpawn"),
        .target(
            name: "RelayTestKit", dependencies: ["CSpawn", "RelayCore"] + nio, path: "Tests/RelayTestKit",
            swiftSettings: settings),
        .testTarget(name: "RelayCoreTests", dependencies: ["RelayCore", "RelayTestKit"], swiftSettings: settings),
        .testTarget(
            name: "SocketModeTests", dependencies: ["RelayCore", "RelayTestKit", "SocketMode"], swiftSettings: settings),
        .testTarget(
            name: "SlackHTTPTests", dependencies: ["RelayCore", "SlackHTTP", "RelayTestKit"], swiftSettings: settings),
        .testTarget(name: "SigningTests", dependencies: ["Signing"], swiftSettings: settings),
        .testTarget(name: "YAMLTests", dependencies: ["YAML"], swiftSettings: settings),
        .testTarget(name: "CurlTests", dependencies: ["Curl", "RelayTestKit"] + nio, swiftSettings: settings),
        .testTarget(
            name: "WebhookSenderTests",
            dependencies: ["Curl", "RelayCore", "RelayTestKit", "Signing", "SlackHTTP", "WebhookSender"] + nio,
            exclude: ["Golden"], swiftSettings: settings),
        .testTarget(
            name: "SQLiteQueueTests",
            dependencies: [
                "RelayCore", "RelayTestKit", "SQLiteQueue", logging, .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "RelayConfigurationTests", dependencies: ["RelayConfiguration", "RelayCore", "YAML"],
            swiftSettings: settings),
        .testTarget(
            name: "SlackConnectorTests",
            dependencies: [
                "Curl", "RelayCore", "RelayTestKit", "SlackConnector", "SocketMode", logging, metrics,
                .product(name: "MetricsTestKit", package: "swift-metrics"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
            ] + nio,
            swiftSettings: settings),
        .testTarget(
            name: "SlackSimulatorTests",
            dependencies: ["RelayCore", "RelayTestKit", "SlackSimulator", "SocketMode", lifecycle, logging] + nio,
            swiftSettings: settings),
        .testTarget(
            name: "AdminServerTests",
            dependencies: [
                "AdminServer", "Curl", "RelayCore", "YAML", lifecycle, logging, metrics,
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "RelayTests",
            dependencies: [
                "AdminServer", "Relay", "RelayConfiguration", "RelayCore", "RelayTestKit", logging, metrics,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "RelaySimulationTests",
            dependencies: [
                "Relay", "RelayCore", "RelayTestKit", "SlackConnector", "SocketMode", "WebhookSender", logging, metrics,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "RelayCommandTests",
            dependencies: [
                "AdminServer", "Curl", "relay", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "RelayProgramTests",
            dependencies: [
                "RelayCore", "RelayTestKit", "Signing", "SlackSimulator", "SocketMode", lifecycle, logging,
            ] + nio,
            exclude: ["Python"], swiftSettings: settings),
    ]
)

// Only where it is asked for: it links with libFuzzer (scripts/fuzz).
if Context.environment["RELAY_FUZZ"] != nil {
    package.products.append(.executable(name: "relay-fuzz", targets: ["FuzzTesting"]))
    package.targets.append(
        .executableTarget(
            name: "FuzzTesting",
            dependencies: ["AdminServer", "RelayConfiguration", "RelayCore", "SlackHTTP", "SocketMode", "YAML"],
            path: "FuzzTesting",
            exclude: ["Corpus"], swiftSettings: settings))
}
