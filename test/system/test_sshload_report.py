"""What the report says, and that it says no more than was measured."""

import os
import re
import signal

import pytest

from bad_servers import evil_echo
from sshload_helpers import finish_load, load, run_tool, start_load


HOSTILE = "SSH-2.0-evil\x1b]0;owned\x07\x7f\u009b31m\u202e_\u00e9"


def is_plain(text):
    return all(" " <= each <= "~" or each == "\n" for each in text)


def test_the_words_of_a_server_are_escaped_on_every_way_out(tmp_path):
    with evil_echo(lambda channel, count, data: channel.sendall(data), version=HOSTILE) as address:
        outcome = load(tmp_path, "-c", 1, "-n", 5, "--log-level", "info", target=address)
    assert outcome.code == 0, outcome
    banner = outcome.result["negotiated"]["banner"]
    assert banner == r"SSH-2.0-evil\x1b]0;owned\x07\x7f\xc2\x9b31m\xe2\x80\xae_\xc3\xa9"
    assert is_plain(outcome.report) and is_plain(outcome.complaints), outcome
    assert banner in outcome.report
    assert is_plain(outcome.json_path.read_text())
    merged = run_tool("merge", outcome.json_path)
    assert merged.returncode == 0 and banner in merged.stdout and is_plain(merged.stdout)
    assert run_tool("plot", outcome.json_path, "-o", tmp_path / "x.svg").returncode == 0
    assert "owned" not in (tmp_path / "x.svg").read_text()


def test_the_words_of_a_foreign_result_file_are_escaped(server, tmp_path):
    outcome = load(tmp_path, "-c", 1, "-n", 5, "--label", "mine", target=server)
    text = outcome.json_path.read_text().replace('"mine"', '"a\\u001b[2Jb\\u009bc"')
    text = re.sub(r'"targets": \[\s*"[^"]*"', r'"targets": ["x\\u001b[2J\\u009b"', text)
    foreign = tmp_path / "foreign.json"
    foreign.write_text(text)
    done = run_tool("merge", foreign)
    assert done.returncode == 0 and is_plain(done.stdout), done.stdout
    done = run_tool("compare", foreign, "--", foreign)
    assert is_plain(done.stdout + done.stderr), done


def rows(report, heading):
    """The rows of a table of the report, name by name."""
    lines = report.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(heading))
    end = next((i for i in range(start, len(lines)) if not lines[i]), len(lines))
    return [re.split(r"\s{2,}", line.strip())[0] for line in lines[start + 1 : end]], lines[start].split()


def test_a_closed_loop_reports_service_time_and_nothing_else(server, tmp_path):
    outcome = load(tmp_path, "-c", 2, "-n", 50, target=server)
    assert outcome.code == 0, outcome
    names, _ = rows(outcome.report, "Service time")
    assert names == ["closed loop"]
    assert "from due time" not in outcome.report and "Latency" not in outcome.report
    outcome = load(tmp_path, "-c", 2, "-n", 50, "-r", 500, target=server)
    assert rows(outcome.report, "Latency")[0] == ["from due time", "from send time", "schedule slip"]
    assert "Service time" not in outcome.report


def test_percentiles_of_the_report_may_be_named(server, tmp_path):
    outcome = load(tmp_path, "-c", 2, "-n", 50, "--percentiles", "50,95,p99.99", target=server)
    assert outcome.code == 0, outcome
    assert rows(outcome.report, "Service time")[1] == ["Service", "time", "p50", "p95", "p99.99", "max", "mean"]
    assert rows(outcome.report, "Handshake ")[1] == ["Handshake", "p50", "p95", "p99.99", "max", "mean"]
    merged = run_tool("merge", outcome.json_path)
    assert rows(merged.stdout, "Service time")[1][2:] == ["p50", "p95", "p99.99", "max", "mean"]


@pytest.mark.parametrize("text", ["", "x", "50,", "101", "0", "-1", "50,nan", ",".join(["50"] * 9), "1e1"])
def test_bad_percentiles_are_refused_with_what_is_allowed(server, text):
    done = run_tool("--percentiles", text or ",", "127.0.0.1:1")
    assert done.returncode == 2 and "--percentiles" in done.stderr and "allowed:" in done.stderr, done
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "condition, code",
    [("p95 < 1us", 0), ("p95 < 1h", 99), ("p99.99 > 1us", 99), ("handshake-p75 > 1us", 99), ("p0.001 > 1h", 0)],
)
def test_a_gate_takes_any_percentile(server, tmp_path, condition, code):
    outcome = load(tmp_path, "-c", 2, "-n", 50, "--fail-if", condition, target=server)
    assert outcome.code == code, outcome


@pytest.mark.parametrize("rate", [200, None])
def test_what_was_never_answered_is_said(server, tmp_path, rate):
    """The server stands still for good in the middle of the run: at a rate, what it leaves unanswered is no fast tail."""
    options = ["-r", rate] if rate else []
    started = start_load(
        tmp_path, "-c", 4, "-d", "1s", "--drain-timeout", "300ms", "-i", "50ms", *options, target=server
    )
    lines = iter(started[1].stdout)
    next(line for line in lines if "load" in line and "echoes/s=0 " not in line)
    os.kill(server.worker, signal.SIGSTOP)
    try:
        outcome = finish_load(started, 20)
    finally:
        os.kill(server.worker, signal.SIGCONT)
    summary = outcome.summary
    assert summary["unfinished"] > 0, outcome
    never = summary["started"] - summary["ok"]
    censored = summary["unfinished"] if rate else 0
    assert summary["censored"] == censored
    assert outcome.result["latency_us"]["count"] == summary["ok"] + censored
    report = outcome.report.replace(",", "")
    assert f"over {summary['ok'] + censored} of {summary['started']} operations; {never} were never answered" in report
    if (
        rate
    ):  # due at even times over nearly a second (the watchdog lets a worker stand for two), and none of it answered
        assert outcome.result["latency_us"]["p50"] > 300_000, outcome
        assert outcome.result["latency_uncorrected_us"]["p50"] < 300_000, outcome
