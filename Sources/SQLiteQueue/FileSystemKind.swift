// Whether a file system can hold a queue: a database on a network file system is damaged sooner or later.

import CPosix
import Foundation

/// What is known of the file system under a path. SQLite's write-ahead log needs shared memory and honest locks, which
/// network file systems do not give (https://www.sqlite.org/wal.html, "does not work over a network filesystem").
enum FileSystemKind: Equatable, Sendable {
    case local
    /// Refused.
    case network
    /// Shared by a host with a container or virtual machine (9p, virtiofs, FUSE of an unknown sort): accepted with a
    /// warning, because gVisor, Kata, WSL and desktop container tools show local disks this way, and nothing tells them
    /// from a remote one.
    case shared

    /// - Parameter typeName: as the kernel names it in `/proc/self/mountinfo`; `fuse.` is followed by the program that
    ///   serves it. The name is used and not the magic number of statfs(2), in which all of FUSE is one.
    init(typeName: String) {
        let network: Set = [
            "nfs", "nfs4", "cifs", "smb3", "smbfs", "smb2", "ncpfs", "ncp", "afs", "kafs", "auristorfs", "coda", "ceph",
            "lustre", "gpfs", "pvfs2", "orangefs", "beegfs", "beegfs_nodev", "panfs", "glusterfs", "davfs", "wekafs",
        ]
        let networkPrograms: Set = [
            "sshfs", "glusterfs", "ceph", "ceph-fuse", "s3fs", "s3ql", "goofys", "mountpoint-s3", "gcsfuse", "blobfuse",
            "blobfuse2", "rclone", "juicefs", "JuiceFS", "davfs", "davfs2", "curlftpfs", "seaweedfs", "moosefs", "mfs",
            "lizardfs", "hdfs", "smbnetfs", "google-drive-ocamlfuse", "nfs-ganesha", "cvmfs2",
        ]
        if network.contains(typeName) {
            self = .network
        } else if typeName.hasPrefix("fuse.") {
            self = networkPrograms.contains(String(typeName.dropFirst(5))) ? .network : .shared
        } else {
            self = ["9p", "virtiofs", "fuse", "vboxsf", "prl_fs", "fakeowner"].contains(typeName) ? .shared : .local
        }
    }

    /// The type of the file system that holds an existing path; nil when the system does not say.
    static func typeName(at path: String) -> String? {
        var status = relay_file_status()
        guard relay_path_status(path, &status) == 0,
            let mounts = try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
        else { return nil }
        return typeName(ofDevice: status.device, in: mounts)
    }

    /// The type of the file system on a device, from the text of `/proc/self/mountinfo` (proc_pid_mountinfo(5): the
    /// third field is `major:minor`, the first one after ` - ` is the type).
    static func typeName(ofDevice device: UInt64, in mounts: String) -> String? {
        // As makedev(3) packs them.
        let major = device >> 8 & 0xFFF | device >> 32 & 0xFFFF_F000
        let minor = device & 0xFF | device >> 12 & 0xFFFF_FF00
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 2, fields[2] == "\(major):\(minor)", let dash = fields.firstIndex(of: "-"),
                dash + 1 < fields.count
            else { continue }
            return String(fields[dash + 1])
        }
        return nil
    }
}
