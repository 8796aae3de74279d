"""Each relay.yaml in deploy/: `relay config check` takes it, and the secrets that it names are given to the process."""

import os
import re
import unittest

from support import DEPLOY, kustomized, read_yaml, relay_container, run, systemd_values

CONFIGURATIONS = sorted(DEPLOY.rglob("relay.yaml"))
BINARY = os.environ.get("RELAY_BINARY", "")


def secrets(path, kind):
    """The names after `env:` or `file:` in a relay.yaml."""
    return set(re.findall(rf"\b{kind}:([^\s,}}]+)", path.read_text()))


class ConfigurationsTests(unittest.TestCase):
    def test_there_is_one_for_each_deployment(self):
        folders = [str(path.parent.relative_to(DEPLOY)) for path in CONFIGURATIONS]
        self.assertEqual(folders, ["compose", "kubernetes/sidecar", "kubernetes/standalone", "systemd"])

    @unittest.skipUnless(BINARY, "no build of relay: scripts/test makes one, or set RELAY_BINARY")
    def test_relay_takes_them(self):
        for path in CONFIGURATIONS:
            with self.subTest(path=str(path.relative_to(DEPLOY))):
                # Without secrets: these are on the machine that the file is for. The tests below look for them.
                code, output = run(BINARY, "config", "check", "--without-secrets", "--config", path)
                self.assertEqual(code, 0, output)

    @unittest.skipUnless(BINARY, "no build of relay: scripts/test makes one, or set RELAY_BINARY")
    def test_a_mistake_would_be_found(self):
        code, output = run(BINARY, "config", "check", "--without-secrets", "--config", os.devnull)
        self.assertEqual(code, 78, output)


class SecretsTests(unittest.TestCase):
    def test_compose_gives_them(self):
        path = DEPLOY / "compose/relay.yaml"
        given = read_yaml(DEPLOY / "compose/compose.yaml")["services"]["relay"]["environment"]
        self.assertEqual(secrets(path, "env"), set(given))
        self.assertEqual(secrets(path, "file"), set())

    def test_the_sidecar_gives_them(self):
        path = DEPLOY / "kubernetes/sidecar/relay.yaml"
        container, _ = relay_container("sidecar")
        self.assertEqual(secrets(path, "env"), {each["name"] for each in container["env"]})
        self.assertEqual(secrets(path, "file"), set())

    def test_the_statefulset_mounts_them(self):
        path = DEPLOY / "kubernetes/standalone/relay.yaml"
        container, pod = relay_container("standalone")
        [volume] = [each["name"] for each in pod["volumes"] if "secret" in each]
        [mount] = [each["mountPath"] for each in container["volumeMounts"] if each["name"] == volume]
        self.assertEqual(secrets(path, "file"), {f"{mount}/app-token", f"{mount}/signing-secret"})
        self.assertEqual(secrets(path, "env"), set())

    def test_systemd_loads_them(self):
        unit = (DEPLOY / "systemd/relay.service").read_text()
        loaded = {
            "/run/credentials/relay.service/" + each.partition(":")[0] for each in systemd_values(unit, "LoadCredential")}
        self.assertEqual(secrets(DEPLOY / "systemd/relay.yaml", "file"), loaded)
        self.assertEqual(secrets(DEPLOY / "systemd/relay.yaml", "env"), set())

    def test_none_is_in_a_manifest(self):
        for overlay in ["sidecar", "standalone"]:
            self.assertNotIn("Secret", {each["kind"] for each in kustomized(overlay)})


if __name__ == "__main__":
    unittest.main()
