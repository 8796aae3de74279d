// What a program takes when it does nothing: memory, processor, and how soon it dials.

import Foundation

struct Footprint: Codable {
    let program: String
    /// Of relay's executable; nil: another program.
    let strippedBinaryBytes: Int?
    /// From the start of the process to its first call of apps.connections.open; median, jitter 0.
    let firstDialMilliseconds: Double
    /// With two connections, 10 s after they came up.
    let memory: MemoryUse
    /// Of one core, over those 10 s.
    let cpuPercent: Double

    init(of program: Program, starts: Int, in bench: Bench) throws {
        self.program = program.name
        strippedBinaryBytes = program.name.hasPrefix("relay") ? try Self.strippedSize(of: bench.relay, in: bench) : nil
        var dials: [Double] = []
        for _ in 1..<starts {
            let (scene, milliseconds) = try Self.start(program, in: bench)
            dials.append(milliseconds)
            scene.stop()
        }
        let (scene, milliseconds) = try Self.start(program, in: bench)
        defer { scene.stop() }
        dials.append(milliseconds)
        firstDialMilliseconds = dials.sorted()[dials.count / 2]
        sleep(2)
        let before = try scene.cpu()
        sleep(10)
        cpuPercent = (try scene.cpu() - before) / .seconds(10) * 100
        memory = try scene.memory()
    }

    private static func start(_ program: Program, in bench: Bench) throws -> (Scene, milliseconds: Double) {
        let scene = try Scene(program, under: .idle, in: bench, preload: false)
        do {
            let dialedAt = try scene.awaitConnections()
            return (scene, Double(dialedAt - scene.startedAt) / 1e6)
        } catch {
            scene.stop()
            throw error
        }
    }

    /// The size of a copy without symbols.
    private static func strippedSize(of binary: URL, in bench: Bench) throws -> Int {
        let copy = try bench.makeDirectory().appendingPathComponent("relay")
        try run("strip", ["-o", copy.path, binary.path])
        return try copy.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
    }
}
