// A first-in, first-out list with cheap operations at both ends.

/// Elements leave in the order they came. Amortised constant time per operation.
package struct FIFO<Element> {
    private var elements: [Element?] = []
    private var head = 0

    package var count: Int { elements.count - head }
    package init() {}

    package var first: Element? { head < elements.count ? elements[head] : nil }

    package var isEmpty: Bool { count == 0 }

    package mutating func append(_ element: Element) {
        elements.append(element)
    }

    package mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        let element = elements[head]
        elements[head] = nil
        head += 1
        // Moving the rest up costs as much as it frees only when more than half of the storage has been left behind.
        if head == elements.count || head > 512 && head * 2 > elements.count {
            elements.removeFirst(head)
            head = 0
        }
        return element
    }

    package mutating func removeAll() -> [Element] {
        defer {
            elements = []
            head = 0
        }
        return elements[head...].compactMap { $0 }
    }
}

extension FIFO: Sendable where Element: Sendable {}
