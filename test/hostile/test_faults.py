"""Rows 53-55, 57 and 58: honest clients, while the system around the server fails: memory, accept, signals, the clock."""

import contextlib
import os
import shutil
import signal
import subprocess
import time

import pytest

import harness
import rawssh
from arena import lifted
from counts import reduced
from harness import wait_until
from judge import TIMES_COUNT
from rawssh import pattern


class Switch:
    """The long that the preloaded library reads."""

    def __init__(self, directory):
        self.path = directory / "switch"
        self.path.write_bytes(bytes(8))
        self.path.chmod(0o644)

    def set(self, value):
        with open(self.path, "r+b") as file:
            file.write(value.to_bytes(8, "little", signed=True))


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    """Builds a library to preload that lets calls fail by plan."""
    if harness.is_sanitized():
        pytest.skip("a preloaded library and ASan do not go together")
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler")
    out = tmp_path_factory.mktemp("shim") / "faults.so"
    source = harness.ROOT / "test" / "hostile" / "faults.c"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(out), str(source), "-ldl"], check=True)
    return out


@pytest.mark.parametrize("error", ["ECONNABORTED", "EPROTO", "ENETDOWN", "ENOBUFS", "EMFILE", "EPERM", "EINTR"])
def test_row_54_accept_errors(serve, shim, error):
    """Every other accept fails; connections come in all the same."""
    server = serve(environment={"LD_PRELOAD": str(shim), "FAULT_ACCEPT": error})
    for _ in range(20):
        with rawssh.Client(server.address) as client:
            assert client.login().echo(client.shell(), b"x") == b"x"


@pytest.mark.parametrize("every", [50, 2000])
def test_row_53_allocations_fail_in_every_phase(serve, shim, tmp_path, every):
    """One allocation in `every` fails in the worker: clients are lost, the server never is."""
    switch = Switch(tmp_path)
    server = serve(
        environment={"LD_PRELOAD": str(shim), "FAULT_MALLOC": str(every), "FAULT_SWITCH": str(switch.path)},
        options={"login-timeout": "2s", "banner-timeout": "1s", "kex-timeout": "2s"},
    )
    done = failed = 0
    switch.set(1)
    for _ in range(40):
        data = got = pattern(50_000)
        try:
            with rawssh.Client(server.address, handshake=False) as client:
                client.patience = 2
                client.handshake(2)
                client.login()
                channel = client.shell()
                got = client.echo(channel, data, 5)
            done += 1
        except Exception:  # lost, refused, late, badly signed: all allowed. Wrong bytes are not.
            failed += 1
        assert got == data
    switch.set(0)
    wait_until(lambda: server.workers(), 10, "a worker")

    harness.wait_served(server, 15, "service after memory is back")
    assert failed, f"the faults hit nothing, {done} sessions went through"


def test_row_53_address_space_limit(serve):
    """A worker that may hold little memory sheds clients or is replaced; the server goes on."""
    if harness.is_sanitized():
        pytest.skip("ASan reserves terabytes of address space")
    server = serve(options={"address-space": "160M", "channels-per-connection": 1000})
    worker, clients = server.worker, []
    for _ in range(25):
        with contextlib.suppress(ConnectionError, OSError, AssertionError):
            client = rawssh.Client(server.address).login()
            clients.append(client)
            for _ in range(8):
                channel = client.shell(window=1000, auto=False)  # 0.11 opens its own window once it has echoed
                channel.feed(pattern(1_300_000))
            client.idle(0.15)
    lost = sum(client.closed for client in clients) + 25 - len(clients)
    refused = server.lines("refuse") or server.lines("worker_exit") or worker not in server.workers()
    assert lost or refused, "the limit was never met"
    for client in clients:
        client.violations.clear()
        client.close()
    harness.wait_served(server, 15, "service again")


