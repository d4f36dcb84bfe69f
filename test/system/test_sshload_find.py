"""sshload find: the highest load that keeps a promise, against servers whose capacity is known."""

import concurrent.futures
import json
import os
import subprocess
import sys

import jsonschema
import pytest

import harness
from relay import CapacityRelay
from sshload_helpers import SCHEMA as RESULT_SCHEMA
from sshload_helpers import run_tool, target_of

FIND_SCHEMA = jsonschema.Draft7Validator(json.loads((harness.ROOT / "test/schema/sshload-find-1.json").read_text()))
CIPHER = ["--ciphers", "aes128-gcm@openssh.com"]  # a ping of 64 bytes is a packet of 100
QUICK = ["-w", "300ms", "-d", "1s", "--precision", "10%"]


def find(tmp_path, *arguments, target, name="find", timeout=90):
    path = tmp_path / f"{name}.json"
    done = run_tool("find", "--json", path, *arguments, target_of(target), timeout=timeout)
    answer = json.loads(path.read_text()) if path.exists() else None
    if answer is not None:
        FIND_SCHEMA.validate(answer)
        assert answer["sentence"] in done.stdout, done
        part = {key: value for key, value in RESULT_SCHEMA.schema["properties"].items() if key != "summary"}
        for step in answer["steps"]:
            assert step["kept"] == (step["limited_by"] is None) == (step["reason"] is None), step
            jsonschema.Draft7Validator({"properties": part}).validate(step["result"])
    return done, answer


@pytest.mark.alone
def test_a_known_capacity_is_found_five_times_out_of_five(server, tmp_path):
    def once(capacity):
        with CapacityRelay(server.address, capacity) as relay:
            arguments = ["--slo", "p90 < 150ms", "-d", "1500ms", "-w", "300ms", "--precision", "8%", *CIPHER]
            done, answer = find(tmp_path, *arguments, target=relay.address, name=capacity)
            assert relay.sizes.most_common(1)[0][0] % 100 == 0, relay.sizes
            return done, answer

    capacities = [300, 400, 500, 600, 700]
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        for capacity, (done, answer) in zip(capacities, pool.map(once, capacities)):
            assert done.returncode == 0, done
            assert abs(answer["found"]["rate"] / capacity - 1) <= 0.1, f"{capacity}: {done.stdout}"
            purposes = [step["purpose"] for step in answer["steps"]]
            assert "just below" in purposes and "just above" in purposes, done.stdout
            # On a busy machine the generator may be in the way as well; that is then said, and what follows from it.
            assert answer["limited_by"] in ("server", "slo", "generator"), done.stdout
            assert answer["at_least"] == (answer["limited_by"] == "generator"), done.stdout


def test_the_promise_is_the_limit(server, tmp_path):
    """70 a second are carried on one channel, at some 14 ms each; no load at all keeps a promise of 5 ms."""
    delay = ["-c", 1, "--request", "exec:echo delay=14ms", "--from", 4]
    done, answer = find(tmp_path, "--slo", "mean < 5ms", *delay, *QUICK, target=server)
    assert done.returncode == 1 and answer["found"] is None, done
    assert answer["steps"][-1]["level"] == 1 and answer["sentence"].startswith("No load keeps mean < 5ms"), done
    assert answer["steps"][0]["limited_by"] in ("slo", "generator") and "not mean < 5ms" in done.stdout, done


def test_sessions_that_a_server_takes(serve, tmp_path):
    server = serve(options={"max-connections": 20})
    done, answer = find(tmp_path, "--by", "sessions", "--slo", "errors == 0", "--from", 4, *QUICK, target=server)
    assert done.returncode == 0 and 18 <= answer["found"]["sessions"] <= 20, done
    assert answer["limited_by"] in ("server", "generator") and answer["steps"][0]["result"]["mode"] == "hold", done
    assert "sessions at the same time" in answer["sentence"], done


def test_no_further_than_asked(server, tmp_path):
    arguments = ["--by", "handshakes", "--from", 5, "--to", 10, "--slo", "p50 < 5s", *QUICK]
    done, answer = find(tmp_path, *arguments, target=server)
    assert done.returncode == 0 and answer["found"] == {"handshakes": 10}, done
    assert answer["limited_by"] is None and answer["at_least"] and answer["confirmed"], done
    assert [step["purpose"] for step in answer["steps"]] == ["grow", "grow", "just below"], done
    assert answer["sentence"].startswith("At least 10 handshakes a second keep p50 < 5s"), done


