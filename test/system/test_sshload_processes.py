"""A run of sshload in several processes: one load, one report, one end."""

import contextlib
import os
import resource
import signal
import time
import urllib.request
from pathlib import Path

import pytest

import harness
from bad_servers import listener
from sshload_helpers import finish_load, load, run_tool, start_load, target_of


def children_of(pid):
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@contextlib.contextmanager
def endless_load(directory, server, processes, *options):
    """A session each under load until somebody ends it, and the processes that hold them."""
    arguments = ["-c", processes, "--processes", processes, "-d", "60s", "-i", "50ms", *options]
    started = start_load(directory, *arguments, target=server)
    try:
        next(line for line in started[1].stdout if "load" in line)
        yield started, children_of(started[1].pid)
    finally:
        if started[1].poll() is None:
            started[1].kill()
            started[1].wait()


def test_as_many_as_the_descriptors_make_necessary(server, tmp_path):
    def few_descriptors():
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))

    outcome = load(
        tmp_path, "-m", "hold", "-c", 60, "-d", "300ms", target=server, preexec_fn=few_descriptors, timeout=60
    )
    assert outcome.code == 0 and outcome.summary["sessions_up"] == 60, outcome
    assert outcome.summary["sessions_pinged"] == 60, outcome
    assert outcome.result["processes"] == 3, "28 of 100 descriptors are for sessions"
    assert "3 threads in 3 processes" in outcome.report


def test_one_where_one_suffices(server, tmp_path):
    outcome = load(tmp_path, "-c", 4, "-n", 40, target=server)
    assert outcome.result["processes"] == 1 and "processes" not in outcome.report


@pytest.mark.parametrize("options", [["-r", 1000], ["-m", "connect"], ["-m", "connect", "-r", 300], []])
def test_a_count_is_that_of_all_together(server, tmp_path, options):
    """Whatever deals operations out to threads deals them out to the threads of all processes."""
    outcome = load(tmp_path, "-c", 7, "-t", 4, "--processes", 3, "-n", 101, *options, target=server)
    assert outcome.code == 0 and outcome.summary["started"] == outcome.summary["ok"] == 101, outcome
    assert outcome.result["processes"] == 3 and outcome.result["threads"] == 6, "each has as many"


def test_shards_in_processes_are_shards(server, tmp_path):
    files, start = [], f"{time.time() + 4:.3f}"  # by then all sessions stand, also on a busy machine
    for shard in (1, 2):
        options = ["--shard", f"{shard}/2", "--processes", shard + 1, "--start-at", start]
        started = start_load(tmp_path, "-c", 10, "-n", 50, *options, target=server, json_name=f"{shard}.json")
        files.append((started, tmp_path / f"{shard}.json"))
    for started, _ in files:
        assert finish_load(started).code == 0
    merged = run_tool("merge", *(path for _, path in files), "--json", tmp_path / "merged.json")
    assert merged.returncode == 0 and "5 threads in 5 processes" in merged.stdout, merged
    assert "50 started = 50 ok" in merged.stdout


def test_traffic_begins_when_all_sessions_of_all_stand(server, tmp_path):
    """The ramp is by number: the first process has its sessions long before the last."""
    outcome = load(tmp_path, "-c", 9, "--processes", 3, "--ramp", "600ms", "-d", "300ms", "-i", "100ms", target=server)
    rows = outcome.result["intervals"]["rows"]
    assert outcome.code == 0 and rows[0]["sessions"] == 9, rows
    ramp = [line for line in outcome.report.splitlines() if "  ramp  " in line]
    assert any(0 < int(line.split("sessions=")[1].split()[0]) < 9 for line in ramp), outcome


def test_ctrl_c_ends_all_and_reports_all(server, tmp_path):
    with endless_load(tmp_path, server, 3) as (started, parts):
        assert len(parts) == 3
        started[1].send_signal(signal.SIGINT)
        outcome = finish_load(started, 20)
    assert outcome.result["interrupted"] and outcome.summary["sessions_up"] == 3, outcome
    assert not any(map(is_alive, parts))


@pytest.mark.parametrize("at_once", [False, True])
def test_a_process_that_is_lost_ends_the_run(server, tmp_path, at_once):
    """Whether its link ends before it does, or both are seen together."""
    with endless_load(tmp_path, server, 3) as (started, parts):
        if at_once:
            started[1].send_signal(signal.SIGSTOP)
        os.kill(parts[1], signal.SIGKILL)
        if at_once:
            harness.wait_until(lambda: not is_alive(parts[1]), what="its end")
            started[1].send_signal(signal.SIGCONT)
        outcome = finish_load(started, 20)
    assert outcome.code == 1 and "process 2 of 3 was ended by signal 9" in outcome.complaints, outcome
    assert outcome.result is None and not any(map(is_alive, parts))


def test_nobody_loads_on_when_the_process_over_them_is_lost(server, tmp_path):
    with endless_load(tmp_path, server, 2) as (started, parts):
        started[1].kill()
        harness.wait_until(lambda: not any(map(is_alive, parts)), 20, "both to end")


def test_each_target_has_its_own_figures(serve, tmp_path):
    servers = [serve(), serve()]
    outcome = load(tmp_path, "-c", 6, "--processes", 3, "-n", 60, target=servers)
    assert outcome.code == 0, outcome
    targets = outcome.result["targets"]
    assert [each["target"] for each in targets] == [target_of(each) for each in servers]
    assert [each["connects_up"] for each in targets] == [3, 3]
    assert sum(each["ok"] for each in targets) == 60


def test_prometheus_sees_all_of_them(server, tmp_path):
    if "libmicrohttpd: yes" not in run_tool("--version").stdout:
        pytest.skip("built without libmicrohttpd")
    with endless_load(tmp_path, server, 3, "--metrics-listen", "127.0.0.1:0") as (started, _):
        url = started[1].stderr.readline().split()[-1]

        def page():
            with urllib.request.urlopen(url, timeout=10) as answer:
                lines = answer.read().decode().splitlines()
            return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

        harness.wait_until(lambda: page()["sshload_echoes_total"] > 100, 20, "echoes")
        seen = page()
        started[1].send_signal(signal.SIGINT)
        outcome = finish_load(started, 20)
    assert seen["sshload_sessions"] == seen["sshload_connections_wanted"] == seen["sshload_threads"] == 3, seen
    assert seen["sshload_measuring"] == 1 and seen["sshload_handshakes_total"] == 3, seen
    assert seen["sshload_cpu_seconds_total"] > 0 and "sshload_latency_seconds_count" not in seen, seen
    assert seen["sshload_echoes_total"] <= outcome.summary["started"], outcome


def test_an_address_that_is_taken_ends_all(server, tmp_path):
    if "libmicrohttpd: yes" not in run_tool("--version").stdout:
        pytest.skip("built without libmicrohttpd")
    with listener(lambda connection: None) as taken:
        options = ["-c", 2, "--processes", 2, "-d", "60s", "--metrics-listen", f"127.0.0.1:{taken[1]}"]
        done = run_tool(*options, target_of(server))
    assert done.returncode == 1 and "in use" in done.stderr and done.stderr.count("\n") == 1, done


def test_an_unusable_number_is_refused():
    for text in ("0", "257", "some"):
        done = run_tool("--processes", text, "127.0.0.1:1")
        assert done.returncode == 2 and "--processes: allowed: auto, or 1 to 256" in done.stderr, done
