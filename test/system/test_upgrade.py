"""SIGUSR2: another program in place of the running one, and nobody who is connected or connects notices."""

import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

import clients
import harness
import rawssh
from harness import wait_until
from rawssh import pattern

pytestmark = pytest.mark.alone

UPGRADES = int(os.environ.get("UPGRADES", "10"))


class Installed:
    """A copy of the program that packages come and overwrite, as they do: by rename."""

    def __init__(self, directory):
        self.path = directory / "sbin-sshechod"
        self.put(harness.SSHECHOD.read_bytes())

    def put(self, content, mode=0o755):
        new = self.path.with_suffix(".new")
        new.write_bytes(content)
        new.chmod(mode)
        new.rename(self.path)

    def upgrade(self):
        self.put(harness.SSHECHOD.read_bytes())


@pytest.fixture
def installed(tmp_path):
    return Installed(tmp_path)


def upgrade(server, count=1):
    server.signal(signal.SIGUSR2)
    return server.wait_line("upgraded", 30, count=count)


def descriptors(pid):
    """What a process has open, without what only numbers tell apart."""
    return sorted(re.sub(r"\d+", "N", path) for path in harness.open_files(pid))


class Knocker(threading.Thread):
    """Connects hundreds of times a second, and reads the banner each time."""

    def __init__(self, address):
        super().__init__()
        self.address, self.count, self.failures, self.over = address, 0, [], False
        self.slowest = 0

    def run(self):
        while not self.over:
            start = time.monotonic()
            try:
                with socket.create_connection(self.address, 10) as client:
                    if not client.recv(4).startswith(b"SSH-"):
                        self.failures.append("no banner")
            except OSError as error:
                self.failures.append(repr(error))
            self.count += 1
            self.slowest = max(self.slowest, time.monotonic() - start)
            time.sleep(max(0, 0.002 - (time.monotonic() - start)))


def test_upgrades_lose_nobody(serve, installed):
    server = serve(program=installed.path, workers=2, options={"drain-timeout": "5m", "watchdog": "20s"})
    fresh, fresh_kib, worker_kib = (
        [descriptors(pid) for pid in (server.pid, server.workers()[0])],
        harness.rss_kib(server.pid),
        harness.rss_kib(server.workers()[0]),
    )
    load = subprocess.Popen(
        [str(harness.SSHLOAD), "-m", "ping", "-c", "200", "--rate", "400", "-d", "10m", "127.0.0.1:%d" % server.port],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    knocker = Knocker(server.address)
    try:
        wait_until(lambda: len(server.lines("accept")) >= 200, 30, "200 sessions")
        knocker.start()
        done = 0
        for turn in range(UPGRADES):
            if turn == UPGRADES // 2:
                installed.put(b"#!/bin/sh\necho what is this >&2\nexit 3\n")
                server.signal(signal.SIGUSR2)
                why = server.wait_line("upgrade_failed", 20)["why"]
                assert "status 3" in why and "what is this" in why
                installed.upgrade()
                continue
            installed.upgrade()
            done += 1
            upgrade(server, done)
        assert load.poll() is None
    finally:
        knocker.over = True
        load.send_signal(signal.SIGINT)
        text = load.communicate(timeout=30)[0]
        if knocker.ident:
            knocker.join()
    assert re.search(r"200 up at the end, 200 at most, 0 lost", text), text
    assert re.search(r"0 failed \+ 0 timed out", text), text
    assert not knocker.failures and knocker.count > 100, (knocker.count, knocker.failures[:5])
    print(f"{done} upgrades, {knocker.count} connects, the slowest {knocker.slowest * 1000:.0f} ms")
    wait_until(lambda: len(server.workers()) == 2, 20, "the workers of the last program alone")
    wait_until(
        lambda: [descriptors(pid) for pid in (server.pid, server.workers()[0])] == fresh,
        5,
        lambda: f"the descriptors of a fresh start {fresh}, not {descriptors(server.pid)} and "
        f"{descriptors(server.workers()[0])}",
    )
    assert harness.rss_kib(server.pid) < fresh_kib * 1.2 + 1024
    assert harness.rss_kib(server.workers()[0]) < worker_kib * 1.3 + 4096
    assert not server.lines("worker_lost") and not server.lines("worker_stuck")


def test_an_upgrade_is_the_same_server(serve, installed, dial):
    """Same process, same port, same throw-away key, new configuration; counters go on."""
    server = serve(
        program=installed.path, config="channels-per-connection 1\n", options={"metrics-listen": "127.0.0.1:0"}
    )
    pid, worker = server.pid, server.worker
    fresh = descriptors(worker)
    before = clients.fingerprint(server)
    client = dial(server)
    channel = client.shell()
    installed.upgrade()
    server.config_path.write_text("channels-per-connection 2\n")
    upgrade(server)
    assert client.echo(channel, pattern(300_000)) == pattern(300_000)
    assert clients.fingerprint(server) == before and server.pid == pid
    with rawssh.Client(server.address) as other:
        other.login().shell()
        assert other.open().opened, "the configuration is the old one"
    assert os.readlink(f"/proc/{pid}/exe") == str(installed.path)
    channel.finish()
    client.close()
    wait_until(lambda: worker not in server.workers() and server.metrics_process(), 10, "the old worker to leave")
    wait_until(
        lambda: descriptors(server.worker) == fresh,
        5,
        lambda: f"a worker with the descriptors of a fresh start {fresh}, not {descriptors(server.worker)}",
    )
    server.signal(signal.SIGUSR1)
    assert int(server.wait_line("totals")["accepted"]) >= 3
    server.signal(signal.SIGHUP)  # and it reloads as any other
    server.wait_line("ready", count=3)


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"#!/bin/sh\nexec sleep 100\n", "deadline"),
        (b"#!/bin/sh\nexit 0\n", "no answer"),
        (b"#!/bin/sh\nkill -SEGV $$\n", "signal 11"),
        (b"no program at all", "cannot be executed"),
        (None, "no program"),
    ],
)
def test_a_program_that_cannot_take_over(serve, installed, dial, content, reason):
    server = serve(program=installed.path, options={"ready-timeout": "2s"})
    client = dial(server)
    channel = client.shell()
    fresh, worker = descriptors(server.pid), server.worker
    if content is None:
        installed.path.unlink()
    else:
        installed.put(content)
    server.signal(signal.SIGUSR2)
    failed = server.wait_line("upgrade_failed", 20)
    assert reason in failed["why"] and "goes on" in failed["note"]
    assert client.echo(channel, b"x") == b"x"
    assert server.workers() == [worker] and descriptors(server.pid) == fresh
    installed.upgrade()
    upgrade(server)
    assert client.echo(channel, b"y") == b"y"


