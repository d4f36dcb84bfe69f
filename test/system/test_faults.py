"""Faults of the system around the server, in numbers: how many, what they cost, how soon all is well again.

Each test prints one line of figures (pytest -s). FAULTS=full, as scripts/faults sets it, does more of everything.
What test/hostile has already (rows 50 to 58: accept errors, clock steps, resets in each phase) is not repeated here.
"""

import contextlib
import mmap
import os
import random
import resource
import signal
import struct
import subprocess
import time

import pytest
from cryptography.exceptions import InvalidSignature

import figures
import harness
import rawssh
from fault_helpers import FULL, begin_load, outcome, tell
from harness import wait_until
from rawssh import pattern


GONE = (ConnectionError, OSError, rawssh.PacketError)


# ---- memory


class Plan:
    """What failing_malloc.so reads."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(16))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 16)

    def arm(self, count):
        self.map[:] = struct.pack("<qq", count, 0)

    def fired(self):
        return struct.unpack("<qq", self.map)[1] > 0


@pytest.fixture
def failing_malloc():
    if harness.is_sanitized():
        pytest.skip("a preloaded allocator and ASan do not go together")
    library = harness.BUILD / "test" / "failing_malloc.so"
    subprocess.run(["make", "-s", f"BUILD={harness.BUILD}", str(library)], cwd=harness.ROOT, check=True)
    return library


def whole_session(server):
    """Every phase of a connection, a re-key included. True, or False when it was cut off; wrong bytes are an error."""
    data = pattern(3000)
    channel = None
    client = None
    try:
        client = rawssh.Client(server.address)
        client.login()
        channel = client.shell()
        client.echo(channel, data[:1000], 9)
        client.rekey(timeout=9)
        client.echo(channel, data[1000:], 9)
        channel.finish(9)
        return True
    except (*GONE, InvalidSignature):  # the latter: libssh signs what it could not finish to hash
        return False
    except AssertionError as refusal:  # of the login, the channel or the shell; time that runs out is an error
        if "refused" not in str(refusal):
            raise
        return False
    finally:
        if channel is not None:
            assert bytes(channel.data) == data[: len(channel.data)], "wrong bytes after a failed allocation"
        if client is not None:
            client.violations.clear()
            client.close()


def test_allocation_failures_one_by_one(serve, failing_malloc, tmp_path):
    """The Nth allocation of a connection fails, for each N there is (in short runs, for some of them)."""
    plan = Plan(tmp_path / "plan")
    short = {
        "banner-timeout": "2s",
        "kex-timeout": "2s",
        "login-timeout": "2s",
        "no-progress-timeout": "2s",
        "idle-timeout": "2s",
    }
    server = serve(
        environment={"LD_PRELOAD": str(failing_malloc), "FAULT_PLAN": str(plan.path)},
        options={**figures.OPTIONS, **short},
    )
    assert whole_session(server) and whole_session(server)
    deadline = time.monotonic() + (600 if FULL else 15)
    source = random.Random(1)
    faults = served = cut = lost = n = 0
    worst = 0.0
    while time.monotonic() < deadline:
        n += 1 if FULL else source.randrange(1, 8)
        before = server.workers()
        plan.arm(n)
        whole = whole_session(server)
        fired = plan.fired()
        plan.arm(0)
        if not fired:
            assert whole, "a session failed without a fault"
            break
        faults, served, cut = faults + 1, served + whole, cut + (not whole)
        if server.workers() != before:
            lost += 1
            worst = max(worst, harness.wait_served(server))
    assert faults > 20, f"only {faults} faults"
    harness.wait_served(server)
    wait_until(lambda: figures.metric(server, "connections") == 0, 10, "end of all connections")
    tell(
        f"{faults} failed allocations (up to the {n}th of a connection): {served} connections went on exactly, {cut} were "
        f"ended, 0 wrong bytes; worker lost {lost} times, service again within {worst:.2f} s"
    )
    assert lost <= faults // 10, "failed allocations bring workers down"


# ---- file descriptors


def test_1000_connections_and_64_fds(serve):
    server = serve(limit=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    worker = server.worker
    with rawssh.Client(server.address) as first:
        first.login()
        channel = first.shell()
        crowd = []
        for _ in range(1000):
            with contextlib.suppress(OSError):
                crowd.append(rawssh.connect(server.address))
        wait_until(lambda: server.lines("accept_paused"), 10, "the pause")
        before, start = harness.cpu_seconds(worker) + harness.cpu_seconds(server.pid), time.monotonic()
        time.sleep(2)
        used = harness.cpu_seconds(worker) + harness.cpu_seconds(server.pid) - before
        share = used / (time.monotonic() - start)
        assert share < 0.05, f"{100 * share:.1f} % of a core while there are no fds"
        assert first.echo(channel, pattern(100_000)) == pattern(100_000)
        for sock in crowd:
            sock.close()
        recovery = harness.wait_served(server)
        assert first.echo(channel, b"y") == b"y"
    assert server.workers() == [worker]
    tell(
        f"{len(crowd)} connections at 64 fds: {100 * share:.1f} % CPU while paused, service {recovery:.2f} s after they left"
    )


@pytest.mark.alone
def test_many_clients_stand_still(serve):
    """All clients of a process are stopped in the middle of their streams, then continued: nothing is missing."""
    clients = 1000 if FULL else 100
    server = serve(options=figures.OPTIONS)
    worker = server.worker
    process, result = begin_load(
        server,
        "-m",
        "stream",
        "-c",
        str(clients),
        "--connecting",
        "16",
        "-d",
        "25s" if FULL else "6s",
        "-T",
        "60s",
        "--handshake-timeout",
        "60s",
        "--drain-timeout",
        "60s",
    )
    try:
        wait_until(lambda: figures.metric(server, "channels") >= clients, 60, f"{clients} streams")
        wait_until(lambda: figures.metric(server, "received_bytes_total") > 100_000 * clients, 60, "traffic")
        process.send_signal(signal.SIGSTOP)
        time.sleep(1)  # what is on its way arrives
        before, rss = harness.cpu_seconds(worker), harness.rss_kib(worker)
        with rawssh.Client(server.address) as other:
            other.login()
            channel = other.shell()
            start = time.monotonic()
            for number in range(50):
                assert other.echo(channel, pattern(200, number)) == pattern(200, number)
                time.sleep(0.02)
            assert time.monotonic() - start < 10
        used = harness.cpu_seconds(worker) - before
        assert used < 0.3, f"{used:.2f} s of CPU for clients that stand still"
        assert harness.rss_kib(worker) < rss * 1.1 + 2048, "memory grows while clients stand still"
    finally:
        process.send_signal(signal.SIGCONT)
    code, answer = outcome(process, result)
    assert code == 0 and not answer["errors"], f"{code}: {answer['errors']}"
    assert answer["summary"]["bytes"] > 0
    wait_until(lambda: figures.metric(server, "connections") == 0, 20, "end of all connections")
    tell(
        f"{clients} clients stopped and continued: {answer['summary']['bytes']} bytes echoed exactly, worker's CPU meanwhile "
        f"{used:.2f} s, its memory {rss // 1024} MiB ({rss // clients} KiB a client)"
    )


def test_resets_at_random_moments(serve):
    """A reset (SO_LINGER 0) after some bytes or some milliseconds of a session: banner to re-key."""
    rounds = 2000 if FULL else 150
    server = serve(options=figures.OPTIONS)
    assert whole_session(server)
    fds, rss = harness.fd_count(server.worker), harness.rss_kib(server.worker)
    source = random.Random(3)
    for _ in range(rounds):
        client = rawssh.Client(server.address, handshake=False)
        client.send_banner()
        client.start_kex()
        steps = source.randrange(1, 30)
        with contextlib.suppress(*GONE):
            for step in range(steps):
                client.step(0.002)
                if step == 6 and client.kex_count:
                    client.send(client.auth_request("tester", "none"))
                if client.kex_count and step == 2:
                    client.send(rawssh.byte(rawssh.SERVICE_REQUEST) + rawssh.string("ssh-userauth"))
                if client.authenticated and not client.channels:
                    client.open(wait=False)
                for channel in client.channels.values():
                    if channel.opened and not channel.sent:
                        channel.shell(wait=False)
                        channel.feed(pattern(40_000))
                    elif channel.received and source.random() < 0.2 and not client.exchanging:
                        client.start_kex()
        client.violations.clear()
        client.reset()
    wait_until(lambda: figures.metric(server, "connections") == 0, 10, "end of all connections")
    by_phase = {}
    for line in server.lines("close"):
        by_phase[line["phase"]] = by_phase.get(line["phase"], 0) + 1
    assert len(by_phase) >= 3, f"resets in {by_phase} alone"
    assert harness.served(server)
    wait_until(lambda: harness.fd_count(server.worker) <= fds, 10, "return of the fds")
    if not harness.is_sanitized():
        wait_until(lambda: harness.rss_kib(server.worker) < rss * 1.05 + 1024, 5, "return of the memory")
    tell(f"{rounds} resets, by phase {by_phase}: no worker lost, fds and memory back to base")


@pytest.mark.alone
def test_sessions_go_on_after_a_stall(serve):
    """The server stands still while sessions are due, so that every slot of the generator is busy: all are made up for."""
    server = serve(options=figures.OPTIONS)
    process, result = begin_load(server, "-m", "connect", "-c", "1", "-r", "20", "-d", "4s", "--drain-timeout", "20s")
    wait_until(lambda: figures.metric(server, "logins_total") >= 5, 20, "the first sessions")
    for _ in range(3):
        os.kill(server.worker, signal.SIGSTOP)
        time.sleep(0.3)
        os.kill(server.worker, signal.SIGCONT)
        time.sleep(0.3)
    code, answer = outcome(process, result)
    assert code == 0 and answer["summary"]["ok"] == answer["summary"]["started"] == 80, f"{code}: {answer['errors']}"


# ---- several at once


@pytest.mark.alone
@pytest.mark.skipif(not FULL, reason="long: scripts/faults runs it")
def test_reconnect_storm_of_1000(serve):
    server = serve(workers=2, options=figures.OPTIONS)
    process, result = begin_load(
        server,
        "-m",
        "hold",
        "-c",
        "1000",
        "--connecting",
        "64",
        "-d",
        "20s",
        "--retry",
        "10ms",
        "--handshake-timeout",
        "60s",
    )
    wait_until(lambda: figures.metric(server, "connections", state="open") >= 1000, 60, "1,000 sessions")
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    start = time.monotonic()
    wait_until(lambda: figures.metric(server, "connections", state="open") < 1000, 10, "fewer sessions")
    wait_until(lambda: figures.metric(server, "connections", state="open") >= 1000, 60, "1,000 sessions again")
    back = time.monotonic() - start
    outcome(process, result)
    tell(f"both workers killed with 1,000 sessions: all back after {back:.1f} s")
