"""scripts/build-release, with a swift that builds nothing."""

import os
import shutil
import tempfile
import unittest
from pathlib import Path

from support import ROOT, run

SWIFT = """#!/bin/sh
case "$*" in
*--show-bin-path*) echo "$PWD/bin" ;;
*) [ -e Package.resolved ] || echo newest >Package.resolved ;;
esac
"""


class BuildReleaseTests(unittest.TestCase):
    def setUp(self):
        """A repository with the scripts alone, and beside it a directory to call them from."""
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.root = self.directory / "repository"
        self.elsewhere = self.directory / "elsewhere"
        self.elsewhere.mkdir()
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        self.make_program(self.root / "bin/relay", "#!/bin/sh\necho it runs\n")
        self.make_program(self.directory / "tools/swift", SWIFT)
        for there in ["strip", "pkg-config"]:
            self.make_program(self.directory / "tools" / there, "#!/bin/sh\n")

    def make_program(self, path, text):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def build(self, *arguments):
        path = f"{self.directory / 'tools'}:{os.environ['PATH']}"
        return run(
            self.root / "scripts/build-release", *arguments, cwd=self.elsewhere, env=os.environ | {"PATH": path})

    def test_a_directory_is_taken_from_where_it_is_called(self):
        code, output = self.build("out/here")
        self.assertEqual(code, 0, output)
        self.assertTrue((self.elsewhere / "out/here/relay").exists(), output)
        self.assertIn("it runs", output)

    def test_without_one_it_is_the_repositorys(self):
        code, output = self.build()
        self.assertEqual(code, 0, output)
        self.assertTrue((self.root / ".build/dist/relay").exists(), output)

    def test_the_versions_of_the_packages_are_beside_it(self):
        code, output = self.build("out")
        self.assertEqual(code, 0, output)
        self.assertEqual((self.elsewhere / "out/Package.resolved").read_text(), "newest\n")
        self.assertIn("the newest packages", output)

    def test_those_that_are_given_are_built_with(self):
        (self.root / "Package.resolved").write_text("given\n")
        code, output = self.build("out")
        self.assertEqual(code, 0, output)
        self.assertEqual((self.elsewhere / "out/Package.resolved").read_text(), "given\n")
        self.assertNotIn("the newest packages", output)

    def test_help_builds_nothing(self):
        for option in ["--help", "-h"]:
            code, output = self.build(option)
            self.assertEqual(code, 0, output)
            self.assertIn("scripts/build-release [DIRECTORY]", output)
        self.assertEqual(list(self.elsewhere.iterdir()), [])

    def test_other_options_and_a_second_directory_are_refused(self):
        for arguments in [("--out",), ("one", "two")]:
            code, output = self.build(*arguments)
            self.assertEqual(code, 1, output)
        self.assertEqual(list(self.elsewhere.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