@reduced(100, 1000)
def test_row_55_sigterm_under_active_echoes(serve, count):
    """Sessions go on until the deadline and then end; what came back until then is what was sent."""
    server = serve(workers=2, options={"drain-timeout": "2s", **lifted("max-per-source")})
    clients = [rawssh.Client(server.address).login() for _ in range(count)]
    sent = pattern(20_000)
    for client in clients:
        channel = client.shell()
        channel.feed(sent)
        client.step()
    start = time.monotonic()
    server.signal(signal.SIGTERM)
    while server.process.poll() is None and time.monotonic() - start < 8:
        for client in clients:
            for channel in client.channels.values():
                if not channel.outgoing and channel.received == channel.sent and not client.closed:
                    channel.feed(sent[:5000])
            client.step()
    assert server.wait(1) == 0
    assert time.monotonic() - start < 5 or not TIMES_COUNT
    for client in clients:
        client.step()
        (channel,) = client.channels.values()
        expected = sent + sent[:5000] * (max(0, channel.received - 20_000) // 5000 + 1)
        assert expected.startswith(bytes(channel.data)), "not what was sent"
        client.close()
    assert sum(channel.received for each in clients for channel in each.channels.values()) > count * 20_000


def test_row_55_sigint_in_key_exchange(serve):
    server = serve(options={"drain-timeout": "1s"})
    clients = [rawssh.Client(server.address, handshake=False) for _ in range(20)]
    for client in clients:
        client.send_banner()
        client.start_kex()
        client.flush()
    server.signal(signal.SIGINT)
    assert server.wait(5) == 0
    for client in clients:
        client.close()


def test_row_55_storm_of_signals(serve):
    server = serve(workers=2, config="# nothing\n", options={"drain-timeout": "1s"})
    client = rawssh.Client(server.address).login()
    channel = client.shell()
    client.echo(channel, b"x")
    for number in [signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGPIPE, signal.SIGCONT] * 10:
        server.signal(number)
        time.sleep(0.01)
    assert client.echo(channel, pattern(1000)) == pattern(1000), "the session did not live through it"
    client.close()
    wait_until(lambda: len(server.workers()) == 2, 10, "two workers again")
    with rawssh.Client(server.address) as fresh:
        assert fresh.login().echo(fresh.shell(), b"x") == b"x"


def test_signals_to_a_worker_do_not_stop_the_service(serve):
    """A worker is sent the signals that were meant for the master."""
    server = serve()
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGINT, signal.SIGTERM):
        pid = wait_until(lambda: server.workers(), 5, "a worker")[0]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        time.sleep(0.1)

        harness.wait_served(server, 10, f"service after {number.name} to the worker")


@pytest.mark.parametrize("step", [3600, -3600])
def test_row_57_clock_steps(serve, shim, tmp_path, step):
    """The wall clock jumps by an hour: no deadline fires, none is put off."""
    clock = Switch(tmp_path)
    server = serve(
        environment={"LD_PRELOAD": str(shim), "FAULT_CLOCK": "1", "FAULT_SWITCH": str(clock.path)},
        options={"login-timeout": "2s", "idle-timeout": "100s"},
    )
    held = rawssh.Client(server.address).login()
    channel = held.shell()
    held.echo(channel, b"x")
    clock.set(step)
    assert held.echo(channel, b"y") == b"y"
    waiting = rawssh.Client(server.address)
    start = time.monotonic()
    waiting.wait_end(8)
    waiting.close()
    assert 1 < time.monotonic() - start < 5
    assert held.echo(channel, pattern(10_000)) == pattern(10_000)
    assert harness.is_running(server.worker)
    held.close()


@reduced(300, 10_000)
def test_row_58_everyone_comes_back_after_a_restart(serve, count):
    """All workers die at once with their clients; all reconnect at the same moment."""
    patience_s = 20 + count // 50  # of a client that computes ten thousand handshakes by itself
    slow = {name: f"{patience_s}s" for name in ("banner-timeout", "kex-timeout", "login-timeout")}
    server = serve(workers=2, options=lifted("max-per-source", "max-unauthenticated") | (slow if count > 1000 else {}))
    clients = [rawssh.Client(server.address).login() for _ in range(count)]
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    start = time.monotonic()
    for client in clients:
        client.wait_end(10)
        client.close()
    again = [rawssh.Client(server.address, handshake=False) for _ in range(count)]
    for client in again:
        client.send_banner()
        client.start_kex()
        client.step()
    for client in again:
        client.wait(lambda: client.kex_count == 1, 40, "key exchange after the restart")
        client.login()
    assert time.monotonic() - start < 40 + patience_s
    assert again[-1].echo(again[-1].shell(), b"x") == b"x"
    for client in again:
        client.close()
