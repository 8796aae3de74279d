// What makes a gateway read its configuration again: SIGHUP, and another version of the file.

import Logging
import RelayConfiguration
import RelayCore
import ServiceLifecycle
import UnixSignals

/// Looks at the file once a second, in the portable way that also sees a symbolic link move to another file, as mounted
/// ConfigMaps do; and reloads at once at SIGHUP. A file that was refused is tried again once a minute.
struct ConfigurationWatch: Service {
    let source: ConfigurationSource
    let reloader: Reloader
    let clock: any RelayClock
    let logger: Logger

    private static let interval = Duration.seconds(1)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.takeSignals() }
                group.addTask { await self.look() }
            }
        }
    }

    private func takeSignals() async {
        for await _ in await UnixSignalsSequence(trapping: .sighup) {
            logger.info("SIGHUP: reading the configuration again")
            guard await reloader.reload(isToldByLog: true) == .unchanged else { continue }
            logger.notice("the configuration is as it was")
        }
    }

    private func look() async {
        var watch = FileWatch()
        while (try? await clock.sleep(for: Self.interval)) != nil {
            let isRefused = await reloader.refusal != nil
            if watch.looked(source.version(), isRefused: isRefused) { _ = await reloader.reload() }
        }
    }
}
