"""sshload ends, whatever happens to the last operation, and its books are right when it does."""

import contextlib
import signal
import threading
import time

import pytest

import harness
from bad_servers import listener, relay, says_nothing
from sshload_helpers import finish_load, load, start_load


HASTE = ["--connect-timeout", "1s", "--handshake-timeout", "2s", "--timeout", "1s", "--drain-timeout", "1s"]


def clean(outcome):
    assert outcome.code == 0 and outcome.errors == {}, outcome
    assert outcome.summary["ok"] == outcome.summary["started"] > 0, outcome
    return outcome


# -- a run by count ends


@pytest.mark.parametrize("options", [[], ["-t", 2], ["-c", 4, "-t", 3]], ids=str)
def test_count_at_a_rate_with_a_target_that_refuses(server, tmp_path, options):
    """The last operations belong to a session that never was: nobody is left to see them fail."""
    outcome = load(
        tmp_path,
        "-c",
        2,
        "-r",
        200,
        "-n",
        100,
        *options,
        *HASTE,
        target=[server.address, ("127.0.0.1", harness.free_port())],
        timeout=15,
    )
    assert outcome.code == 1
    assert outcome.summary["started"] == 100 == outcome.summary["ok"] + outcome.summary["failed"], outcome
    assert outcome.summary["ok"] >= 25, outcome


def test_count_at_a_rate_whose_warm_up_outlives_the_sessions(server, tmp_path):
    outcome = load(
        tmp_path,
        "-c",
        2,
        "-r",
        100,
        "-n",
        10,
        "-w",
        "300ms",
        *HASTE,
        target=("127.0.0.1", harness.free_port()),
        timeout=15,
    )
    assert outcome.code == 1 and outcome.summary["started"] == outcome.summary["failed"] == 10, outcome


def test_count_with_retry_and_a_server_that_has_gone(tmp_path):
    """--retry tries again for ever, but not when nothing has come up for a round of time-outs."""
    outcome = load(
        tmp_path, "-c", 2, "-n", 10, "--retry", "50ms", *HASTE, target=("127.0.0.1", harness.free_port()), timeout=20
    )
    assert outcome.code == 1 and outcome.summary["failed"] == outcome.summary["started"] == 10, outcome
    assert outcome.errors["not-issued"] == 10, outcome


@pytest.mark.parametrize("channels", [1, 3])
def test_reconnect_after_counts_messages_not_greetings(server, tmp_path, channels):
    outcome = clean(
        load(tmp_path, "-n", 12, "-c", 1, "-C", channels, "--reconnect-after", channels, target=server, timeout=20)
    )
    assert outcome.summary["ok"] == 12
    assert 12 / channels <= outcome.summary["connects_up"] <= 12 / channels + 1, outcome


# -- what was never due is not counted, and sums are not walked


def test_interrupt_before_traffic_counts_nothing(tmp_path):
    arrived = threading.Event()
    with listener(lambda connection: (connection.recv(100), arrived.set(), says_nothing(connection))) as address:
        started = start_load(tmp_path, "-c", 2, "-r", 20000, "-d", "24h", "--progress", target=address)
        assert arrived.wait(20)
        started[1].send_signal(signal.SIGINT)
        outcome = finish_load(started, 15)
    assert outcome.code == 1 and outcome.result["interrupted"], outcome
    assert outcome.summary["started"] == outcome.summary["failed"] == 0, outcome


def test_interrupt_in_the_warm_up_counts_nothing(server, tmp_path):
    started = start_load(tmp_path, "-c", 2, "-r", 1000, "-w", "60s", "-d", "24h", "-i", "50ms", target=server)
    for line in started[1].stdout:
        if "load" in line:
            break
    started[1].send_signal(signal.SIGINT)
    outcome = finish_load(started, 15)
    assert outcome.summary["started"] == outcome.summary["failed"] == 0, outcome


