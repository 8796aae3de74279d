// Child tasks that begin before their parent goes on.

extension DiscardingTaskGroup {
    /// Adds a child task that runs here and now, up to its first suspension, where the platform can: what is begun in order
    /// reaches actors in order, and what can be done at once is not queued behind everything else.
    package mutating func addTaskNow(_ operation: sending @escaping @isolated(any) () async -> Void) {
        if #available(macOS 26, *) {
            addImmediateTask(operation: operation)
        } else {
            addTask(operation: operation)
        }
    }
}
