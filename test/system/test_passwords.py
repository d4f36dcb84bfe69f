"""Passwords whose hashes take long: whoever does not try one does not notice.

A check of the hash used here takes some tenths of a second of CPU (yescrypt, 64 MiB).
"""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

import figures
import harness
import rawssh
from harness import wait_until
from passwords import hashed
from rawssh import USERAUTH_FAILURE, USERAUTH_SUCCESS, boolean, pattern, string, u32

KERBEROS = bytes.fromhex("06092a864886f712010202")  # an object identifier, RFC 4121


@pytest.fixture(scope="module")
def password_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("passwords") / "file"
    path.write_text(f"quick:{hashed('secret', 'sha256')}\ncostly:{hashed('secret', 'costly')}\n")
    return path


@pytest.fixture
def guarded(serve, password_file):
    def start(methods="password", **options):
        return serve(
            options={**figures.OPTIONS, "auth-methods": methods, "password-file": password_file, "auth-attempts": 1000}
            | options
        )

    return start


def checkers(server):
    """[(the process that makes checkers, the checker)] of each worker."""
    found = []
    for worker in server.workers():
        for maker in filter(harness.is_running, harness.children(worker)):
            found += [(maker, pid) for pid in harness.children(maker) if harness.is_running(pid)]
    return found


def dial(server, user=None, password="secret"):
    client = rawssh.Client(server.address)
    if user:
        assert client.auth_password(user, password)
    else:
        client.service()
    return client


def ask(client, user="costly", password="wrong"):
    """Sends a login request and does not wait."""
    client.send(client.auth_request(user, "password", boolean(False) + string(password)))
    client.flush()


class Guessers:
    """Clients that try passwords one after the other, each waiting for its answer."""

    def __init__(self, server, count):
        self.clients = [dial(server) for _ in range(count)]
        self.over = threading.Event()
        self.answers = 0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        asked = dict.fromkeys(self.clients, 0)
        while not self.over.is_set():
            for client in self.clients:
                if len(client.auth_events) == asked[client]:
                    ask(client)
                    asked[client] += 1
                client.step(0.0)
                self.answers = sum(len(each.auth_events) for each in self.clients)
            time.sleep(0.02)

    def stop(self):
        self.over.set()
        self.thread.join()
        for client in self.clients:
            assert all(code == USERAUTH_FAILURE for code, _ in client.auth_events)
            client.reset()


@pytest.mark.alone
def test_quiet_sessions_do_not_notice_guesses(guarded):
    server = guarded()
    quiet = [dial(server, "quick") for _ in range(4)]
    channels = [client.shell() for client in quiet]
    guessers = Guessers(server, 50)
    try:
        wait_until(lambda: guessers.answers > 0, 20, "the first answer")
        begin, worst, echoes, beat = time.monotonic(), 0.0, 0, 0.0
        while time.monotonic() < begin + 4:
            for client, channel in zip(quiet, channels):
                start = time.monotonic()
                assert client.echo(channel, b"x" * 64) == b"x" * 64
                worst = max(worst, time.monotonic() - start)
                echoes += 1
            beat = max(beat, figures.metric(server, "worker_heartbeat_age_seconds"))
            time.sleep(0.01)
        checked = figures.metric(server, "password_checks_total")
    finally:
        guessers.stop()
    assert checked >= 3 and echoes > 100
    assert figures.metric(server, "password_checks_waiting") <= 50
    assert worst < 0.05, f"an echo took {worst * 1000:.0f} ms while passwords were tried"
    assert not server.lines("worker_lost")
    print(f"\n{echoes} echoes beside {checked:.0f} checks: the latest took {worst * 1000:.1f} ms")
    for client in quiet:
        client.close()


@pytest.mark.alone
def test_login_deadline_ends_those_who_wait(guarded):
    server = guarded(**{"login-timeout": "1500ms"})
    clients = [dial(server) for _ in range(20)]
    for client in clients:
        ask(client)
    for client in clients:
        client.wait_end(10)
    assert {line["reason"] for line in server.lines("close")} == {"login-timeout"}
    wait_until(lambda: figures.metric(server, "password_checks_waiting") == 0, 5, "an empty queue")
    client = dial(server, "quick")
    assert client.echo(client.shell(), b"here") == b"here"
    client.close()