@pytest.mark.parametrize("mode", ["ping", "connect"])
def test_a_day_of_work_for_a_dead_server_is_counted_at_once(tmp_path, mode):
    """In connect mode slots are tried again and again, so there the run is interrupted."""
    started = start_load(
        tmp_path,
        "-m",
        mode,
        "-c",
        3,
        "-t",
        2,
        "-r",
        20000,
        "-d",
        "24h",
        *HASTE,
        target=("127.0.0.1", harness.free_port()),
    )
    if mode == "connect":
        time.sleep(1)
        began = time.monotonic()
        started[1].send_signal(signal.SIGINT)
        outcome = finish_load(started, 15)
        summary = outcome.summary
        assert 0 < summary["failed"] < summary["unfinished"] < 200_000, outcome
        assert summary["unfinished"] == summary["censored"] == outcome.result["latency_us"]["count"], outcome
    else:
        began = time.monotonic()
        outcome = finish_load(started, 60)
        assert outcome.summary["started"] == outcome.summary["failed"] == 20000 * 86400, outcome
    assert time.monotonic() - began < 5


# -- nothing is begun that is not ended


def test_no_reconnect_in_the_middle_of_a_message(server, tmp_path):
    """3 MB do not fit a window, so a message is half sent most of the time."""
    clean(load(tmp_path, "-c", 2, "-d", "2s", "-s", "3M", "--reconnect-every", "50ms", target=server, timeout=30))


@pytest.mark.alone
def test_no_reconnect_in_the_middle_of_a_message_at_a_rate(server, tmp_path):
    clean(
        load(
            tmp_path, "-c", 2, "-d", "2s", "-r", 10, "-s", "3M", "--reconnect-every", "50ms", target=server, timeout=30
        )
    )


@pytest.mark.alone
def test_a_busy_channel_at_a_rate_is_reconnected_all_the_same(server, tmp_path):
    outcome = clean(
        load(
            tmp_path,
            "-c",
            1,
            "-d",
            "1s",
            "-r",
            2000,
            "--pipeline",
            64,
            "--reconnect-every",
            "100ms",
            "--request",
            "exec:echo delay=20ms",
            target=server,
            timeout=30,
        )
    )
    assert outcome.summary["connects_up"] >= 5, outcome


@contextlib.contextmanager
def relay_that_is_slow_to_close(address, pause_s=1.2):
    """Passes messages of 1,000 bytes at once; EOF with CLOSE, small and more than a lone packet, the first time late."""
    spent = threading.Event()

    def serve_one(client):
        spoke = False

        def passed(from_client, data):
            nonlocal spoke
            if from_client and spoke and 60 < len(data) < 500 and not spent.is_set():
                spent.set()
                time.sleep(pause_s)
            spoke = spoke or from_client and len(data) >= 1000
            return data

        relay(client, address, passed)

    with listener(serve_one) as own:
        yield own
    assert spent.is_set()


CLOSING_AT_THE_END = ["-c", 1, "-s", 1000, "-d", "500ms", "--reconnect-after", 1]


def test_what_was_due_while_a_session_was_replaced_is_done_in_the_end(server, tmp_path):
    """The measured time is over while the session closes to come back; the messages that wait for it are late, not lost."""
    with relay_that_is_slow_to_close(server.address) as address:
        outcome = load(tmp_path, *CLOSING_AT_THE_END, "-r", 10, "--fail-if", "sustained < 0", target=address)
    clean(outcome)
    assert outcome.summary["ok"] == 5 and outcome.summary["connects_up"] == 2, outcome
    assert outcome.result["latency_us"]["max"] >= 700_000  # and it shows


@pytest.mark.parametrize("options", [[], ["--no-final-ping"]], ids=str)
def test_a_held_session_that_is_being_replaced_in_the_end_is_waited_for(server, tmp_path, options):
    with relay_that_is_slow_to_close(server.address) as address:
        outcome = clean(
            load(tmp_path, *CLOSING_AT_THE_END, "-m", "hold", "--sample-interval", "100ms", *options, target=address)
        )
    assert outcome.summary["sessions_held"] == outcome.summary["sessions_up"] == 1, outcome


