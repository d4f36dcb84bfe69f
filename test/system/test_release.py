"""What a release is made with: the workflow, the packages' own tests, the bill of materials, scripts/release."""

import json
import os
import re
import shutil
import subprocess

import harness
import pytest
import yaml

WORKFLOW = harness.ROOT / ".github/workflows/ci.yml"
CHECK = harness.ROOT / "scripts/check"
KUBERNETES = "conf/deploy/kubernetes/kustomization.yaml"
JOB = "conf/deploy/kubernetes/sshload-job.yaml"


def expanded(text, job):
    """A command with each value of the job's matrix put in."""
    name = re.search(r"\$\{\{ matrix\.(\w+) \}\}", text)
    if not name:
        return [text]
    return [text.replace(name.group(0), value) for value in job["strategy"]["matrix"][name.group(1)]]


def workflow_commands():
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return [
        line for job in jobs.values() for step in job["steps"] if "run" in step for line in expanded(step["run"], job)
    ]


def make_targets():
    text = (harness.ROOT / "Makefile").read_text()
    return {target for line in re.findall(r"^\.PHONY: (.*)", text, re.MULTILINE) for target in line.split()}


def check_parts(words):
    """Parts that scripts/check neither treats by name nor makes the target of."""
    named = set(re.findall(r"\b[a-z]+\b", " ".join(re.findall(r"^ +([a-z |]+)\)", CHECK.read_text(), re.MULTILINE))))
    return [word for word in words if word not in named and f"check-{word}" not in make_targets()]


def unknown(command):
    """What of a command the tree does not have: None if all of it is there."""
    program, *arguments = command.split()
    if program == "make":
        wrong = [each for each in arguments if not each.startswith("-") and each not in make_targets()]
        return wrong or None
    path = harness.ROOT / program
    if not program.startswith("scripts/") or not os.access(path, os.X_OK):
        return program
    if program == "scripts/check":
        return check_parts(arguments) or None
    flags = [each for each in arguments if each.startswith("--") and each not in path.read_text()]
    return flags or None


def test_workflow_names_what_exists():
    commands = workflow_commands()
    assert len(commands) > 10, commands
    assert not [command for command in commands if unknown(command)]


@pytest.mark.parametrize(
    "command", ["scripts/chek unit", "scripts/check unti", "make nothing", "scripts/soak --minuts 3", "pip install x"]
)
def test_workflow_check_sees_what_does_not_exist(command):
    assert unknown(command)


def test_package_tests_name_what_exists():
    control = (harness.ROOT / "debian/tests/control").read_text()
    names = re.findall(r"^Tests: (.*)$", control, re.MULTILINE)
    assert names
    for name in names:
        script = harness.ROOT / "debian/tests" / name
        assert os.access(script, os.X_OK), script
        for path in re.findall(r"(?:scripts|test)/[\w/.-]+", script.read_text()):
            assert (harness.ROOT / path).exists(), path


