"""The unit of deploy/systemd: systemd finds nothing wrong with it, and little that it could do to the machine."""

import shutil
import tempfile
import unittest
from pathlib import Path

from support import DEPLOY, ROOT, read_yaml, run, seconds, systemd_values

UNIT = (DEPLOY / "systemd/relay.service").read_text()
# Of systemd's 100. What is left: sockets of the three families, the machine's network, and its file system to read.
MOST_EXPOSURE = 15


class UnitTests(unittest.TestCase):
    def setUp(self):
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)

    def unit_file(self, text):
        """The unit with a program that is there: systemd-analyze looks for the one in ExecStart."""
        program = self.directory / "relay"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        file = self.directory / "relay.service"
        file.write_text(text.replace("/usr/local/bin/relay", str(program)))
        return file

    def verify(self, text):
        """Exit code, and what is said of this unit: others of the machine may have their own faults."""
        code, output = run("systemd-analyze", "verify", "--man=no", self.unit_file(text))
        return code, [line for line in output.splitlines() if "relay.service" in line or str(self.directory) in line]

    def test_systemd_finds_nothing_wrong(self):
        self.assertEqual(self.verify(UNIT), (0, []))

    def test_a_misspelt_key_would_be_found(self):
        _, said = self.verify(UNIT.replace("ProtectHome=", "ProtectHomes="))
        self.assertTrue(any("ProtectHomes" in line for line in said), said)

    def test_it_is_exposed_little(self):
        command = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSURE}"]
        code, output = run(*command, self.unit_file(UNIT))
        self.assertEqual(code, 0, output)
        code, _ = run(*command, self.unit_file(UNIT.replace("CapabilityBoundingSet=\n", "").replace("DynamicUser=yes\n", "")))
        self.assertNotEqual(code, 0, "the threshold lets a unit with root's capabilities pass")

    def test_it_drains_before_the_kill(self):
        drain = seconds(read_yaml(DEPLOY / "systemd/relay.yaml")["slack"]["drain_timeout"])
        [stop] = systemd_values(UNIT, "TimeoutStopSec")
        self.assertGreater(int(stop), drain + 10)

    def test_a_person_is_needed_after_a_wrong_configuration(self):
        self.assertEqual(systemd_values(UNIT, "RestartPreventExitStatus"), ["2 78"])
        # As README.md says of them.
        readme = (ROOT / "README.md").read_text()
        self.assertIn("2 usage", readme)
        self.assertIn("78 configuration invalid", readme)

    def test_the_queue_is_in_the_state_directory(self):
        [directory] = systemd_values(UNIT, "StateDirectory")
        self.assertEqual(read_yaml(DEPLOY / "systemd/relay.yaml")["queue"]["path"], f"/var/lib/{directory}/relay.db")


if __name__ == "__main__":
    unittest.main()
