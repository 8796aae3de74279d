// Which file systems can hold a queue.

import Testing

@testable import SQLiteQueue

@Suite("FileSystemKind")
struct FileSystemKindTests {
    @Test(
        "A network file system is refused",
        arguments: [
            "nfs", "nfs4", "cifs", "smb3", "afs", "ceph", "lustre", "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs",
        ])
    func network(typeName: String) {
        #expect(FileSystemKind(typeName: typeName) == .network)
    }

    @Test(
        "What shows a container the disk of its host is accepted with a warning",
        arguments: ["9p", "virtiofs", "fuse", "fuse.bindfs"])
    func shared(typeName: String) {
        #expect(FileSystemKind(typeName: typeName) == .shared)
    }

    @Test("A local file system is accepted", arguments: ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk"])
    func local(typeName: String) {
        #expect(FileSystemKind(typeName: typeName) == .local)
    }

    @Test(
        "The type is found by the device, with and without optional fields",
        arguments: [(8, 2, "ext4"), (0, 45, "nfs4"), (4099, 4101, "xfs"), (0, 99, nil)] as [(UInt64, UInt64, String?)])
    func typeName(major: UInt64, minor: UInt64, expected: String?) {
        let mounts = """
            21 1 8:2 / / rw,relatime shared:1 master:2 - ext4 /dev/sda2 rw
            40 21 0:45 /a-b /mnt rw,noatime - nfs4 server:/export rw
            41 21 4099:4101 / /data rw - xfs /dev/nvme rw
            a line that is none
            """
        // As makedev(3) packs them.
        let device = minor & 0xFF | (major & 0xFFF) << 8 | (minor & ~0xFF) << 12 | (major & ~0xFFF) << 32
        #expect(FileSystemKind.typeName(ofDevice: device, in: mounts) == expected)
    }

    @Test("The file system of the root directory has a type")
    func root() {
        #expect(FileSystemKind.typeName(at: "/") != nil)
    }
}
