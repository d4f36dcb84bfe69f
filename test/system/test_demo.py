"""scripts/demo, the first thing that a visitor runs: it works, leaves nothing behind, and does not praise what is wrong."""

import os
import stat
import subprocess

import pytest

import harness

DEMO = harness.ROOT / "scripts" / "demo"


def demo(tmp_path, **environment):
    """The finished script; it writes in a directory of the test's own."""
    room = tmp_path / "tmp"
    room.mkdir(exist_ok=True)
    return subprocess.run(
        [str(DEMO), "--built"],
        env={**os.environ, "BUILD": str(tmp_path / "build"), "TMPDIR": str(room), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
    )


@pytest.fixture
def build(tmp_path):
    """A build directory of the test's own with the programs under test."""
    directory = tmp_path / "build"
    directory.mkdir()
    for program in (harness.SSHECHOD, harness.SSHLOAD):
        (directory / program.name).symlink_to(program)
    return directory


def stand_in(path, text):
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_demo_works(tmp_path, build):
    run = demo(tmp_path)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr
    assert run.stdout.count("67108864 bytes came back, SHA-256 equal") == 4
    for mode in ("ping-pong", "open loop", "stream", "connect", "hold"):
        assert mode in run.stdout
    assert run.stdout.count("Errors       0") == 5, "a run of sshload had errors"
    assert "event=totals" in run.stdout and "event=stopped" in run.stdout
    assert not list((tmp_path / "tmp").iterdir()), "it left files"


def test_demo_tells_what_came_back_wrong(tmp_path, build):
    """A client that gets other bytes than it sent, here made by an ssh that changes one."""
    fake = tmp_path / "bin"
    fake.mkdir()
    stand_in(fake / "ssh", "cat; printf x")
    run = demo(tmp_path, PATH=f"{fake}:{os.environ['PATH']}")
    assert run.returncode == 1
    assert "WRONG" in run.stderr
    assert not list((tmp_path / "tmp").iterdir())


def test_demo_says_that_the_server_did_not_start(tmp_path, build):
    stand_in(build / "sshechod", "echo no such luck >&2; exit 3")
    run = demo(tmp_path)
    assert run.returncode == 1
    assert "the server did not start" in run.stderr and "no such luck" in run.stderr
