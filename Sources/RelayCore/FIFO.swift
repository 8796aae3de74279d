// A first-in, first-out list with cheap operations at both ends.

/// Elements leave in the order they came. Amortised constant time per operation.
///
/// Inlinable, as `MinHeap` is: other modules get code for their own elements, where the generic one asks the runtime for
/// metadata at each call.
package struct FIFO<Element> {
    @usableFromInline var elements: [Element?] = []
    @usableFromInline var head = 0

    @inlinable package var count: Int { elements.count - head }
    @inlinable package init() {}

    @inlinable package var first: Element? { head < elements.count ? elements[head] : nil }

    @inlinable package var isEmpty: Bool { count == 0 }

    @inlinable package mutating func append(_ element: Element) {
        elements.append(element)
    }

    @inlinable package mutating func popFirst() -> Element? {
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

    @inlinable package mutating func removeAll() -> [Element] {
        defer {
            elements = []
            head = 0
        }
        return elements[head...].compactMap { $0 }
    }
}

extension FIFO: Sendable where Element: Sendable {}
