"""The alert rules and the dashboard: right for Prometheus, about metrics that exist, and with somewhere to read on."""

import json
import re
import tempfile
import unittest
from pathlib import Path

import yaml

from support import DEPLOY, ROOT, headings, read_yaml, run

ALERTS = DEPLOY / "prometheus/alerts.yml"
RULES = [rule for group in read_yaml(ALERTS)["groups"] for rule in group["rules"]]
TESTS = read_yaml(DEPLOY / "prometheus/alerts_test.yml")["tests"]
# In which the replicas of one deployment differ, or its releases: of Prometheus, and of Pods where all of their labels are copied.
REPLICA_LABELS = {
    "instance", "pod", "node", "pod_template_hash", "controller_revision_hash", "statefulset_kubernetes_io_pod_name",
    "apps_kubernetes_io_pod_index", "app_kubernetes_io_version", "helm_sh_chart"}
DASHBOARD = json.loads((DEPLOY / "grafana/dashboard.json").read_text())


def metrics_of_relay():
    """The names in MetricNames.swift, which is the list that /metrics takes its HELP lines from."""
    source = (ROOT / "Sources/Relay/MetricNames.swift").read_text()
    return set(re.findall(r'"(relay_[a-z_]+)"', source))


def metrics_in(expression):
    """The metrics of Relay that an expression names; those of a histogram by the histogram's name."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\brelay_[a-z_]+", expression)}


def expressions_of_dashboard():
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


class AlertsTests(unittest.TestCase):
    def test_prometheus_takes_the_rules(self):
        code, output = run("promtool", "check", "rules", "--lint-fatal", ALERTS)
        self.assertEqual(code, 0, output)

    def test_they_fire_when_they_should(self):
        code, output = run("promtool", "test", "rules", DEPLOY / "prometheus/alerts_test.yml")
        self.assertEqual(code, 0, output)

    def test_each_has_a_test_that_it_fires_and_one_that_it_does_not(self):
        fires, quiet = set(), set()
        for case in [case for test in TESTS for case in test["alert_rule_test"]]:
            (fires if case.get("exp_alerts") else quiet).add(case["alertname"])
        names = {rule["alert"] for rule in RULES}
        self.assertEqual(fires, names)
        self.assertEqual(quiet, names)

    def test_each_says_how_bad_and_what(self):
        for rule in RULES:
            with self.subTest(alert=rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ["critical", "warning"])
                self.assertTrue(rule["annotations"]["summary"])

    def test_each_has_its_heading_in_the_operations_page(self):
        anchors = headings(ROOT / "docs/operations.md")
        for rule in RULES:
            with self.subTest(alert=rule["alert"]):
                self.assertEqual(rule["annotations"]["runbook"], f"docs/operations.md#{rule['alert'].lower()}")
                self.assertIn(rule["alert"].lower(), anchors)

    def test_the_operations_page_has_no_alert_that_is_none(self):
        written = re.findall(r"^### (Relay\w+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
        self.assertEqual(sorted(written), sorted(rule["alert"] for rule in RULES))

    def test_they_take_replicas_together_and_never_deployments(self):
        lists = 0
        for rule in RULES:
            with self.subTest(alert=rule["alert"]):
                self.assertNotRegex(rule["expr"], r"\bby \(", "`by` throws the labels away that tell deployments apart")
                for labels in re.findall(r"without \(([^)]*)\)", rule["expr"]):
                    labels = set(re.split(r",\s*", labels))
                    if labels & REPLICA_LABELS:
                        self.assertLessEqual(REPLICA_LABELS, labels)
                        lists += 1
        self.assertGreater(lists, 10)

    def test_their_metrics_exist(self):
        for rule in RULES:
            with self.subTest(alert=rule["alert"]):
                self.assertLessEqual(metrics_in(rule["expr"]), metrics_of_relay())


class DashboardTests(unittest.TestCase):
    def test_its_metrics_exist(self):
        variables = [each["query"]["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
        self.assertGreater(len(expressions_of_dashboard()), 20)
        for expression in expressions_of_dashboard() + variables:
            with self.subTest(expression=expression):
                found = metrics_in(expression)
                self.assertTrue(found)
                self.assertLessEqual(found, metrics_of_relay())

    def test_its_variables_choose_a_deployment(self):
        for expression in expressions_of_dashboard():
            with self.subTest(expression=expression):
                chosen = re.findall(r"\brelay_[a-z_]+\{job=~\"\$job\", namespace=~\"\$namespace\"[,}]", expression)
                self.assertEqual(len(chosen), len(re.findall(r"\brelay_[a-z_]+", expression)))
        self.assertLessEqual({"job", "namespace"}, {each["name"] for each in DASHBOARD["templating"]["list"]})

    def test_it_shows_every_metric_that_an_alert_is_about(self):
        shown = set().union(*map(metrics_in, expressions_of_dashboard()))
        for rule in RULES:
            self.assertLessEqual(metrics_in(rule["expr"]), shown, rule["alert"])

    def test_prometheus_can_read_its_expressions(self):
        """Each as a recording rule, with what Grafana puts in for its variables."""
        rules = [
            {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
            for number, expression in enumerate(expressions_of_dashboard())]
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "rules.yml"
            file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
            code, output = run("promtool", "check", "rules", file)
        self.assertEqual(code, 0, output)

    def test_panels_are_told_apart(self):
        identifiers = [panel["id"] for panel in DASHBOARD["panels"]]
        self.assertEqual(len(identifiers), len(set(identifiers)))

    def test_panels_do_not_overlap(self):
        taken = set()
        for panel in DASHBOARD["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y) for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])}
            self.assertLessEqual(place["x"] + place["w"], 24)
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells


if __name__ == "__main__":
    unittest.main()