def test_sources_take_turns(guarded):
    """One source has thirty guesses waiting; another's login waits for the one under way and one more."""
    server = guarded(**{"proxy-from": "127.0.0.1"})

    def proxied(source):
        client = rawssh.Client(server.address, handshake=False)
        client.sock.send(f"PROXY TCP4 {source} 127.0.0.1 4022 22\r\n".encode())
        client.handshake(10)
        client.service()
        return client

    many = [proxied("192.0.2.1") for _ in range(30)]
    for client in many:
        ask(client)
    other = proxied("192.0.2.2")
    assert other.auth_password("quick", "secret")
    total = figures.metric(server, "password_checks_total")
    assert total < 15, f"the login came after {total:.0f} checks"
    for client in [*many, other]:
        client.reset()


@pytest.mark.parametrize("how", ["reset", "close"])
def test_clients_that_leave_under_examination(guarded, how):
    """Connections die with their check under way or waiting; the right answers reach the right clients."""
    server = guarded()
    for number in range(6):
        leaving = [dial(server) for _ in range(4)]
        for client in leaving:
            ask(client, "costly" if number % 2 else "quick", "secret")
        staying = dial(server)
        ask(staying, "quick", "secret")
        for client in leaving:
            client.reset() if how == "reset" else client.close()
        staying.wait(lambda: staying.auth_events, 20, what="the answer")
        assert staying.auth_events[0][0] == USERAUTH_SUCCESS
        assert staying.echo(staying.shell(), pattern(1000)) == pattern(1000)
        staying.close()
    wait_until(lambda: figures.metric(server, "connections") == 0, 10, "the end of all connections")
    wait_until(lambda: figures.metric(server, "password_checks_waiting") == 0, 10, "an empty queue")


def test_requests_sent_at_once_are_answered_in_order(guarded):
    server = guarded("password,publickey,keyboard-interactive")
    client = dial(server)
    client.send(client.auth_request("quick", "none"))
    ask(client, "quick", "wrong")
    client.send(client.auth_request("quick", "hostbased", string("x")))
    client.send(client.auth_request("quick", "gssapi-with-mic", u32(1) + string(KERBEROS)))
    ask(client, "costly", "wrong")
    ask(client, "quick", "secret")
    client.wait(lambda: len(client.auth_events) >= 6, 20, what="six answers")
    assert [code for code, _ in client.auth_events] == [USERAUTH_FAILURE] * 5 + [USERAUTH_SUCCESS]
    assert client.echo(client.shell(), b"x") == b"x"
    client.close()


def test_flood_behind_a_check(guarded):
    """What a client sends on while its password is checked costs no more than its limit of memory."""
    server = guarded()
    client = dial(server)
    ask(client)
    before = harness.rss_kib(server.worker)
    client.sock.settimeout(0.2)
    request = client.auth_request("costly", "password", boolean(False) + string("x" * 30000))
    with contextlib.suppress(OSError, AssertionError):
        end = time.monotonic() + 3
        while time.monotonic() < end:
            client.send(request)
    assert harness.rss_kib(server.worker) - before < 4096
    client.reset()


def test_checker_is_confined_and_replaced(guarded):
    server = guarded()
    ((maker, checker),) = wait_until(lambda: checkers(server), 5, "a checker")
    for pid in (maker, checker):
        assert len([fd for fd in os.listdir(f"/proc/{pid}/fd") if int(fd) > 2]) == 1
        assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, server.worker)
    status = Path(f"/proc/{checker}/status")
    wait_until(lambda: "NoNewPrivs:\t1" in status.read_text(), 5, "the checker to have locked itself in")
    if "seccomp" in str(harness.run_sshechod("--version").stdout) and not harness.is_sanitized():
        wait_until(lambda: "Seccomp:\t2" in status.read_text(), 5, "the checker's filter")
    if os.geteuid() == 0:
        assert "CapEff:\t0000000000000000" in status.read_text()
    client = dial(server)
    ask(client)
    wait_until(lambda: figures.metric(server, "password_checks_total") == 1, 5, "a check under way")
    os.kill(checker, signal.SIGKILL)
    client.wait_end(10)
    assert server.wait_line("close")["reason"] == "internal"
    assert server.lines("password_checker_died")
    client = dial(server, "costly")
    client.close()
    os.kill(server.worker, signal.SIGKILL)
    wait_until(lambda: not harness.is_running(maker), 5, "the end of what belonged to the worker")
    wait_until(lambda: len(checkers(server)) == 1, 10, "a new worker with a checker")
    dial(server, "quick").close()


def test_no_checker_without_passwords(serve):
    server = serve()
    assert not harness.children(server.worker)
