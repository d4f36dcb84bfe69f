"""What sshload says about its own run: was the offered load carried, and was the generator itself the limit."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sshload_helpers import load

OVERLOAD = ["-c", 1, "-r", 100, "-d", "2s", "--request", "exec:echo delay=14ms"]  # carries some 70 a second


def verdict(outcome):
    assert "Offered" in outcome.report, outcome
    return outcome.result["offered"]


def test_a_load_that_is_not_carried(server, tmp_path):
    """Every message is answered in the end, so that nothing else tells."""
    outcome = load(tmp_path, *OVERLOAD, target=server)
    offered = verdict(outcome)
    assert outcome.code == 1 and outcome.errors == {} and outcome.summary["ok"] == 200, outcome
    assert offered["sustained"] is False and offered["backlog"] > 20 and offered["latency_slope"] > 0.2, outcome
    assert offered["per_s"] > 99 and offered["achieved_per_s"] < 90
    assert "not sustained" in outcome.report and "not sustained" in outcome.complaints
    assert any(remark.startswith("not sustained") for remark in outcome.result["generator"]["remarks"])


def test_who_asks_about_it_decides(server, tmp_path):
    outcome = load(tmp_path, *OVERLOAD, "--fail-if", "sustained < 1", target=server)
    assert outcome.code == 99 and "sustained < 1" in outcome.complaints, outcome
    outcome = load(tmp_path, *OVERLOAD, "--fail-if", "sustained > 1", target=server)
    assert outcome.code == 0, outcome


def test_a_count_that_takes_longer_than_its_rate(server, tmp_path):
    outcome = load(tmp_path, "-c", 1, "-r", 100, "-n", 150, "--request", "exec:echo delay=14ms", target=server)
    assert outcome.code == 1 and not verdict(outcome)["sustained"], outcome


def test_connections_that_find_no_slot(server, tmp_path):
    options = ["-m", "connect", "-c", 1, "-r", 100, "-d", "1s", "--request", "exec:echo delay=50ms"]
    outcome = load(tmp_path, *options, target=server)
    assert outcome.code == 1 and not verdict(outcome)["sustained"], outcome
    assert verdict(outcome)["backlog"] > 50, outcome


def test_connections_that_find_no_slot_in_the_end_either(server, tmp_path):
    """They count among the latencies as long as they have waited, as the messages of a busy channel do."""
    options = ["-m", "connect", "-c", 2, "-t", 2, "-r", 200, "-d", "1s", "--drain-timeout", "300ms"]
    outcome = load(tmp_path, *options, "--request", "exec:echo delay=100ms", target=server)
    summary, latency = outcome.summary, outcome.result["latency_us"]
    assert outcome.code == 1 and outcome.errors == {} and summary["failed"] == 0, outcome
    assert summary["started"] == summary["ok"] + summary["unfinished"] == 200, outcome
    assert summary["censored"] == summary["unfinished"] > 100 and latency["count"] == 200, outcome
    assert latency["max"] > 1_000_000 and latency["p50"] > 400_000 and latency["mean"] > 400_000, outcome
    assert f"{summary['unfinished']} of them counted as long as they had waited" in outcome.report, outcome
    assert not verdict(outcome)["sustained"]


def test_connections_that_find_a_slot_late_are_late_and_not_lost(server, tmp_path):
    """What was due when the measured time was over is done in the drain, as it is for messages."""
    options = ["-m", "connect", "-c", 1, "-r", 20, "-d", "1s", "--request", "exec:echo delay=100ms"]
    outcome = load(tmp_path, *options, "--drain-timeout", "20s", target=server)
    assert outcome.summary["started"] == outcome.summary["ok"] == 20 and outcome.errors == {}, outcome
    assert verdict(outcome)["backlog"] > 5 and outcome.result["latency_us"]["max"] > 800_000, outcome


def test_a_far_server_is_not_an_overloaded_one(server, tmp_path):
    """A quarter of the load is on its way at any time, and stays a quarter."""
    options = ["-c", 2, "-r", 100, "-d", "2s", "--pipeline", 100, "--request", "exec:echo delay=500ms"]
    outcome = load(tmp_path, *options, target=server)
    assert outcome.code == 0 and verdict(outcome)["sustained"], outcome
    assert 30 <= verdict(outcome)["backlog"] <= 70, outcome


def test_a_closed_loop_offers_nothing(server, tmp_path):
    outcome = load(tmp_path, "-n", 100, target=server)
    assert outcome.code == 0 and outcome.result["offered"] is None and "Offered" not in outcome.report, outcome


# -- the generator


def test_a_generator_that_shares_its_core_says_so(server, tmp_path):
    core = max(os.sched_getaffinity(0))
    loops = [
        subprocess.Popen([sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"])
        for _ in range(2)
    ]
    try:
        for options in (["-c", 20], ["-c", 20, "-r", 2000]):
            outcome = load(
                tmp_path, "-d", "1s", *options, target=server, preexec_fn=lambda: os.sched_setaffinity(0, {core})
            )
            generator = outcome.result["generator"]
            assert generator["client_bound"] and generator["run_delay"] > 0.1, outcome
            assert "waited for a CPU" in outcome.report, outcome
    finally:
        for each in loops:
            each.kill()
            each.wait()


def own_group(controller):
    """Where this process stands in the hierarchy of a controller ("": version 2), or None."""
    mount = Path("/sys/fs/cgroup", controller)
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return mount / path.lstrip("/")
    return None


def make_limited(percent):
    """A control group whose processes get so much of one core, in whichever version lets us."""
    refused = "no hierarchy with a cpu controller"
    for controller, limits in (
        ("", {"cpu.max": f"{percent * 1000} 100000"}),
        ("cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": str(percent * 1000)}),
    ):
        parent = own_group(controller)
        if parent is None or not (parent / "cgroup.procs").exists():
            continue
        group = parent / f"sshecho-test-{os.getpid()}"
        try:
            group.mkdir()
            for name, value in limits.items():
                (group / name).write_text(value)
            return group
        except OSError as error:
            refused = str(error)
            with contextlib.suppress(OSError):
                group.rmdir()
    pytest.skip(f"no control group to limit: {refused}")


@pytest.fixture
def limited():
    """preexec_fn of a process that gets a tenth of a core."""
    group = make_limited(10)

    def enter():
        (group / "cgroup.procs").write_text(str(os.getpid()))

    yield enter
    for _ in range(100):  # the kernel takes a moment to see that its processes have ended
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.02)
    raise AssertionError(f"{group} is not empty")


@pytest.mark.alone
def test_a_generator_that_its_control_group_holds_back_says_so(server, tmp_path, limited):
    outcome = load(tmp_path, "-d", "1500ms", "-c", 20, target=server, preexec_fn=limited)
    generator = outcome.result["generator"]
    assert generator["client_bound"] and generator["throttled"] > 0.1, outcome
    assert "client-bound: the CPU quota of its control group" in outcome.report, outcome
    # the same quota, and less to do than it allows
    options = ["-d", "1500ms", "-c", 2, "--request", "exec:echo delay=20ms"]
    idle = load(tmp_path, *options, target=server, preexec_fn=limited)
    generator = idle.result["generator"]
    assert not generator["client_bound"] and generator["throttled"] < 0.02, idle
    assert "CPU quota" not in idle.report, idle


@pytest.mark.alone
def test_a_generator_with_nothing_to_do_is_not_the_limit(server, tmp_path):
    outcome = load(tmp_path, "-c", 2, "-d", "2s", "--request", "exec:echo delay=20ms", target=server)
    generator = outcome.result["generator"]
    assert not generator["client_bound"], outcome
    assert generator["windows"] >= 10 and generator["busy_windows"] == 0, outcome


@pytest.mark.alone
def test_spinning_takes_a_core_and_is_not_called_busy(server, tmp_path):
    outcome = load(tmp_path, "-c", 2, "-r", 100, "-d", "1s", "--spin", target=server)
    generator = outcome.result["generator"]
    assert outcome.code == 0 and outcome.summary["ok"] == 100, outcome
    assert generator["cpu_s"] > 0.3, outcome
    assert generator["busiest_thread_cpu"] < generator["cpu_s"] * 0.7, outcome


# -- loads with a shape


def test_a_profile_is_followed(server, tmp_path):
    """So many in all, in each second, and for as long as the profile says."""
    outcome = load(tmp_path, "-r", "0..400 over 1s, 400 for 1s, spike 1000 for 500ms", target=server)
    assert outcome.code == 0 and outcome.summary["ok"] == 200 + 400 + 500, outcome
    assert outcome.result["about"]["options"]["rate"].startswith("0..400 over 1s"), outcome
    assert abs(outcome.summary["seconds"] - 2.5) < 0.2 and "open loop at 0..400 over 1s" in outcome.report, outcome
    assert verdict(outcome)["sustained"] and len(outcome.result["offered"]["slices"]) == 7, outcome
    counts = [entry["count"] for entry in outcome.result["offered"]["slices"]]
    assert counts == [13, 37, 63, 87, 400, 500, 0], outcome  # by due time: no busy machine moves these


def test_a_plain_rate_is_a_number(server, tmp_path):
    outcome = load(tmp_path, "-r", "2k", "-n", 100, target=server)
    assert outcome.result["about"]["options"]["rate"] == 2000 and outcome.result["offered"]["slices"] == [], outcome
    outcome = load(tmp_path, "-n", 100, target=server)
    assert outcome.result["about"]["options"]["rate"] == 0, outcome


def test_a_spike_that_is_not_carried_is_named(server, tmp_path):
    """All of it is answered long before the end, which a look at the whole would be content with."""
    profile = "30 for 1s, spike 300 for 500ms, 5 for 4s"
    options = ["-c", 1, "-r", profile, "--request", "exec:echo delay=14ms"]
    outcome = load(tmp_path, *options, target=server)
    assert outcome.code == 1 and outcome.summary["ok"] == 30 + 150 + 20, outcome
    assert verdict(outcome)["sustained"] is False and verdict(outcome)["backlog"] < 5, outcome
    assert 'in "spike 300 for 500ms"' in outcome.report, outcome


def test_arrivals_by_chance(server, tmp_path):
    outcome = load(tmp_path, "-r", 512, "--arrivals", "poisson", "-n", 512, target=server)
    assert outcome.code == 0 and outcome.summary["ok"] == 512, outcome
    assert abs(outcome.summary["seconds"] - 1) < 0.3, outcome
    assert outcome.result["about"]["options"]["arrivals"] == "poisson", outcome
