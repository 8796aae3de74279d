extension MemoryQueue: LateAnswerStore {
    package func store(_ answer: LateAnswer) async throws(QueueError) {}
    package func remove(_ id: LateAnswer.ID) async throws(QueueError) {}
    package func lateAnswer(_ id: LateAnswer.ID) async throws(QueueError) -> LateAnswer? { nil }
    package func lateAnswerIDs() async throws(QueueError) -> [LateAnswer.ID] { [] }
}
