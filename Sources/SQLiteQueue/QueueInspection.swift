// A look at a queue's place without opening the queue.

import CPosix
import Foundation
package import RelayCore

/// What can be said of `queue.path` before, or while, a gateway uses it. Nothing is created or changed.
package struct QueueInspection: Sendable, Equatable {
    /// Why a queue cannot be there; nil when it can.
    package var problem: QueueError?
    /// As the system names it (`ext4`, `9p`); nil where it does not say.
    package var fileSystem: String?
    /// Not known to be local: it may be another machine's.
    package var isShared: Bool
    /// Bytes that this user may still write there; nil where the system does not say.
    package var freeBytes: Int64?
    /// Of the database and its write-ahead log; 0 while there is none.
    package var usedBytes: Int64

    /// Looks at a path.
    package static func inspect(_ path: String) -> QueueInspection {
        guard let path = QueueFile.plainPath(path) else {
            let reason = errnoText()
            return .init(
                problem: .unusable("directory \(QueueFile.directory(of: path)) of queue.path: \(reason)"))
        }
        let directory = QueueFile.directory(of: path)
        var inspection = QueueInspection(fileSystem: FileSystemKind.typeName(at: directory))
        let kind = inspection.fileSystem.map { FileSystemKind(typeName: $0) } ?? .local
        inspection.isShared = kind == .shared
        inspection.freeBytes =
            (try? FileManager.default.attributesOfFileSystem(forPath: directory))?[.systemFreeSize]
            .flatMap { ($0 as? NSNumber)?.int64Value }
        for suffix in ["", "-wal"] {
            var status = relay_file_status()
            if relay_path_status(path + suffix, &status) == 0 { inspection.usedBytes += status.size }
        }
        inspection.problem = problem(path, in: directory, kind)
        return inspection
    }

    private init(
        problem: QueueError? = nil, fileSystem: String? = nil, isShared: Bool = false, freeBytes: Int64? = nil,
        usedBytes: Int64 = 0
    ) {
        self.problem = problem
        self.fileSystem = fileSystem
        self.isShared = isShared
        self.freeBytes = freeBytes
        self.usedBytes = usedBytes
    }

    private static func problem(_ path: String, in directory: String, _ kind: FileSystemKind) -> QueueError? {
        if kind == .network { return .unusable("\(path) is on a network file system: use a local disk") }
        if access(directory, W_OK | X_OK) != 0 { return .unusable("directory \(directory): \(errnoText())") }
        for file in [path, path + ".lock"] where access(file, F_OK) == 0 && access(file, R_OK | W_OK) != 0 {
            return .unusable("\(file): \(errnoText())")
        }
        // Who holds it has looked at the file, and may be this process.
        if let holder = FileLock.holder(of: path + ".lock") { return .locked(path + ".lock", by: holder) }
        do {
            try QueueFile.check(path)
            return nil
        } catch {
            return error
        }
    }
}