def test_its_page(tmp_path):
    """The answer, each step and the curve; whatever a file says is text."""
    step = {
        "purpose": "grow",
        "seconds": 2.0,
        "achieved_per_s": 99.5,
        "samples": 9,
        "client_bound": False,
        "result": None,
    }
    steps = [
        {**step, "level": 100, "kept": True, "limited_by": None, "reason": None, "latency_us": 1234.0},
        {**step, "level": 200, "kept": False, "limited_by": "slo", "reason": "<b>late</b>", "latency_us": 5678.0},
        {**step, "level": 400, "kept": False, "limited_by": "server", "reason": "not sustained", "latency_us": None},
    ]
    answer = {"schema": "sshload-find/1", "by": "rate", "slo": ["p99 < 5ms"], "found": {"rate": 100}, "at_least": False}
    answer |= {"limited_by": "slo", "confirmed": False, "interrupted": False, "percentile": 99.0, "precision": 0.05}
    answer |= {"sentence": "Up to 100 <i>", "options": ["127.0.0.1", "<s>"], "steps": steps}
    FIND_SCHEMA.validate(answer)
    path, page = tmp_path / "find.json", tmp_path / "find.html"
    path.write_text(json.dumps(answer))
    done = run_tool("report", path, "-o", page)
    assert done.returncode == 0, done
    text = page.read_text()
    assert "Up to 100 &lt;i&gt;" in text and "&lt;b&gt;late" in text and "1.23 ms" in text and "5.68 ms" in text
    assert "<svg" in text and "promise kept" in text and "promise broken" in text and "not confirmed" in text
    assert "<b>" not in text and "<s>" not in text and "<i>" not in text
    path.write_text(json.dumps({"schema": "sshload-find/1", "steps": [7, {"latency_us": "x"}], "options": 5}))
    assert run_tool("report", path, "-o", page).returncode == 0


@pytest.fixture
def half_a_core(server):
    """For sshload: it is not busy all the time then, but has none to spare. The server has a core of its own."""
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        pytest.skip("one processor")
    os.sched_setaffinity(server.worker, {min(before)})
    os.sched_setaffinity(0, {max(before)})
    spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        spinner.kill()
        spinner.wait()
        os.sched_setaffinity(0, before)
        os.sched_setaffinity(server.worker, before)


@pytest.mark.alone
def test_a_generator_that_is_the_limit_says_so(server, tmp_path, half_a_core):
    """No core does two million a second."""
    step = ["--from", "2M", "--precision", "100%", "-d", "500ms", "-w", "0", "--drain-timeout", "500ms"]
    done, answer = find(tmp_path, *step, target=server)
    assert answer["steps"][0]["limited_by"] == "generator" and answer["steps"][0]["client_bound"], done
    assert answer["steps"][1]["level"] < 500000, done  # what was carried, not half of what was asked for


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ([], "no target"),
        (["--slo", "p99", "127.0.0.1"], "--slo"),
        (["--by", "luck", "127.0.0.1"], "handshakes"),
        (["--rate", "5", "127.0.0.1"], "--rate"),
        (["--by", "sessions", "-c", "5", "127.0.0.1"], "--connections"),
        (["--mode", "stream", "127.0.0.1"], "--mode"),
        (["--from", "9", "--to", "5", "127.0.0.1"], "--from"),
        (["--precision", "0", "127.0.0.1"], "--precision"),
        (["--shard", "1/2", "127.0.0.1"], "--shard"),
        (["-n", "5", "127.0.0.1"], "--count"),
        (["--no-such-option", "127.0.0.1"], "no-such-option"),
    ],
)
def test_bad_questions(arguments, complaint):
    done = run_tool("find", *arguments)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1, done
    assert complaint in done.stderr, done


def test_nobody_there(tmp_path):
    done, answer = find(tmp_path, *QUICK, target=("127.0.0.1", harness.free_port()))
    assert done.returncode == 1 and answer is None and "no session came up" in done.stderr, done
