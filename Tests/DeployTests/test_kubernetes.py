"""The manifests of deploy/kubernetes: valid by Kubernetes' schemas, and true to the relay.yaml in them."""

import functools
import unittest

import kubernetes_validate

from support import configuration_file, kustomized, manifest, port, read_yaml, relay_container, seconds

OVERLAYS = ["sidecar", "sidecar-without-shell", "standalone"]
# 1.29 is the first with native sidecars switched on, so the oldest that the manifests are for.
VERSIONS = ["1.29", kubernetes_validate.latest_version()]


class ManifestsTests(unittest.TestCase):
    def test_they_are_valid(self):
        for overlay in OVERLAYS:
            for version in VERSIONS:
                for each in kustomized(overlay):
                    with self.subTest(overlay=overlay, kind=each["kind"], version=version):
                        # strict: a field that the version does not have is an error.
                        kubernetes_validate.validate(each, version, strict=True)

    def test_a_misspelt_field_is_found(self):
        wrong = manifest("standalone", "PodDisruptionBudget") | {"spec": {"maxUnavailible": 1}}
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)

    def test_all_is_in_one_namespace(self):
        for overlay in OVERLAYS:
            namespaces = {each["metadata"].get("namespace") for each in kustomized(overlay) if each["kind"] != "Namespace"}
            self.assertEqual(len(namespaces), 1, overlay)

    def test_images_have_a_version(self):
        for overlay in OVERLAYS:
            _, pod = relay_container(overlay)
            for container in pod["containers"] + pod.get("initContainers", []):
                tag = container["image"].rpartition(":")[2]
                self.assertRegex(tag, r"^\d+\.\d+\.\d+$", container["name"])

    def test_selectors_find_the_pods(self):
        labels = manifest("standalone", "StatefulSet")["spec"]["template"]["metadata"]["labels"].items()
        for selector in [
            manifest("standalone", "StatefulSet")["spec"]["selector"]["matchLabels"],
            manifest("standalone", "Service")["spec"]["selector"],
            manifest("standalone", "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
            manifest("standalone", "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        ]:
            self.assertLessEqual(selector.items(), labels)


def for_each_overlay(test):
    """A test of Relay's container in both overlays: gets the container, the Pod's spec and relay.yaml."""

    @functools.wraps(test)
    def each(self):
        for overlay in OVERLAYS:
            with self.subTest(overlay=overlay):
                test(self, *relay_container(overlay), read_yaml(configuration_file(overlay)))

    return each


class RelayContainerTests(unittest.TestCase):
    @for_each_overlay
    def test_it_is_restricted(self, container, pod, _):
        context = pod.get("securityContext", {}) | container["securityContext"]
        self.assertIs(context["runAsNonRoot"], True)
        self.assertGreater(context["runAsUser"], 0)
        self.assertIs(context["readOnlyRootFilesystem"], True)
        self.assertIs(context["allowPrivilegeEscalation"], False)
        self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
        self.assertEqual(context["seccompProfile"], {"type": "RuntimeDefault"})

    @for_each_overlay
    def test_liveness_and_start_ask_healthz(self, container, _, configuration):
        ports = {each["name"]: each["containerPort"] for each in container["ports"]}
        for probe in ["startupProbe", "livenessProbe"]:
            self.assertEqual(container[probe]["httpGet"]["path"], "/healthz")
            self.assertEqual(ports[container[probe]["httpGet"]["port"]], port(configuration["health"]["listen"]))

    @for_each_overlay
    def test_the_drain_ends_before_the_kill(self, _, pod, configuration):
        self.assertGreater(pod["terminationGracePeriodSeconds"], seconds(configuration["slack"]["drain_timeout"]) + 10)

    @for_each_overlay
    def test_the_admin_api_is_on_loopback(self, _, __, configuration):
        self.assertTrue(configuration["admin"]["listen"].startswith("127.0.0.1:"))

    def test_metrics_are_scraped_where_they_are(self):
        for overlay, kind in [("sidecar", "Deployment"), ("standalone", "StatefulSet")]:
            annotations = manifest(overlay, kind)["spec"]["template"]["metadata"]["annotations"]
            health = read_yaml(configuration_file(overlay))["health"]["listen"]
            self.assertEqual(annotations["prometheus.io/scrape"], "true")
            self.assertEqual(int(annotations["prometheus.io/port"]), port(health))

    def test_the_configuration_is_the_mounted_file(self):
        for overlay in OVERLAYS:
            with self.subTest(overlay=overlay):
                container, pod = relay_container(overlay)
                config_map = manifest(overlay, "ConfigMap")
                [volume] = [each for each in pod["volumes"] if "configMap" in each]
                self.assertEqual(volume["configMap"]["name"], config_map["metadata"]["name"])
                [mount] = [each for each in container["volumeMounts"] if each["name"] == volume["name"]]
                # The image's CMD reads /etc/relay/relay.yaml.
                self.assertEqual(mount["mountPath"], "/etc/relay")
                text = configuration_file(overlay).read_text()
                self.assertEqual(config_map["data"], {"relay.yaml": text})


def longest_drain(container):
    """What `relay drain --timeout` of the preStop says."""
    command = container["lifecycle"]["preStop"]["exec"]["command"]
    return int(command[command.index("--timeout") + 1])


class SidecarTests(unittest.TestCase):
    def test_it_is_a_native_sidecar_without_a_readiness_probe(self):
        container, pod = relay_container("sidecar")
        self.assertIn(container, pod["initContainers"])
        self.assertEqual(container["restartPolicy"], "Always")
        self.assertNotIn("readinessProbe", container)

    def test_it_acknowledges_events_when_delivered_and_needs_no_disk(self):
        configuration = read_yaml(configuration_file("sidecar"))
        self.assertEqual(configuration["queue"]["driver"], "memory")
        self.assertEqual([each["acknowledge"] for each in configuration["routes"]], ["delivered"])
        self.assertEqual(configuration["slack"]["wait_for_backends"], "60s")

    def test_a_rollout_stays_within_slacks_ten_connections(self):
        spec = manifest("sidecar", "Deployment")["spec"]
        slack = read_yaml(configuration_file("sidecar"))["slack"]
        most = (spec["replicas"] + spec["strategy"]["rollingUpdate"]["maxSurge"]) * slack["connections"]
        self.assertEqual(slack["expected_connections"], most)
        self.assertLessEqual(most, 10)

    def test_without_a_shell_relay_drains_itself_while_the_app_sleeps(self):
        container, pod = relay_container("sidecar-without-shell")
        [app] = pod["containers"]
        admin = read_yaml(configuration_file("sidecar"))["admin"]["listen"]
        most = longest_drain(container)
        self.assertEqual(
            container["lifecycle"]["preStop"]["exec"]["command"],
            ["relay", "drain", "--timeout", str(most), "--admin-url", f"http://{admin}"])
        self.assertEqual(app["lifecycle"]["preStop"], {"sleep": {"seconds": most}})
        self.assertNotIn("preStop", relay_container("sidecar")[0].get("lifecycle", {}))

    def test_the_drain_has_the_time_it_may_take(self):
        container, pod = relay_container("sidecar-without-shell")
        most = longest_drain(container)
        drain = seconds(read_yaml(configuration_file("sidecar"))["slack"]["drain_timeout"])
        self.assertGreater(most, drain)
        self.assertGreater(pod["terminationGracePeriodSeconds"], most + drain)


class StandaloneTests(unittest.TestCase):
    def test_each_replica_has_a_queue_of_its_own(self):
        container, _ = relay_container("standalone")
        [claim] = manifest("standalone", "StatefulSet")["spec"]["volumeClaimTemplates"]
        [mount] = [each for each in container["volumeMounts"] if each["name"] == claim["metadata"]["name"]]
        path = read_yaml(configuration_file("standalone"))["queue"]["path"]
        self.assertTrue(path.startswith(mount["mountPath"] + "/"), path)

    def test_all_connections_are_expected(self):
        replicas = manifest("standalone", "StatefulSet")["spec"]["replicas"]
        slack = read_yaml(configuration_file("standalone"))["slack"]
        self.assertEqual(slack["expected_connections"], replicas * slack["connections"])

    def test_a_rollout_waits_for_a_connection(self):
        container, _ = relay_container("standalone")
        self.assertEqual(container["readinessProbe"]["httpGet"]["path"], "/readyz")
        self.assertGreater(manifest("standalone", "StatefulSet")["spec"]["minReadySeconds"], 0)

    def test_one_replica_at_a_time_is_taken_away(self):
        self.assertEqual(manifest("standalone", "PodDisruptionBudget")["spec"]["maxUnavailable"], 1)

    def test_the_network_lets_through_what_the_configuration_needs(self):
        spec = manifest("standalone", "NetworkPolicy")["spec"]
        self.assertEqual(sorted(spec["policyTypes"]), ["Egress", "Ingress"])
        configuration = read_yaml(configuration_file("standalone"))
        [rule] = spec["ingress"]
        # Health alone: the Admin API is nobody's outside of the Pod.
        self.assertEqual([each["port"] for each in rule["ports"]], [port(configuration["health"]["listen"])])
        allowed = {each["port"] for rule in spec["egress"] for each in rule["ports"]}
        backends = {int(each["url"].split(":")[2].split("/")[0]) for each in configuration["backends"].values()}
        self.assertEqual(allowed, {53, 443} | backends)


if __name__ == "__main__":
    unittest.main()
