// The parser of libyaml behind a Swift face: bytes in, events out. All use of libyaml is in this file.

import CYAML

/// One step through a document (YAML 1.1 §3.1; libyaml's `yaml_event_t`).
struct YAMLEvent {
    var position: YAMLPosition
    var content: Content

    enum Content {
        case streamStart, streamEnd, documentStart, documentEnd
        case scalar(YAMLScalar)
        case sequenceStart, sequenceEnd, mappingStart, mappingEnd
        /// Something that we do not read; the text names it in the plural.
        case unsupported(String)
    }
}

/// Owns one libyaml parser and the bytes it reads.
struct YAMLEventStream: ~Copyable {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    /// libyaml keeps a pointer to its input (`yaml_parser_set_input_string`), so the bytes live as long as the parser.
    private let input: UnsafeMutableBufferPointer<UInt8>

    /// The bytes must be UTF-8; libyaml checks them as it goes.
    init(_ bytes: ArraySlice<UInt8>) throws(YAMLError) {
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        guard yaml_parser_initialize(parser) == 1 else {
            parser.deallocate()
            throw YAMLError(.outOfMemory, at: .start, "no memory for the parser")
        }
        let input = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
        _ = input.initialize(from: bytes)
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, input.baseAddress, input.count)
        self.parser = parser
        self.input = input
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
        input.deallocate()
    }

    /// The next event; not to be called again after `.streamEnd` or an error.
    mutating func next() throws(YAMLError) -> YAMLEvent {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw failure() }
        defer { yaml_event_delete(&event) }
        return YAMLEvent(position: YAMLPosition(event.start_mark), content: .init(event))
    }

    private func failure() -> YAMLError {
        let state = parser.pointee
        let problem = state.problem.map { String(cString: $0) } ?? "cannot be parsed"
        switch state.error {
        case YAML_MEMORY_ERROR:
            return YAMLError(.outOfMemory, at: .start, "no memory to parse this")
        case YAML_READER_ERROR:
            return YAMLError(.encoding, at: position(ofByte: state.problem_offset), problem)
        default:
            // Of what begins there and does not end the problem may be told lines later.
            let start = YAMLPosition(state.context_mark)
            let context = state.context.map { "\(String(cString: $0)) at \(start): " } ?? ""
            return YAMLError(.syntax, at: YAMLPosition(state.problem_mark), context + problem)
        }
    }

    /// The reader tells its problems by byte offset; its marks run ahead of them.
    private func position(ofByte offset: Int) -> YAMLPosition {
        let before = input.prefix(offset)
        let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        let isContinuation = { (byte: UInt8) in byte & 0b1100_0000 == 0b1000_0000 }
        return YAMLPosition(
            line: 1 + before.count { $0 == UInt8(ascii: "\n") },
            column: 1 + before[lineStart...].count { !isContinuation($0) })
    }
}

extension YAMLPosition {
    /// libyaml counts from 0.
    fileprivate init(_ mark: yaml_mark_t) {
        self.init(line: Int(clamping: mark.line) + 1, column: Int(clamping: mark.column) + 1)
    }
}

extension YAMLEvent.Content {
    fileprivate init(_ event: yaml_event_t) {
        switch event.type {
        case YAML_STREAM_START_EVENT: self = .streamStart
        case YAML_STREAM_END_EVENT: self = .streamEnd
        case YAML_DOCUMENT_START_EVENT: self = .documentStart
        case YAML_DOCUMENT_END_EVENT: self = .documentEnd
        case YAML_SEQUENCE_END_EVENT: self = .sequenceEnd
        case YAML_MAPPING_END_EVENT: self = .mappingEnd
        case YAML_ALIAS_EVENT: self = .unsupported("aliases (`*name`)")
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            self =
                Self.unsupported(anchor: scalar.anchor, tag: scalar.tag)
                ?? .scalar(
                    YAMLScalar(String(decoding: bytes, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
                )
        case YAML_SEQUENCE_START_EVENT:
            let sequence = event.data.sequence_start
            self = Self.unsupported(anchor: sequence.anchor, tag: sequence.tag) ?? .sequenceStart
        case YAML_MAPPING_START_EVENT:
            let mapping = event.data.mapping_start
            self = Self.unsupported(anchor: mapping.anchor, tag: mapping.tag) ?? .mappingStart
        default:
            self = .unsupported("events of this type")
        }
    }

    private static func unsupported(anchor: UnsafeMutablePointer<UInt8>?, tag: UnsafeMutablePointer<UInt8>?) -> Self? {
        if anchor != nil { return .unsupported("anchors (`&name`)") }
        return tag == nil ? nil : .unsupported("tags (`!name`)")
    }
}