def test_a_stream_that_is_being_replaced_in_the_end_was_one(server, tmp_path):
    """Of twelve that begin anew as soon as they stand some are always about it."""
    options = ["-m", "stream", "--direction", "down", "-c", 12, "-d", "300ms", "--reconnect-every", "1ms"]
    outcome = clean(load(tmp_path, *options, target=server))
    assert outcome.summary["sessions_up"] < outcome.summary["started"] == 12, outcome


def test_small_messages_of_a_stream_are_all_started(server, tmp_path):
    """More than 65536 messages fit the window: what one channel cannot hold yet is begun later, not lost."""
    outcome = clean(load(tmp_path, "-m", "stream", "-s", 1, "-n", 200_000, "-c", 1, target=server, timeout=60))
    assert outcome.summary["started"] == 200_000


# -- how many connect at once, and when they try again


class Crowd:
    """Accepts, and lets nobody go on, until it has seen how many come at once."""

    def __init__(self):
        self.now = self.most = 0

    def serve_one(self, connection):
        self.now += 1
        self.most = max(self.most, self.now)
        time.sleep(0.15)
        self.now -= 1


@pytest.mark.parametrize(
    "options, most",
    [
        (["--connecting", 2, "-t", 6], 2),
        (["--connecting", 3, "-t", 2], 3),
        (["--connecting", 8, "-t", 1], 8),
        (["--connecting", 5, "-t", 3, "--shard", "1/2"], 3),
    ],
    ids=str,
)
def test_connecting_is_a_cap_on_the_whole_run(tmp_path, options, most):
    crowd = Crowd()
    with listener(crowd.serve_one) as address:
        outcome = load(tmp_path, "-c", 24, "-d", "100ms", *options, *HASTE, target=address, timeout=30)
    assert outcome.summary["connects_tried"] == (12 if "--shard" in options else 24), outcome
    assert crowd.most == most, outcome


def test_fewer_connecting_than_shards_is_refused(tmp_path):
    outcome = load(tmp_path, "-c", 24, "--connecting", 2, "--shard", "1/3", target="127.0.0.1:1")
    assert outcome.code == 2 and "--connecting" in outcome.complaints, outcome


@pytest.mark.parametrize(
    "mode, options, pause",
    [("ping", ["--retry", "20ms"], 0.020), ("connect", [], 0.010), ("connect", ["--retry", "30ms"], 0.030)],
)
def test_retry_and_pause_are_exact(tmp_path, mode, options, pause):
    times = []

    def hang_up(connection):
        times.append(time.monotonic())
        connection.sendall(b"SSH-2.0-x\r\n")

    with listener(hang_up) as address:
        load(tmp_path, "-m", mode, "-c", 1, "-d", "1s", *options, *HASTE, target=address, timeout=20)
    gaps = sorted(b - a for a, b in zip(times, times[1:]))
    assert len(gaps) > 5
    assert pause <= gaps[len(gaps) // 2] + 0.002 and gaps[len(gaps) // 2] < pause + 0.03, gaps


# -- what is the generator's, and what is not


def test_waiting_for_a_slot_is_no_slip_of_the_generator(server, tmp_path):
    """Two slots and a server that takes 50 ms for each session: due connections wait for the server."""
    outcome = load(
        tmp_path,
        "-m",
        "connect",
        "-c",
        2,
        "-r",
        100,
        "-d",
        "2s",
        "--request",
        "exec:echo delay=50ms",
        target=server,
        timeout=30,
    )
    assert outcome.result["latency_us"]["p99"] > 500_000, outcome
    assert outcome.result["schedule_slip_us"]["p50"] < 20_000, outcome
    assert not any("started late" in remark for remark in outcome.result["generator"]["remarks"]), outcome


def test_waiting_for_the_start_is_no_ramp(server, tmp_path):
    at = time.time() + 2.5
    outcome = clean(load(tmp_path, "-c", 4, "-d", "200ms", "--start-at", f"{at:.3f}", target=server))
    phases = outcome.result["phases"]
    assert phases["ramp_s"] < 1.5 < phases["ramp_s"] + phases["wait_s"], outcome
    assert outcome.summary["handshakes_per_s"] == pytest.approx(4 / phases["ramp_s"], rel=0.02)
