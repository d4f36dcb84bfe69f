"""Processes of the server that are killed or spin: how many sessions it costs, how soon all is well again."""

import contextlib
import os
import signal
import time

import pytest

import figures
import harness
import rawssh
from fault_helpers import FULL, begin_load, outcome, tell
from harness import wait_until
from rawssh import pattern


# ---- processes that are killed


def home_of(server, client):
    """The worker that holds a client's connection."""
    peer = "%s:%d" % client.sock.getsockname()[:2]
    return int(server.wait_line("accept", peer=peer)["pid"])


def test_workers_killed_under_load(serve):
    """kill -9 of one worker after the other under load: their clients come back, the others notice nothing."""
    kills = 20 if FULL else 4
    server = serve(workers=2, options=figures.OPTIONS)
    kept = 0
    process, result = begin_load(
        server, "-m", "ping", "-c", "40", "-r", "400", "-d", f"{kills * 1.2 + 1}s", "--retry", "50ms", "-T", "5s"
    )
    worst = 0.0
    wait_until(lambda: figures.metric(server, "connections") >= 40, 20, "the load")
    for _ in range(kills):
        workers = wait_until(lambda: len(server.workers()) == 2 and server.workers(), 5, "two workers")
        keepers = [rawssh.Client(server.address).login() for _ in range(6)]
        channels = [client.shell() for client in keepers]
        homes = [home_of(server, client) for client in keepers]
        victim, spared = sorted(workers, key=homes.count)
        os.kill(victim, signal.SIGKILL)
        start = time.monotonic()
        wait_until(lambda: len(set(server.workers()) - {victim}) == 2, 5, "another worker")
        worst = max(worst, time.monotonic() - start)
        for client, channel, home in zip(keepers, channels, homes):
            if home == spared:
                assert client.echo(channel, pattern(5000)) == pattern(5000)
                kept += 1
            client.close()
        time.sleep(0.3)
    code, answer = outcome(process, result)
    errors = {name: entry["count"] for name, entry in answer["errors"].items()}
    assert set(errors) <= {"closed", "not-issued", "refused"}, f"beside lost connections there were {errors}"
    assert answer["summary"]["ok"] > 0.5 * answer["summary"]["started"]
    assert harness.served(server)
    tell(
        f"{kills} workers killed under load: replaced within {worst:.2f} s, {answer['summary']['ok']} messages echoed exactly, "
        f"operations lost with the workers {errors}; {kept} sessions of the other worker watched, none lost"
    )


def test_master_killed_under_load(serve):
    """The workers go when their master does, after a drain; a new server has the port at once."""
    server = serve(workers=2, options={"drain-timeout": "2s"})
    client = rawssh.Client(server.address).login()
    channel = client.shell()
    process, result = begin_load(server, "-m", "ping", "-c", "20", "-d", "3s", "-T", "2s")
    wait_until(lambda: len(server.lines("accept")) >= 21, 20, "the load")
    workers = server.workers()
    os.kill(server.pid, signal.SIGKILL)
    start = time.monotonic()
    server.process.wait()
    try:
        successor = serve(listen=(f"127.0.0.1:{server.port}",))
        again = time.monotonic() - start
        assert harness.served(successor)
        assert client.echo(channel, pattern(20_000)) == pattern(20_000), "a session is to go on until the drain is over"
        wait_until(lambda: not any(harness.is_running(pid) for pid in workers), 10, "end of the orphaned workers")
        left = time.monotonic() - start
        client.wait_end(5)
        client.close()
        code, answer = outcome(process, result)
        assert "mismatch" not in answer["errors"]
    finally:
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        server.expected_exit = -signal.SIGKILL
    tell(
        f"master killed under load: the port served again after {again:.2f} s, sessions went on to the drain deadline (2 s), "
        f"orphans gone after {left:.2f} s"
    )


# ---- a worker that spins


def make_it_spin(client):
    """Opens with maximum packet size 10 and asks for an echo (SECURITY.md says why)."""
    channel = client.open(max_packet=10, window=1 << 20)
    channel.shell(wait=False)
    channel.feed(bytes(30_000))
    for _ in range(20):
        client.step(0.01)
    client.violations.clear()


def test_worker_that_spins_is_replaced_and_its_maker_held_off(serve):
    server = serve(workers=2, options={"profile": "exposed", "allow-anonymous": "yes", "crypto-shortcuts": "no"})
    if harness.libssh_version() >= (0, 11):
        pytest.skip("this libssh does not spin at maximum packet size 10")
    worst = 0.0
    held_off = rounds = kept = 0
    while not held_off and rounds < 6:
        rounds += 1
        keepers = [rawssh.Client(server.address).login() for _ in range(6)]
        channels = [client.shell() for client in keepers]
        homes = [home_of(server, client) for client in keepers]
        client = rawssh.Client(server.address).login()
        victim = home_of(server, client)
        start = time.monotonic()
        make_it_spin(client)
        wait_until(lambda: victim not in server.workers() and len(server.workers()) == 2, 6, "replacement")
        worst = max(worst, time.monotonic() - start)
        client.close()
        for keeper, channel, home in zip(keepers, channels, homes):
            if home != victim:
                assert keeper.echo(channel, pattern(3000)) == pattern(3000)
                kept += 1
            keeper.close()
        held_off = not harness.served(server)
    assert worst < 3, f"replacement took {worst:.1f} s"
    assert held_off, f"not held off after {rounds} times"
    assert server.wait_line("refuse")["reason"] == "held-off"
    tell(
        f"worker spun {rounds} times: replaced within {worst:.2f} s of the request, {kept} sessions of the other worker "
        f"watched, none lost; the source is held off after {rounds} times"
    )
