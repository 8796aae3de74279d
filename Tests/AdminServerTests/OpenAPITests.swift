// docs/openapi.yaml says what the server does: the same routes, the same codes.

import Foundation
import HTTPTypes
import Testing
import YAML

@testable import AdminServer

@Suite("docs/openapi.yaml")
struct OpenAPITests {
    private static let document: YAMLNode = {
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "docs/openapi.yaml")
        let text = (try? Data(contentsOf: file)) ?? Data()
        return (try? YAMLNode(parsing: Array(text))) ?? .string("")
    }()

    @Test("has every route of the table, and no other")
    func routes() {
        let methods = ["get", "post", "delete", "put", "patch", "head", "options"]
        let documented = Self.document["paths"].entries.flatMap { path in
            path.value.entries.map(\.key).filter(methods.contains).map { "\($0.uppercased()) \(path.key)" }
        }
        #expect(documented.sorted() == AdminRoute.all.map { "\($0.method.rawValue) \($0.path)" }.sorted())
        #expect(Self.document["servers"].items.first?["url"].scalar == API.root)
    }

    @Test("has every code of a problem, and no other")
    func codes() {
        let codes = Self.document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].items.map(\.scalar)
        #expect(codes == Problem.Code.allCases.map(\.rawValue))
    }

    @Test("no object takes what it does not name, so that a forgotten key is found")
    func closed() {
        for schema in Self.document["components"]["schemas"].entries
        where schema.value["type"].scalar == "object" {
            #expect(schema.value["additionalProperties"].scalar == "false", "\(schema.key)")
            let names = schema.value["properties"].entries.map(\.key)
            for required in schema.value["required"].items.compactMap(\.scalar) {
                #expect(names.contains(required), "\(schema.key): \(required)")
            }
        }
    }
}

extension YAMLNode {
    fileprivate var entries: [(key: String, value: YAMLNode)] {
        guard case .mapping(let entries) = content else { return [] }
        return entries.map { ($0.key, $0.value) }
    }

    fileprivate subscript(key: String) -> YAMLNode { entries.first { $0.key == key }?.value ?? .string("") }

    fileprivate var items: [YAMLNode] {
        guard case .sequence(let items) = content else { return [] }
        return items
    }

    fileprivate var scalar: String? {
        guard case .scalar(let scalar) = content else { return nil }
        return scalar.text
    }
}
