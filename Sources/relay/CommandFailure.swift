// How a command ends when it does not end well.

import Curl

/// An end with a message on standard error and an exit code (README.md, "Operating it").
struct CommandFailure: Error {
    var code: Code
    var message: String
    /// Why there was no response, where that is it.
    var cause: CurlError.Code?

    /// The codes of sysexits.h where one fits.
    enum Code: Int32 {
        case failed = 1
        case usage = 2
        /// EX_UNAVAILABLE: no admin API is there, or it does not answer.
        case unreachable = 69
        /// EX_CANTCREAT: the store cannot be created or locked.
        case store = 73
        /// EX_NOPERM: Slack, or the admin API, refused the token.
        case refused = 77
        /// EX_CONFIG
        case configuration = 78
    }

    init(_ code: Code, _ message: String, cause: CurlError.Code? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// The same, naming what it is about.
    func about(_ subject: String) -> CommandFailure { CommandFailure(code, "\(subject): \(message)", cause: cause) }
}

/// Writes a line for people to standard error.
func printError(_ line: String) {
    ConsoleLog.write(line)
}
