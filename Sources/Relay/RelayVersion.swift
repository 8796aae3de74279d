// The version of this build.

package enum RelayVersion {
    /// By semantic versioning; `-dev` until it is released. CHANGELOG.md tells what is in it.
    package static let text = "0.1.0-dev"
}
