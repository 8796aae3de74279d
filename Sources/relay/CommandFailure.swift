// How a command ends when it does not end well.

/// An end with a message on standard error and an exit code (README.md, "Operating it").
struct CommandFailure: Error {
    var code: Code
    var message: String

    /// The codes of sysexits.h where one fits.
    enum Code: Int32 {
        case failed = 1
        case usage = 2
        /// EX_UNAVAILABLE: no admin API is there.
        case unreachable = 69
        /// EX_CANTCREAT: the store cannot be created or locked.
        case store = 73
        /// EX_NOPERM: Slack, or the admin API, refused the token.
        case refused = 77
        /// EX_CONFIG
        case configuration = 78
    }

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

/// Writes a line for people to standard error.
func printError(_ line: String) {
    ConsoleLog.write(line)
}
