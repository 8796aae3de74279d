// The version of this build.

package enum RelayVersion {
    /// By semantic versioning; the first section of CHANGELOG.md tells what is in it.
    package static let text = "0.1.0"
}
