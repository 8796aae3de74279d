"""The pages about deployments lead to what is there."""

import re
import unittest

from support import ROOT, headings

PAGES = sorted((ROOT / "docs").glob("deploy-*.md"))


class PagesTests(unittest.TestCase):
    def test_there_is_one_for_each_deployment_and_the_readme_leads_to_it(self):
        self.assertEqual(
            [page.name for page in PAGES],
            ["deploy-docker.md", "deploy-kubernetes.md", "deploy-sidecar.md", "deploy-systemd.md"])
        readme = (ROOT / "README.md").read_text()
        for page in PAGES:
            self.assertIn(f"(docs/{page.name})", readme)

    def test_their_links_lead_somewhere(self):
        for page in PAGES + [ROOT / "docs/operations.md"]:
            for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
                if target.startswith("https://"):
                    continue
                with self.subTest(page=page.name, target=target):
                    file, _, anchor = target.partition("#")
                    path = (page.parent / file).resolve() if file else page
                    self.assertTrue(path.exists())
                    if anchor:
                        self.assertIn(anchor, headings(path))

    def test_the_files_that_they_name_are_there(self):
        for page in PAGES:
            for name in re.findall(r"\b((?:deploy|scripts)/[\w./-]*\w)", page.read_text()):
                with self.subTest(page=page.name, name=name):
                    self.assertTrue((ROOT / name).exists())

    def test_each_says_what_a_person_on_call_asks(self):
        asked = {"what-it-is-for", "apply", "check-that-it-works", "upgrade", "roll-back", "drain", "where-the-data-is",
                 "when-an-alert-fires"}
        for page in PAGES:
            self.assertLessEqual(asked, headings(page), page.name)


if __name__ == "__main__":
    unittest.main()
