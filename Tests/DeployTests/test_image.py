"""The image and the compose file, as far as they can be judged without an engine."""

import os
import re
import unittest

import compose_spec

from support import DEPLOY, ROOT, read_yaml, seconds


def instructions(path):
    """A Dockerfile's instructions as (name, arguments), comments dropped and continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def stages(path):
    """The instructions of each stage, FROM first."""
    found = []
    for name, arguments in instructions(path):
        if name == "FROM":
            found.append([])
        found[-1].append((name, arguments))
    return found


BUILD, RUNTIME = stages(DEPLOY / "Dockerfile")


def of(stage, name):
    return [arguments for each, arguments in stage if each == name]


def copied():
    """What the build copies, as (name, whether it must be there): `Package.resolve[d]` is copied where it is."""
    sources = [source for arguments in of(BUILD, "COPY") for source in arguments.split()[:-1]]
    return [(re.sub(r"\[(\w)\]", r"\1", source), "[" not in source) for source in sources]


class DockerfileTests(unittest.TestCase):
    def test_its_base_images_have_a_version(self):
        for stage in [BUILD, RUNTIME]:
            [image] = of(stage, "FROM")
            tag = image.split()[0].partition(":")[2]
            self.assertRegex(tag, r"\d", image)

    def test_both_are_debian_12_so_that_the_libraries_are_the_same(self):
        self.assertRegex(of(BUILD, "FROM")[0], r"^swift:[\d.]+-bookworm ")
        self.assertEqual(of(RUNTIME, "FROM"), ["debian:12-slim"])

    def test_it_builds_as_scripts_does(self):
        for command in of(BUILD, "RUN"):
            script = ROOT / command.split()[0]
            self.assertTrue(command.startswith("./scripts/") and os.access(script, os.X_OK), command)
        for command in of(RUNTIME, "RUN"):
            self.assertNotIn("swift", command)

    def test_what_it_copies_is_there_and_reaches_the_engine(self):
        ignore = (ROOT / ".dockerignore").read_text().split()
        for source, is_needed in copied():
            self.assertTrue(not is_needed or (ROOT / source).exists(), source)
            self.assertIn("!" + source, ignore)

    def test_nothing_else_reaches_the_engine(self):
        lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
        self.assertEqual(lines[0], "*")
        self.assertEqual({line[1:] for line in lines if line.startswith("!")}, {source for source, _ in copied()})

    def test_the_binary_and_the_versions_in_it_come_from_where_the_script_puts_them(self):
        [command] = of(BUILD, "RUN")
        directory = command.split()[1]
        self.assertEqual(of(RUNTIME, "COPY"), [
            f"--from=build {directory}/relay /usr/local/bin/relay",
            f"--from=build {directory}/Package.resolved /usr/share/doc/relay/Package.resolved"])

    def test_the_versions_that_are_given_are_built_with(self):
        self.assertIn(("Package.resolved", False), copied())

    def test_it_has_the_libraries_that_the_build_uses(self):
        """Each -dev package of the build has its library at run time; `relay version` in the image proves that it loads."""
        runtime = {
            "libssl-dev": "libssl3", "libcurl4-openssl-dev": "libcurl4", "libyaml-dev": "libyaml-0-2",
            "libsqlite3-dev": "libsqlite3-0",
        }
        built_with = set(re.findall(r"missing\+=\((lib\S+-dev)\)", (ROOT / "scripts/lib/setup.sh").read_text()))
        self.assertEqual(built_with, set(runtime), "a new library: give it a line here and in deploy/Dockerfile")
        commands = of(RUNTIME, "RUN")
        for package in [*runtime.values(), "ca-certificates"]:
            self.assertIn(f" {package} ", commands[0])
        self.assertTrue(commands[-1].endswith("relay version"))

    def test_its_user_is_a_number_that_owns_the_queue(self):
        [user] = of(RUNTIME, "USER")
        uid, _, gid = user.partition(":")
        self.assertGreater(int(uid), 0)
        self.assertIn(f"install -d -o {uid} -g {gid} -m 0700 /var/lib/relay", of(RUNTIME, "RUN")[-1])
        # After the last RUN: those are root's.
        self.assertGreater([name for name, _ in RUNTIME].index("USER"), max(
            index for index, (name, _) in enumerate(RUNTIME) if name == "RUN"))


class ComposeTests(unittest.TestCase):
    path = DEPLOY / "compose/compose.yaml"
    services = read_yaml(path)["services"]

    def test_it_is_valid(self):
        compose_spec.PyCompose.from_yaml(self.path.read_text())

    def test_a_misspelt_key_would_be_found(self):
        with self.assertRaises(Exception):
            compose_spec.PyCompose.from_yaml(self.path.read_text().replace("read_only:", "readonly:"))

    def test_what_it_mounts_and_builds_is_there(self):
        for service in self.services.values():
            for volume in service["volumes"]:
                source = volume.partition(":")[0]
                if source.startswith("."):
                    self.assertTrue((self.path.parent / source).is_file(), source)
        build = self.services["relay"]["build"]
        context = (self.path.parent / build["context"]).resolve()
        self.assertEqual(context, ROOT)
        self.assertTrue((context / build["dockerfile"]).is_file())

    def test_images_have_a_version(self):
        for name, service in self.services.items():
            self.assertRegex(service["image"], r":\d[\w.-]*$", name)

    def test_containers_can_change_nothing(self):
        for name, service in self.services.items():
            self.assertIs(service["read_only"], True, name)
            self.assertEqual(service["cap_drop"], ["ALL"], name)

    def test_the_drain_ends_before_the_kill(self):
        # 25 s is the default of drain_timeout, which the sample leaves alone.
        self.assertNotIn("drain_timeout", read_yaml(DEPLOY / "compose/relay.yaml")["slack"])
        self.assertIn("drain_timeout: 25s", (ROOT / "relay.yaml.example").read_text())
        self.assertGreater(seconds(self.services["relay"]["stop_grace_period"]), 25 + 10)

    def test_ports_are_the_machines_own(self):
        for service in self.services.values():
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), port)


if __name__ == "__main__":
    unittest.main()