def test_smoke():
    """What the packages' tests and the emulated machines run."""
    result = subprocess.run(
        [harness.ROOT / "scripts/smoke", harness.SSHECHOD, harness.SSHLOAD],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0 and "1048576 bytes came back, equal" in result.stdout, result


def test_smoke_fails_when_the_server_does(tmp_path):
    broken = tmp_path / "sshechod"
    broken.write_text("#!/bin/sh\nexit 0\n")
    broken.chmod(0o755)
    result = subprocess.run(
        [harness.ROOT / "scripts/smoke", broken, harness.SSHLOAD], capture_output=True, text=True, timeout=60
    )
    assert result.returncode != 0 and "did not start" in result.stderr, result


def test_bill_of_materials(tmp_path):
    command = [harness.ROOT / "scripts/sbom", "9.9.9", harness.SSHECHOD, harness.SSHLOAD]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True, env=environment) for _ in "ab")
    assert first.stdout == second.stdout
    bill = json.loads(first.stdout)
    assert bill["spdxVersion"] == "SPDX-2.3" and bill["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    packages = {each["name"]: each for each in bill["packages"]}
    for name in ("sshechod", "sshload", "libssh-4", "libev4", "libc6", "libjansson4"):
        assert any(known.startswith(name) for known in packages), packages.keys()
    identifiers = {each["SPDXID"] for each in bill["packages"]} | {"SPDXRef-DOCUMENT"}
    for relation in bill["relationships"]:
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= identifiers


def tree():
    """The project's files: git's, or where there is no repository (as in scripts/matrix) all but what was built."""
    listed = subprocess.run(["git", "ls-files"], cwd=harness.ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        return listed.stdout.split()
    files = (path.relative_to(harness.ROOT) for path in harness.ROOT.rglob("*") if path.is_file())
    return [str(path) for path in files if not path.parts[0].startswith("build")]


@pytest.fixture
def checkout(tmp_path):
    """A repository of its own with one commit."""
    copy = tmp_path / "sshecho"
    for name in tree():
        if (harness.ROOT / name).is_file() and not name.startswith(("test/", "docs/", "src/")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(harness.ROOT / name, copy / name)
    commit(copy, "init", "-q", "-b", "main")
    return copy


def commit(copy, *first):
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (first, ("add", "-A"), ("commit", "-q", "-m", "x")):
        if words:
            subprocess.run([*git, *words], cwd=copy, check=True)


def release(copy, *arguments):
    return subprocess.run([copy / "scripts/release", *arguments], capture_output=True, text=True, timeout=60)


def test_release_is_prepared(checkout):
    changelog = checkout / "CHANGELOG.md"  # right after a release there is nothing to tell
    changelog.write_text(
        changelog.read_text().replace("## [Unreleased]\n", "## [Unreleased]\n\n### Fixed\n- This.\n", 1)
    )
    result = release(checkout, "--prepare", "7.8.9")
    assert result.returncode == 0, result
    assert (checkout / "VERSION").read_text() == "7.8.9\n"
    assert re.search(
        r"^## \[Unreleased\]\n\n## \[7\.8\.9\] - \d{4}-\d\d-\d\d$", (checkout / "CHANGELOG.md").read_text(), re.M
    )
    assert (checkout / "debian/changelog").read_text().startswith("sshecho (7.8.9) ")
    parsed = subprocess.run(
        ["dpkg-parsechangelog", "-l", checkout / "debian/changelog", "-S", "Version"], capture_output=True, text=True
    )
    assert parsed.stdout.strip() == "7.8.9", parsed
    assert re.findall(r"newTag: (.*)", (checkout / KUBERNETES).read_text()) == ["7.8.9"]
    assert set(re.findall(r"/sshecho:(\S+)", (checkout / JOB).read_text())) == {"7.8.9"}
    again = release(checkout, "--prepare", "7.8.9")
    assert again.returncode == 1 and "already" in again.stderr, again
    changelog.write_text(changelog.read_text().replace("## [Unreleased]\n", "## [Unreleased]\n\n- That.\n", 1))
    commit(checkout)
    later = release(checkout, "7.8.9")
    assert later.returncode == 1 and "under [Unreleased]" in later.stderr, later
    changelog.write_text(changelog.read_text().replace("- That.\n", ""))
    for name in (KUBERNETES, JOB):
        right = (checkout / name).read_text()
        (checkout / name).write_text(right.replace("7.8.9", "7.8.8"))
        commit(checkout)
        older = release(checkout, "7.8.9")
        assert older.returncode == 1 and f"{name} does not name the image of 7.8.9" in older.stderr, older
        (checkout / name).write_text(right)
        commit(checkout)


def test_release_refuses(checkout):
    """Everything that would be embarrassing afterwards, before anything is built."""
    assert release(checkout, "1.2").returncode == 2
    result = release(checkout, "7.8.9")
    assert result.returncode == 1 and "VERSION says" in result.stderr, result
    (checkout / "VERSION").write_text("7.8.9\n")
    result = release(checkout, "7.8.9")
    assert result.returncode == 1 and "changes: commit" in result.stderr, result
    commit(checkout)
    result = release(checkout, "7.8.9")
    assert result.returncode == 1 and "CHANGELOG.md has no dated part" in result.stderr, result
    subprocess.run(["git", "tag", "v7.8.9"], cwd=checkout, check=True)
    result = release(checkout, "7.8.9")
    assert result.returncode == 1 and "a tag v7.8.9 already" in result.stderr, result
