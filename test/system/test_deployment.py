"""The deployment files: manifests hold together, and what they run, the programs do."""

import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

import harness
from sshload_helpers import check_result, finish_load, run_tool, start_load

yaml = pytest.importorskip("yaml")

DEPLOY = harness.ROOT / "conf" / "deploy"
KUBERNETES = DEPLOY / "kubernetes"


def manifests(name):
    return [each for each in yaml.safe_load_all((KUBERNETES / name).read_text()) if each]


def by_kind(name):
    found = {each["kind"]: each for each in manifests(name)}
    assert len(found) == len(manifests(name))
    return found


def pods():
    yield "sshechod", by_kind("sshechod.yaml")["Deployment"]["spec"]["template"]["spec"]
    yield "sshload", by_kind("sshload-job.yaml")["Job"]["spec"]["template"]["spec"]


# What each object has to have, as the API server would insist (the parts of its schema that these files use).
QUANTITY = re.compile(r"\d+(m|Ki|Mi|Gi)?")
REQUIRED = {
    "Deployment": (
        "apps/v1",
        ["spec.selector.matchLabels", "spec.template.metadata.labels", "spec.template.spec.containers"],
    ),
    "Service": ("v1", ["spec.ports", "spec.selector"]),
    "PodDisruptionBudget": ("policy/v1", ["spec.selector.matchLabels"]),
    "Job": ("batch/v1", ["spec.template.spec.containers", "spec.template.spec.restartPolicy"]),
    "Namespace": ("v1", []),
    "Kustomization": ("kustomize.config.k8s.io/v1beta1", ["resources"]),
}


@pytest.mark.parametrize("name", sorted(path.name for path in KUBERNETES.glob("*.yaml")))
def test_manifest_has_what_its_kind_needs(name):
    for manifest in manifests(name):
        version, paths = REQUIRED[manifest["kind"]]
        assert manifest["apiVersion"] == version
        for path in paths:
            at = manifest
            for key in path.split("."):
                assert key in at, f"{name}: no {path}"
                at = at[key]
        if manifest["kind"] != "Kustomization":
            assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", manifest["metadata"]["name"])


@pytest.mark.parametrize("name, pod", pods(), ids=lambda each: each if isinstance(each, str) else "")
def test_pods_are_confined(name, pod):
    """The rules of the pod security standard `restricted`, which the namespace enforces, and a read-only root."""
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True and context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        for amounts in container["resources"].values():
            assert all(QUANTITY.fullmatch(str(amount)) for amount in amounts.values())


@pytest.mark.parametrize("name, pod", pods(), ids=lambda each: each if isinstance(each, str) else "")
def test_mounts_have_their_volumes(name, pod):
    volumes = {each["name"] for each in pod["volumes"]}
    for container in pod["containers"]:
        assert {each["name"] for each in container["volumeMounts"]} == volumes


def test_references_meet():
    objects = by_kind("sshechod.yaml")
    kustomization = by_kind("kustomization.yaml")["Kustomization"]
    template = objects["Deployment"]["spec"]["template"]
    labels = template["metadata"]["labels"]
    for kind, path in (
        ("Service", ["selector"]),
        ("PodDisruptionBudget", ["selector", "matchLabels"]),
        ("Deployment", ["selector", "matchLabels"]),
    ):
        wanted = objects[kind]["spec"]
        for key in path:
            wanted = wanted[key]
        assert wanted.items() <= labels.items(), f"{kind} selects no pod"
    container = template["spec"]["containers"][0]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert objects["Service"]["spec"]["ports"][0]["targetPort"] in ports
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
        assert container[probe]["httpGet"]["path"] in ("/readyz", "/healthz")
    assert container["image"] in [each["name"] for each in kustomization["images"]]
    generated = {each["name"] for each in kustomization["configMapGenerator"] + kustomization["secretGenerator"]}
    used = {
        each.get("configMap", {}).get("name") or each["secret"]["secretName"] for each in template["spec"]["volumes"]
    }
    assert used == generated
    for resource in kustomization["resources"]:
        assert (KUBERNETES / resource).exists()
    assert objects["PodDisruptionBudget"]["spec"]["minAvailable"] < objects["Deployment"]["spec"]["replicas"]


def test_the_pods_configuration_is_one(tmp_path):
    """As the pod has it: files where the volumes put them, drained before the grace period ends."""
    text = (KUBERNETES / "sshechod.conf").read_text()
    key, public = make_key(tmp_path)
    path = tmp_path / "sshechod.conf"
    path.write_text(
        text.replace("/keys/ssh_host_ed25519_key", str(key)).replace("/etc/sshecho/authorized_keys", str(public))
    )
    result = harness.run_sshechod("--check", "--config", path)
    assert result.returncode == 0, result.stderr
    drain = int(re.search(r"^drain-timeout (\d+)s", result.stdout, re.M).group(1))
    pod = by_kind("sshechod.yaml")["Deployment"]["spec"]["template"]["spec"]
    pause = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert drain + pause < pod["terminationGracePeriodSeconds"]
    ports = {each["containerPort"] for each in pod["containers"][0]["ports"]}
    assert {int(port) for port in re.findall(r"listen \S*:(\d+)", result.stdout)} == ports


