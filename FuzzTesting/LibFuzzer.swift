// The program: libFuzzer's driver on the entry that `RELAY_FUZZ_ENTRY` names
// (https://llvm.org/docs/LibFuzzer.html, "Using libFuzzer as a library").

import Foundation

private typealias Callback = @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
private typealias Arguments = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<Arguments>, _ callback: Callback
) -> CInt

private let entry = FuzzEntry(rawValue: ProcessInfo.processInfo.environment["RELAY_FUZZ_ENTRY"] ?? "")

@main
enum Main {
    static func main() {
        guard entry != nil else {
            let known = FuzzEntry.allCases.map(\.rawValue).joined(separator: ", ")
            FileHandle.standardError.write(Data("RELAY_FUZZ_ENTRY must be one of \(known)\n".utf8))
            exit(2)
        }
        var count = CommandLine.argc
        var arguments = CommandLine.unsafeArgv
        exit(
            runDriver(&count, &arguments) { data, count in
                fuzzerTestOneInput(data, count)
            })
    }
}

/// Under the name that the library's own `main`, which is not used, links against.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzerTestOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    entry?.run(Array(UnsafeBufferPointer(start: data, count: count)))
    return 0
}
