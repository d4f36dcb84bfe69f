"""Hold mode says what it has tested: which of the sessions answered a ping, and which were only connected."""

import contextlib
import threading

import pytest

from bad_servers import listener, relay
from sshload_helpers import finish_load, load, start_load


@contextlib.contextmanager
def forgetful_relay(address):
    """A TCP relay that, once `forget` is set, passes nothing more of every second connection, and ends none of them:
    what a firewall or a balancer does that has lost its table. Yields (address, forget)."""
    forget = threading.Event()
    numbers = iter(range(1 << 30))

    def serve_one(client):
        number = next(numbers)
        relay(client, address, lambda _, data: b"" if forget.is_set() and number % 2 == 1 else data)

    with listener(serve_one) as own:
        yield own, forget


def hold(tmp_path, address, forget, *options):
    """20 sessions, one after the other, of which two (the first and the eleventh) are pinged now and then."""
    arguments = ["-m", "hold", "-c", 20, "--connecting", 1, "--sample", 2, "--sample-interval", "200ms", "-d", "1s"]
    started = start_load(tmp_path, *arguments, "-T", "4s", "--interval", "50ms", *options, target=address)
    for line in started[1].stdout:
        if " load " in line:
            forget.set()
            break
    return finish_load(started)


def test_a_session_that_only_the_last_ping_finds_lost_is_a_failure(server, tmp_path):
    with forgetful_relay(server.address) as (address, forget):
        outcome = hold(tmp_path, address, forget)
    assert outcome.code == 1, outcome
    summary = outcome.summary
    assert summary["sessions_held"] == 20 and summary["sessions_pinged"] == 10, outcome
    assert summary["sessions_up"] == summary["ok"] == 10 and summary["sessions_lost"] == 10, outcome
    assert summary["timed_out"] == 10 and outcome.errors == {"echo-timeout": 10}, outcome
    assert "10 of 20 sessions answered" in outcome.report


def test_without_the_last_ping_it_is_said_that_most_were_not_asked(server, tmp_path):
    with forgetful_relay(server.address) as (address, forget):
        outcome = hold(tmp_path, address, forget, "--no-final-ping")
    assert outcome.code == 0, outcome
    assert outcome.summary["sessions_held"] == outcome.summary["sessions_up"] == 20
    assert outcome.summary["sessions_pinged"] == 2
    assert "2 of 20 sessions answered; of the others only the connection is known" in outcome.report


@pytest.mark.parametrize(
    "options", [["-C", 3], ["-t", 3, "--sample", 0], ["--reconnect-after", 1, "--sample-interval", "200ms"]]
)
def test_every_session_is_pinged_in_the_end(server, tmp_path, options):
    outcome = load(tmp_path, "-m", "hold", "-c", 12, "-d", "500ms", *options, target=server)
    assert outcome.code == 0, outcome
    assert (
        outcome.summary["sessions_pinged"] == outcome.summary["sessions_held"] == outcome.summary["sessions_up"] == 12
    )
    assert "12 of 12 sessions answered\n" in outcome.report
    if "-C" in options:  # of the sample's pings, half of a round; those of the end are no part of it
        assert outcome.result["latency_us"]["count"] == 6


def test_the_last_pings_are_no_burst(server, tmp_path):
    """300 sessions at 2,000 a second take 150 ms, whatever else the machine does."""
    arguments = ["-m", "hold", "-c", 300, "-t", 2, "--connecting", 32, "--sample", 0, "-d", "100ms"]
    outcome = load(tmp_path, *arguments, target=server)
    assert outcome.code == 0, outcome
    assert outcome.summary["sessions_pinged"] == 300
    assert outcome.result["phases"]["drain_s"] >= 0.149
    outcome = load(tmp_path, *arguments, "--no-final-ping", target=server)
    assert outcome.code == 0 and outcome.summary["sessions_pinged"] == 0, outcome