def make_key(directory):
    key = directory / "ssh_host_ed25519_key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)],
        check=True,
        timeout=20,
        stdin=subprocess.DEVNULL,
    )
    return key, directory / "ssh_host_ed25519_key.pub"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.parametrize("mode, works", [(0o440, True), (0o640, True), (0o444, False), (0o460, False)])
def test_key_that_root_lends_to_our_group(mode, works):
    """A mounted secret belongs to root and the pod's group."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        os.chmod(place, 0o755)
        key, _ = make_key(Path(place))
        os.chown(key, 0, 65532)
        os.chmod(key, mode)
        program = Path(place) / "sshechod"
        program.write_bytes(harness.SSHECHOD.read_bytes())
        program.chmod(0o755)
        result = subprocess.run(
            [str(program), "--check", "--host-key", str(key)],
            capture_output=True,
            text=True,
            timeout=20,
            user=65532,
            group=65532,
            extra_groups=[],
            cwd="/",
        )
    assert (result.returncode == 0) == works, result.stderr
    assert works or (result.returncode == 2 and "ssh_host_ed25519_key" in result.stderr)


def test_job_command_is_understood_and_its_results_are_joined(serve, tmp_path):
    job = by_kind("sshload-job.yaml")["Job"]["spec"]
    assert job["completionMode"] == "Indexed" and job["completions"] == job["parallelism"]
    command = job["template"]["spec"]["containers"][0]["command"]
    assert f"--shard=/{job['completions']}" in command
    key, public = make_key(tmp_path)
    server = serve(options={"auth-methods": "publickey", "authorized-keys": str(public)})
    changes = {
        "--connections=4000": "--connections=8",
        "--ramp=20s": "--ramp=0",
        "--start-at=START_AT": f"--start-at={time.time() + 2:.3f}",
        "--duration=60s": "--duration=500ms",
        "--identity=/keys/id_ed25519": f"--identity={key}",
        "echo@sshechod:22": "echo@%s:%d" % server.address,
    }
    assert set(changes) <= set(command)
    refused = subprocess.run(
        [str(harness.SSHLOAD), *command[1:]],
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, "JOB_COMPLETION_INDEX": "0"},
    )  # as it stands, with no start put in
    assert refused.returncode == 2, refused
    *arguments, target = [changes.get(each, each) for each in command[1:]]
    running = [
        start_load(
            tmp_path,
            *arguments,
            target=target,
            json_name=f"sshload-{index}.json",
            env={**os.environ, "JOB_COMPLETION_INDEX": str(index)},
        )
        for index in range(job["completions"])
    ]
    outcomes = [finish_load(each) for each in running]
    assert all(each.code == 0 for each in outcomes), outcomes
    paths = [each.json_path for each in outcomes]
    connections = sum(each.summary["sessions_up"] for each in outcomes)
    assert connections == 8
    merged = tmp_path / "all.json"
    result = run_tool("merge", *paths, "--json", merged)
    assert result.returncode == 0, result.stderr
    check_result(json.loads(merged.read_text()))
    summary = json.loads(merged.read_text())["summary"]
    assert summary["ok"] == sum(json.loads(path.read_text())["summary"]["ok"] for path in paths)


# -- the image


def test_image_runs_without_root_and_is_checked():
    text = (DEPLOY / "Containerfile").read_text()
    stages = re.findall(r"^FROM (\S+)", text, re.M)
    assert len(stages) == 2 and len(set(stages)) == 1
    last = text[text.rindex("\nFROM ") :]
    assert re.search(r"^USER \d{4,}:\d{4,}$", last, re.M)
    assert re.search(r'^ENTRYPOINT \["/usr/sbin/sshechod"\]$', last, re.M)
    assert "HEALTHCHECK" in last


def health_command():
    text = (DEPLOY / "Containerfile").read_text()
    return json.loads(re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", text, re.M).group(1))


@pytest.mark.skipif(
    "libmicrohttpd: no" in harness.run_sshechod("--version").stdout, reason="built without libmicrohttpd"
)
def test_image_health_check(serve):
    server = serve(options={"metrics-listen": "127.0.0.1:0"})
    port = server.wait_line("metrics")["address"].rpartition(":")[2]

    def check():
        command = [each.replace("/9222", f"/{port}") for each in health_command()]
        return subprocess.run(command, capture_output=True, timeout=10).returncode

    assert check() == 0
    server.stop()
    assert check() != 0


def test_image_without_a_decision_says_so():
    """The image listens on every address: started bare, it has to ask who may enter."""
    configuration = re.search(r"printf '([^']*)' > /etc/sshecho/sshechod.conf", (DEPLOY / "Containerfile").read_text())
    arguments = []
    for line in configuration.group(1).replace("\\n", "\n").splitlines():
        key, _, value = line.partition(" = ")
        arguments += ["-o", f"{key}={value.strip(chr(34))}"]
    result = harness.run_sshechod("--check", *arguments)
    assert result.returncode == 2 and "allow-anonymous" in result.stderr and result.stderr.count("\n") == 1
    assert harness.run_sshechod("--check", *arguments, "--allow-anonymous").returncode == 0
