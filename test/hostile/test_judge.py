"""The judge itself: who is guilty is convicted, who is quiet is not."""

import os
import signal
import time

import pytest

from judge import TIMES_COUNT, Figures, verdict

by_its_times = pytest.mark.skipif(not TIMES_COUNT, reason="JUDGE=harm: times are not judged")


def stand_still(pid, seconds):
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_quiet_server_is_acquitted(arena):
    arena.start()
    time.sleep(2)
    guilty = arena.judge()
    if guilty:
        raise guilty


@by_its_times
def test_one_pause_of_200_ms_is_convicted(arena):
    server = arena.start()
    time.sleep(1)
    stand_still(server.worker, 0.2)
    time.sleep(0.5)
    found = str(arena.judge())
    assert "an echo took" in found or "echoes took more than" in found, found


@by_its_times
def test_many_short_pauses_are_convicted(arena):
    """No echo is late beyond measure, but one in four is late."""
    server = arena.start()
    for _ in range(20):
        stand_still(server.worker, 0.03)
        time.sleep(0.07)
    found = str(arena.judge())
    assert "took more than" in found or "an echo took" in found, found


def test_lost_sessions_are_convicted(arena):
    server = arena.start(alone=True)
    arena.worker_survives = False
    time.sleep(0.2)
    os.kill(server.worker, signal.SIGKILL)
    found = str(arena.judge())
    assert "harmed" in found, found


def load(p99_ms, latest=None, count=1000):
    return Figures([(p99_ms / 2, count * 97 // 100), (p99_ms, count * 3 // 100)], latest or {})


@pytest.mark.parametrize(
    "during, quiet, reference, guilty",
    [
        (load(4.9), load(0.3), load(0.3), None),
        (load(5.1), load(0.3), load(0.3), "took more than 5.0 ms"),
        (load(7.9), load(4), load(0.3), None),
        (load(8.1), load(4), load(0.3), "took more than 8.0 ms"),
        (load(7.9), load(0.3), load(4), None),  # the machine is slow for everyone
        (load(8.1), load(0.3), load(4), "took more than 8.0 ms"),
        (load(1, {7: 49}), load(1), load(1), None),
        (load(1, {7: 51}), load(1), load(1), "an echo took 51.0 ms"),
        (load(1, {7: 200}), load(1), load(1, {8: 180}), None),  # a pause of the whole machine
        (load(1, {7: 200}), load(1), load(1, {7: 100}), "an echo took 200.0 ms"),  # is no excuse for a longer one
        (load(1, {7: 200}), load(1), load(1, {9: 180}), "an echo took 200.0 ms"),  # nor for one at another time
        (load(1, count=0), load(1), load(1), "not one echo"),
        (Figures([(1, 50), (100, 2)], {}), load(1), load(1), None),
        (Figures([(1, 50), (100, 3)], {}), load(1), load(1), "3 echoes took more than"),
        (Figures([(1, 50)], {}, "lost"), load(1), load(1), "harmed: lost"),
        (load(500, {7: 500}), None, None, None),  # times are not judged
        (Figures([(1, 50)], {}, "lost"), None, None, "harmed: lost"),
    ],
)
def test_the_rule(during, quiet, reference, guilty):
    found = verdict(during, quiet, reference)
    assert (found is None) == (guilty is None), found
    assert guilty is None or guilty in str(found)
