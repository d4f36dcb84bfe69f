"""sshload run FILE: several loads at once, as a file describes them."""

import json
import signal
import subprocess
import time

import jsonschema
import pytest

import harness
from sshload_helpers import check_result, run_tool, target_of

RUN_SCHEMA = jsonschema.Draft7Validator(json.loads((harness.ROOT / "test/schema/sshload-run-1.json").read_text()))

MIXED = """
# ping beside stream beside connect: the load that servers die of
target {target}
duration 1500ms
fail-if sustained < 0
warmup = 200ms

group terminals
    mode ping
    connections 5
    rate 0..200 over 1s, 100 for 700ms

group bulk
    mode stream
    connections 2
    size 1K-8K

group logins
    mode connect
    connections 4
    rate 10
"""


def write(tmp_path, text, **names):
    path = tmp_path / "scenario.conf"
    path.write_text(text.format(**names))
    return path


def test_groups_run_at_once(server, tmp_path):
    path, out = write(tmp_path, MIXED, target=target_of(server)), tmp_path / "run.json"
    done = run_tool("run", path, "--json", out, timeout=60)
    assert done.returncode == 0, done
    whole = json.loads(out.read_text())
    RUN_SCHEMA.validate(whole)
    assert whole["schema"] == "sshload-run/1" and whole["file"] == str(path), whole
    names = [group["name"] for group in whole["groups"]]
    assert names == ["terminals", "bulk", "logins"]
    results = [group["result"] for group in whole["groups"]]
    for result, mode, name in zip(results, ["ping", "stream", "connect"], names):
        check_result(result)
        assert result["mode"] == mode and result["label"] == name and result["summary"]["ok"] > 10, done
        assert f"---- group {name} ----" in done.stdout, done
        assert abs(result["start_skew_us"]) < 1e6, done  # they began together
    assert results[0]["about"]["options"]["rate"].startswith("0..200 over 1s"), done
    assert abs(results[0]["summary"]["started"] - (100 - 4 + 70)) <= 2, done


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("target a\n\ngroup x\n  mode sprint\n", "scenario.conf:4: mode: "),
        ("group x\n  rate 5, 7 for 1s\n", "scenario.conf:2: rate: "),
        ("group x\n  sizes 5\n", "scenario.conf:2: sizes: is unknown (allowed: group, target,"),
        ("group x\n  json f\n", "scenario.conf:2: json: "),
        ("group x\n  shard 1/2\n", "scenario.conf:2: shard: "),
        ("group x\n  duration\n", "scenario.conf:2: duration: has no value"),
        ("group x\ntarget a\ngroup x\n", "scenario.conf:3: group: there is one of the name"),
        ("group a b\n", "scenario.conf:1: group: needs a name"),
        ("group x\n  target -q\n", "scenario.conf:2: target: "),
        ("group x\n", "scenario.conf: target: group x has none"),
        ("mode ping\n", "scenario.conf: has no group"),
    ],
)
def test_a_bad_file(tmp_path, text, complaint):
    """File, line, key, and what is allowed."""
    done = run_tool("run", write(tmp_path, text))
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1, done
    assert complaint in done.stderr, done


def test_checked_without_a_run(tmp_path):
    assert run_tool("run", "--check", write(tmp_path, MIXED, target="192.0.2.1")).returncode == 0
    assert run_tool("run", tmp_path / "none").returncode == 2


def test_a_group_that_cannot_begin_ends_the_others(server, tmp_path):
    text = "target {target}\nduration 60s\ngroup a\ngroup b\n  mode hold\n  count 5\n"
    began = time.monotonic()
    done = run_tool("run", write(tmp_path, text, target=target_of(server)), timeout=60)
    assert done.returncode == 2 and "--count" in done.stderr, done
    assert time.monotonic() - began < 40, done


def test_it_can_be_stopped(serve, tmp_path):
    server = serve()
    text = "target {target}\nduration 60s\ngroup a\ngroup b\n"
    path = write(tmp_path, text, target=target_of(server))
    out = tmp_path / "run.json"
    command = [str(harness.SSHLOAD), "run", "--start-in", "0", "--json", str(out), str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        harness.wait_until(lambda: server.log().count("event=accept") >= 20, 30, "both groups' sessions")
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        process.kill()
    results = [group["result"] for group in json.loads(out.read_text())["groups"]]
    assert all(result["interrupted"] for result in results), results
