"""What the tests of deploy/ share: where things are, running commands, and reading the files as those who use them do."""

import functools
import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def run(*command, **options):
    """Runs a command to its end, for at most a minute, and returns its exit code and all that it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=60, **options)
    return done.returncode, done.stdout


def read_yaml(path):
    return yaml.safe_load(path.read_text())


@functools.cache
def kustomized(name):
    """The manifests of deploy/kubernetes/NAME, as `kubectl apply -k` would send them."""
    done = subprocess.run(
        ["kubectl", "kustomize", DEPLOY / "kubernetes" / name], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(f"kubectl kustomize {name}: {done.stderr}")
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def configuration_file(overlay):
    """The relay.yaml of an overlay; both sidecars have the same."""
    return DEPLOY / "kubernetes" / overlay.removesuffix("-without-shell") / "relay.yaml"


def manifest(overlay, kind):
    """The one manifest of a kind."""
    [found] = [each for each in kustomized(overlay) if each["kind"] == kind]
    return found


def relay_container(overlay):
    """Relay's container, wherever in the Pod it is, and the Pod's spec."""
    workload = manifest(overlay, "StatefulSet" if overlay == "standalone" else "Deployment")
    pod = workload["spec"]["template"]["spec"]
    [container] = [each for each in pod["containers"] + pod.get("initContainers", []) if each["name"] == "relay"]
    return container, pod


def seconds(duration):
    """A duration of relay.yaml or compose.yaml in whole seconds."""
    number, unit = re.fullmatch(r"(\d+)(s|m|h)", duration).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def port(listen):
    return int(listen.rpartition(":")[2])


def systemd_values(unit, key):
    """The values of a key in a unit file, in their order."""
    return re.findall(rf"^{key}=(.*)$", unit, re.MULTILINE)


def slug(heading):
    """The anchor that GitHub gives to a heading: lower case, no punctuation, dashes for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def headings(path):
    """The anchors of a Markdown file."""
    return {slug(text) for text in re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)}