def test_a_configuration_that_the_new_program_refuses(serve, installed, dial):
    server = serve(program=installed.path, config="# nothing\n")
    client = dial(server)
    channel = client.shell()
    worker = server.worker
    server.config_path.write_text("nonsense 1\n")
    server.signal(signal.SIGUSR2)
    assert "sshechod.conf:1" in server.wait_line("upgrade_failed", 20)["why"]
    assert client.echo(channel, b"x") == b"x" and server.workers() == [worker]


def test_signals_during_an_upgrade_are_heard_by_one_of_the_two(serve, installed):
    server = serve(program=installed.path, config="# nothing\n", options={"drain-timeout": "2s"})
    for _ in range(3):
        server.signal(signal.SIGUSR2)
        for _ in range(5):
            server.signal(signal.SIGHUP)
            server.signal(signal.SIGUSR1)
            time.sleep(0.02)
    wait_until(lambda: server.lines("upgraded"), 20, "an upgrade")
    server.stop()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1], ids=lambda sent: sent.name)
def test_a_signal_as_the_old_program_leaves_is_heard(serve, installed, tmp_path, sent):
    """It comes together with the end of the rehearsal, which the old program answers by becoming the new one."""
    server = serve(program=installed.path, config="# nothing\n")
    gate, worker = tmp_path / "gate", server.worker
    installed.put(f'#!/bin/sh\nuntil [ -e {gate} ]; do sleep 0.01; done\nexec {harness.SSHECHOD} "$@"\n'.encode())
    server.signal(signal.SIGUSR2)
    server.wait_line("upgrade_rehearsal", 20)
    (rehearsal,) = set(server.workers()) - {worker}
    server.signal(signal.SIGSTOP)
    try:
        gate.touch()
        wait_until(lambda: not harness.is_running(rehearsal), 20, "the end of the rehearsal")
        server.signal(sent)
    finally:
        server.signal(signal.SIGCONT)
    if sent == signal.SIGUSR1:
        server.wait_line("totals", 10)
        server.wait_line("upgraded", 20)
    else:
        server.wait_line("stopping", 10)
        assert server.wait(15) == 0


def test_first_process_of_a_container(tmp_path, installed):
    """As pid 1 it stays pid 1."""
    if subprocess.run(["unshare", "--fork", "--pid", "true"], capture_output=True).returncode != 0:
        pytest.skip("no right to make a process namespace here")
    log, ports = tmp_path / "log", tmp_path / "ports"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child", str(installed.path), "--listen", "127.0.0.1:0",
             "--workers", "1", "--port-file", str(ports)], stderr=out, stdin=subprocess.DEVNULL)  # fmt: skip
    try:
        wait_until(ports.exists, 20, "the server")
        first = harness.children(process.pid)[0]
        host, _, port = ports.read_text().strip().rpartition(":")
        with rawssh.Client((host, int(port))) as client:
            channel = client.login().shell()
            os.kill(first, signal.SIGUSR2)
            wait_until(lambda: "event=upgraded" in log.read_text(), 20, "the upgrade")
            assert client.echo(channel, b"x") == b"x"
        assert harness.children(process.pid) == [first]
        os.kill(first, signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()
