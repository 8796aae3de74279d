// A page of metrics in the Prometheus text format 0.0.4, read as strictly as a scraper does.

/// https://prometheus.io/docs/instrumenting/exposition_formats/
struct MetricsPage {
    struct Sample: Equatable {
        /// With the suffix of a histogram's part.
        var name: String
        /// As written, without braces.
        var labels: String
        var value: Double
    }

    let text: String
    private(set) var help: [String: String] = [:]
    private(set) var types: [String: String] = [:]
    private(set) var samples: [Sample] = []
    /// What is wrong with the page, in its order.
    private(set) var problems: [String] = []

    init(text: String) {
        self.text = text
        var family = ""
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 3).map(String.init)
            if line.hasPrefix("# HELP "), words.count == 4 {
                family = words[2]
                if help.updateValue(words[3], forKey: family) != nil { problems.append("two HELP lines: \(family)") }
            } else if line.hasPrefix("# TYPE "), words.count == 4 {
                if words[2] != family { problems.append("TYPE without HELP: \(words[2])") }
                family = words[2]
                if types.updateValue(words[3], forKey: family) != nil { problems.append("two TYPE lines: \(family)") }
            } else if let sample = Sample(line), sample.belongs(to: family, type: types[family]) {
                samples.append(sample)
            } else {
                problems.append("no sample of \(family): \(line)")
            }
        }
    }

    /// Of the one series whose labels contain this text; nil when there is none.
    func value(_ name: String, _ label: String = "") -> Double? {
        samples.first { $0.name == name && (label.isEmpty || $0.labels.contains(label)) }?.value
    }
}

extension MetricsPage.Sample {
    /// `name value` or `name{labels} value`.
    fileprivate init?(_ line: Substring) {
        guard let blank = line.lastIndex(of: " "), let value = Double(line[line.index(after: blank)...]) else {
            return nil
        }
        let series = line[..<blank]
        let name = series.prefix { $0 != "{" }
        let rest = series[name.endIndex...]
        guard !name.isEmpty, name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }),
            rest.isEmpty || rest.hasPrefix("{") && rest.hasSuffix("\"}")
        else { return nil }
        self.init(name: String(name), labels: String(rest.dropFirst().dropLast()), value: value)
    }

    fileprivate func belongs(to family: String, type: String?) -> Bool {
        guard type == "histogram" else { return name == family && type != nil }
        return ["_bucket", "_sum", "_count"].contains { name == family + $0 }
    }
}
