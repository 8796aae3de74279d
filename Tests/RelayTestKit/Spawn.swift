// Starts programs: posix_spawn(3). (Foundation's `Process` of Swift 6.3 reads past the end of a buffer while it looks for
// open descriptors, and now and then that ends the tests:
// https://github.com/swiftlang/swift-corelibs-foundation/pull/5472.)

internal import CSpawn
internal import Glibc

package struct SpawnError: Error, CustomStringConvertible {
    package let description: String
}

/// Starts a program with nothing to read, and with no descriptor of this process but the two.
/// - Parameters:
///   - executable: its path.
///   - environment: all of it.
///   - output: takes its standard output; nil: nobody does.
///   - errors: takes its standard error; nil: nobody does.
/// - Returns: its process id. Somebody must wait for its end.
package func spawn(
    _ executable: String, _ arguments: [String], environment: [String: String], output: Int32? = nil,
    errors: Int32? = nil
) throws -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (descriptor, source) in [(STDIN_FILENO, nil), (STDOUT_FILENO, output), (STDERR_FILENO, errors)] {
        if let source {
            posix_spawn_file_actions_adddup2(&actions, source, descriptor)
        } else {
            posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0)
        }
    }
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1)
    // The threads of Dispatch block signals, and a child has the mask of the thread that starts it.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var noSignals = sigset_t()
    sigemptyset(&noSignals)
    posix_spawnattr_setsigmask(&attributes, &noSignals)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

    let words = ([executable] + arguments).map { strdup($0) } + [nil]
    let variables = environment.map { strdup("\($0)=\($1)") } + [nil]
    defer { for text in words + variables { free(text) } }
    var pid: Int32 = 0
    let code = posix_spawn(&pid, executable, &actions, &attributes, words, variables)
    guard code == 0 else { throw SpawnError(description: "\(executable): \(String(cString: strerror(code)))") }
    return pid
}

/// Waits for the end of a program that `spawn` has started, once, and blocks the thread meanwhile.
/// - Returns: its exit code; 128 + the number of the signal that ended it.
package func waitForEnd(of pid: Int32) -> Int32 {
    var status: Int32 = 0
    while waitpid(pid, &status, 0) != pid { precondition(errno == EINTR, "waitpid(\(pid)): errno \(errno)") }
    let signal = status & 0x7f
    return signal == 0 ? status >> 8 & 0xff : 128 + signal
}
