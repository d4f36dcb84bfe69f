"""What sshload prints and writes, and what it says of a wrong command line."""

import contextlib
import json
import os
import pty
import subprocess

import pytest

import harness
from sshload_helpers import clean, load, run_tool, target_of


# -- outputs


def test_report_json_and_hdr_agree(server, tmp_path):
    outcome = clean(load(tmp_path, "-n", 1000, "--hdr", tmp_path / "out.hdr", "--label", "a run", target=server))
    summary, latency = outcome.summary, outcome.result["latency_us"]
    assert f"{summary['started']:,} started = {summary['ok']:,} ok" in outcome.report
    lines = (tmp_path / "out.hdr").read_text().splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    rows = [line.split() for line in lines[2:] if not line.startswith("#")]
    assert int(rows[-1][2]) == latency["count"] == 1000
    assert float(rows[-1][0]) == pytest.approx(latency["max"] / 1000, abs=0.001)
    median = next(float(row[0]) for row in rows if float(row[1]) >= 0.5)
    assert median == pytest.approx(latency["p50"] / 1000, rel=0.002)
    assert "a run" in outcome.report and outcome.result["label"] == "a run"


def test_interval_lines(server, tmp_path):
    outcome = clean(load(tmp_path, "-d", "1s", "-i", "200ms", target=server))
    lines = [line for line in outcome.report.splitlines() if "echoes/s=" in line]
    assert len(lines) >= 3
    assert all("errors=0" in line for line in lines)


def test_json_on_stdout_stands_alone(server):
    done = run_tool("-d", "500ms", "-i", "100ms", "--json", "-", target_of(server))
    assert done.returncode == 0
    assert json.loads(done.stdout)["summary"]["ok"] > 0
    assert "echoes/s=" in done.stderr and "Operations" in done.stderr


def test_progress_line_on_a_terminal(server, tmp_path, terminals):
    outside, inside = pty.openpty()
    process = subprocess.Popen(
        [str(harness.SSHLOAD), "-d", "1200ms", "-c", "2", target_of(server)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=inside,
    )
    os.close(inside)
    seen = b""
    with contextlib.suppress(OSError):  # the far end closes
        while piece := os.read(outside, 4096):
            seen += piece
    os.close(outside)
    assert process.wait(20) == 0
    assert seen.count(b"\r") >= 2 and b"echoes/s=" in seen and b"\n" not in seen


@pytest.mark.parametrize(
    "condition, code",
    [("errors > 0", 0), ("p99 > 1us", 99), ("rate < 1000000", 99), ("p50 > 10s", 0), ("handshake-p99 >= 1us", 99)],
)
def test_gates(server, tmp_path, condition, code):
    outcome = load(tmp_path, "-n", 200, "--fail-if", condition, target=server)
    assert outcome.code == code, outcome
    assert (condition in outcome.complaints) == (code == 99)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ([], "no target"),
        (["127.0.0.1:99999"], "127.0.0.1:99999"),
        (["--rate", "x", "127.0.0.1"], "rate"),
        (["--rate", "5, 7 for 1s", "127.0.0.1"], "spike A for TIME"),
        (["--rate", "5..0 over 1s", "--count", "9", "127.0.0.1"], "count"),
        (["--rate", "5 for 1s", "--warmup", "1s", "127.0.0.1"], "warmup"),
        (["--mode", "sprint", "127.0.0.1"], "ping"),
        (["--fail-if", "p101 > 1", "127.0.0.1"], "any percentile"),
        (["--ciphers", "rot13", "127.0.0.1"], "rot13"),
        (["--shard", "5/4", "127.0.0.1"], "shard"),
        (["--identity", "/nonexistent", "127.0.0.1"], "/nonexistent"),
        (["--size", "0", "127.0.0.1"], "size"),
        (["--no-such-option", "127.0.0.1"], "no-such-option"),
        (["-m", "stream", "-r", "5", "127.0.0.1"], "rate"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(arguments, complaint):
    done = run_tool(*arguments)
    assert done.returncode == 2, done
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert complaint in done.stderr


def test_help_and_version_go_to_stdout():
    for option, word in (("--help", "--fail-if"), ("--version", "libssh")):
        done = run_tool(option)
        assert done.returncode == 0 and done.stderr == "" and word in done.stdout
    for tool in ("compare", "merge", "plot", "report"):
        assert run_tool(tool, "--help").returncode == 0


def test_every_option_is_in_the_manual_page():
    manual = (harness.ROOT / "man/sshload.1").read_text().replace("\\-", "-")
    helped = run_tool("--help").stdout
    names = [word.rstrip(",.)") for line in helped.splitlines() for word in line.split()[:2] if word.startswith("--")]
    assert len(names) > 40
    missing = [name for name in names if f"{name.split('=')[0]}" not in manual]
    assert not missing
