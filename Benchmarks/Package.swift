// swift-tools-version: 6.2
// The benchmark: load, backend and limit in C, each a process of its own, and the runner that compares relay with them.
// A package apart from relay, so that what it needs stays out of relay's build. Linux only (epoll, /proc).

import PackageDescription

let cSettings: [CSetting] = [
    .define("_GNU_SOURCE"),
    .enableWarning("all"),
    .enableWarning("extra"),
    .treatAllWarnings(as: .error),
]

let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// A program in C that speaks the runner's language on standard input and output.
func tool(_ name: String, libraries: [String] = []) -> Target {
    .executableTarget(
        name: name, dependencies: ["BenchmarkSupport"], cSettings: cSettings,
        linkerSettings: libraries.map { .linkedLibrary($0) })
}

let package = Package(
    name: "relay-benchmarks",
    products: [
        .executable(name: "runner", targets: ["runner"]),
        .library(name: "fsynccount", type: .dynamic, targets: ["fsynccount"]),
    ],
    targets: [
        .executableTarget(name: "runner", swiftSettings: swiftSettings),
        tool("slack-generator"),
        tool("http-backend"),
        tool("bare-poster", libraries: ["curl"]),
        tool("null-client"),
        .target(name: "fsynccount", publicHeadersPath: ".", cSettings: cSettings),
        .target(
            name: "BenchmarkSupport", cSettings: cSettings,
            linkerSettings: [.linkedLibrary("crypto")]),
    ]
)
