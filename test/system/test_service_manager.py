"""What a service manager sees: notifications, watchdog, sockets it hands over, log levels. systemd itself is played by
the tests: a datagram socket for the notifications, an exec for the sockets."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

import harness
import rawssh
from harness import wait_until

pytestmark = pytest.mark.skipif(
    "libsystemd: no" in harness.run_sshechod("--version").stdout, reason="built without libsystemd"
)

# Binds the sockets it is told to, and becomes the server as a service manager's child does: sockets from fd 3 on.
HAND_OVER = """
import os, socket, sys
addresses, command = sys.argv[1].split(","), sys.argv[2:]
sockets = []
for address in addresses:
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sockets.append(socket.create_server((host.strip("[]"), int(port)), family=family, backlog=100))
copies = [os.dup(each.fileno()) for each in sockets]
high = [os.dup2(copy, 100 + i) for i, copy in enumerate(copies)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
os.environ["LISTEN_FDS"] = str(len(high))
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(command[0], command)
"""


class Manager:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, directory):
        self.path = str(directory / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.messages = []  # (monotonic time, text)

    def read(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.messages.append((time.monotonic(), self.socket.recv(4096).decode()))
        return [text for _, text in self.messages]

    def wait(self, text, timeout=10, count=1):
        """Waits for the count-th message with this assignment in it."""
        return wait_until(
            lambda: len([each for each in self.read() if text in each.split("\n")]) >= count,
            timeout,
            lambda: f"{text} among {self.read()}",
        )

    def environment(self, **more):
        return {"NOTIFY_SOCKET": self.path, **more}


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path)
    yield made
    made.socket.close()


def test_ready_and_stopping(serve, manager):
    server = serve(environment=manager.environment())
    manager.wait("READY=1")
    with rawssh.Client(server.address) as client:  # ready means ready
        client.login()
    assert not any("STOPPING=1" in text for text in manager.read())
    server.stop()
    manager.wait("STOPPING=1")
    assert len([text for text in manager.read() if "READY=1" in text]) == 1


def test_ready_comes_after_the_workers(serve, manager):
    server = serve(workers=2, environment=manager.environment())
    manager.wait("READY=1")
    assert len(server.workers()) == 2
    assert server.lines("ready")


def test_reload_is_told(serve, manager):
    server = serve(config="# nothing\n", environment=manager.environment())
    manager.wait("READY=1")
    server.signal(signal.SIGHUP)
    manager.wait("RELOADING=1")
    manager.wait("READY=1", count=2)
    texts = manager.read()
    reloading = next(text for text in texts if "RELOADING=1" in text)
    assert re.search(r"^MONOTONIC_USEC=\d+$", reloading, re.M)
    assert texts.index(reloading) > 0 and "READY=1" in texts[-1]


def test_failed_reload_ends_the_reloading_too(serve, manager):
    server = serve(config="# nothing\n", environment=manager.environment())
    server.config_path.write_text("nonsense = 1\n")
    server.signal(signal.SIGHUP)
    manager.wait("RELOADING=1")
    manager.wait("READY=1", count=2)


@pytest.mark.alone
def test_watchdog_is_fed_at_least_twice_as_often_as_asked(serve, manager):
    server = serve(environment=manager.environment(WATCHDOG_USEC="600000"))
    manager.wait("WATCHDOG=1", count=8)
    times = [when for when, text in manager.messages if text == "WATCHDOG=1"]
    server.signal(signal.SIGSTOP)  # what a watchdog is for
    before = len(manager.read())
    time.sleep(0.5)
    assert len(manager.read()) == before
    server.signal(signal.SIGCONT)
    manager.wait("WATCHDOG=1", count=len(times) + 2)
    assert times[-1] - times[0] < 0.6 * len(times)


def test_watchdog_goes_on_while_draining(serve, manager):
    server = serve(environment=manager.environment(WATCHDOG_USEC="600000"), options={"drain-timeout": "20s"})
    client = rawssh.Client(server.address).login()
    channel = client.shell()
    client.echo(channel, b"x")
    server.signal(signal.SIGTERM)
    manager.wait("STOPPING=1")
    already = len([text for text in manager.read() if text == "WATCHDOG=1"])
    manager.wait("WATCHDOG=1", count=already + 3)
    channel.finish()
    client.close()
    assert server.wait(5) == 0


def test_no_watchdog_unless_asked(serve, manager):
    serve(environment=manager.environment())
    manager.wait("READY=1")
    time.sleep(0.5)
    assert "WATCHDOG=1" not in manager.read()


def test_workers_say_nothing(serve, manager, tmp_path):
    """Every message comes from the master: systemd would drop others, and believe them where it is told to."""
    manager.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    server = serve(workers=2, config="# nothing\n", environment=manager.environment(WATCHDOG_USEC="300000"))
    senders, end = set(), time.monotonic() + 1
    while time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            _, extra, _, _ = manager.socket.recvmsg(4096, socket.CMSG_SPACE(12))
            senders.add(int.from_bytes(extra[0][2][:4], sys.byteorder))
        time.sleep(0.01)
    assert senders == {server.pid}


def test_socket_of_notifications_that_is_gone(serve, manager):
    server = serve(environment={"NOTIFY_SOCKET": manager.path + "-not-there"})
    with rawssh.Client(server.address) as client:
        assert client.login().echo(client.shell(), b"x") == b"x"


# -- sockets that are handed over


@contextlib.contextmanager
def handed(tmp_path, addresses, *arguments, config='listen = "127.0.0.1:1"\n'):
    """A server that got its sockets from us; yields it as harness.Server does."""
    server = harness.Server(tmp_path, config=config, arguments=arguments, listen=())
    server.command = [sys.executable, "-c", HAND_OVER, ",".join(addresses), *server.command]
    with harness.running(server):
        yield server


def test_handed_sockets_are_served(tmp_path):
    with handed(tmp_path, ["127.0.0.1:0", "[::1]:0"]) as server:
        assert len(server.addresses) == 2, "the key listen was used as well"
        for address in server.addresses:
            with rawssh.Client(address) as client:
                assert client.login().echo(client.shell(), b"handed") == b"handed"


def test_handed_sockets_survive_a_reload(tmp_path):
    with handed(tmp_path, ["127.0.0.1:0"]) as server:
        before = server.addresses
        worker = server.worker
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.workers() and worker not in server.workers(), 5, "a new worker")
        server.read_ports()
        assert server.addresses == before
        with rawssh.Client(server.address) as client:
            assert client.login().echo(client.shell(), b"x") == b"x"


def test_handed_sockets_survive_an_upgrade(tmp_path, manager):
    with handed(tmp_path, ["127.0.0.1:0", "127.0.0.1:0"]) as server:
        before = server.addresses
        with rawssh.Client(server.address) as client:
            channel = client.login().shell()
            server.signal(signal.SIGUSR2)
            server.wait_line("upgraded", 20)
            server.read_ports()
            assert server.addresses == before
            for address in before:
                with rawssh.Client(address) as other:
                    assert other.login().echo(other.shell(), b"x") == b"x"
            assert client.echo(channel, b"y") == b"y"


def test_upgrade_is_told(serve, manager):
    server = serve(environment=manager.environment(), config="# nothing\n")
    manager.wait("READY=1")
    server.signal(signal.SIGUSR2)
    manager.wait("READY=1", 20, count=2)
    kinds = [re.findall(r"^(READY|RELOADING|STOPPING)=1", text, re.M) for text in manager.read()]
    assert [each[0] for each in kinds if each] == ["READY", "RELOADING", "READY"], "the rehearsal spoke too"
    assert any(re.search(r"^MONOTONIC_USEC=\d+$", text, re.M) for text in manager.read())
    server.config_path.write_text("nonsense 1\n")  # and one that fails ends the reloading too
    server.signal(signal.SIGUSR2)
    manager.wait("READY=1", 20, count=3)


def test_socket_for_another_process_is_left_alone(serve):
    server = serve(environment={"LISTEN_FDS": "1", "LISTEN_PID": "1"})
    with rawssh.Client(server.address) as client:
        client.login()


def test_handed_socket_off_loopback_needs_the_decision_of_the_configuration(tmp_path):
    command = [sys.executable, "-c", HAND_OVER, "0.0.0.0:0", str(harness.SSHECHOD), "-o", "log-level=error"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert result.returncode == 2
    assert "0.0.0.0" in result.stderr and result.stderr.count("\n") == 1
    with handed(tmp_path, ["0.0.0.0:0"], config='listen = "0.0.0.0:1"\nallow-anonymous = yes\n') as server:
        with rawssh.Client(("127.0.0.1", server.port)) as client:
            assert client.login().echo(client.shell(), b"x") == b"x"
        assert server.lines("ready")[0]["profile"] == "exposed"


def test_systemds_own_activation(tmp_path):
    program = shutil.which("systemd-socket-activate")
    if program is None:
        pytest.skip("systemd-socket-activate is not installed")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
    log = open(tmp_path / "log", "wb")
    process = subprocess.Popen(
        [program, "-l", f"127.0.0.1:{port}", str(harness.SSHECHOD), "--workers", "1"], stdout=log, stderr=log
    )
    try:
        wait_until(lambda: listens(port), 10, "the activating socket")
        with rawssh.Client(("127.0.0.1", port), handshake=False) as client:  # the first one starts it
            client.handshake(10)
            assert client.login().echo(client.shell(), b"woken") == b"woken"
        process.terminate()
        assert process.wait(15) == 0, (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait()
        log.close()


def listens(port):
    return any(
        line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
        for line in open("/proc/net/tcp").read().splitlines()[1:]
    )


# -- the journal


def test_levels_for_the_journal(serve):
    server = serve(environment={"JOURNAL_STREAM": "1:1"})
    os.kill(server.worker, signal.SIGKILL)
    wait_until(lambda: "worker_lost" in server.log(), 5, "the loss in the log")
    for line in server.log().splitlines():
        level = re.search(r"level=(\w+)", line).group(1)
        wanted = {"error": "<3>", "warn": "<4>", "info": "<6>", "debug": "<7>"}[level]
        assert line.startswith(wanted + "time="), line


# -- the unit file

UNIT = harness.ROOT / "conf" / "deploy" / "sshechod.service"


def test_unit_is_hardened():
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    result = subprocess.run(
        [program, "security", "--offline=true", "--no-pager", str(UNIT)], capture_output=True, text=True, timeout=60
    )
    exposure = re.search(r"Overall exposure level[^:]*: ([\d.]+)", result.stdout)
    assert exposure, result.stdout + result.stderr
    assert float(exposure.group(1)) <= 2.0, result.stdout


def test_units_have_no_mistakes(tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    units = []
    for name in ("sshechod.service", "sshechod.socket"):
        text = (UNIT.parent / name).read_text().replace("/usr/sbin/sshechod", str(harness.SSHECHOD))
        (tmp_path / name).write_text(text.replace("User=sshechod", "User=root").replace("Group=sshechod", "Group=root"))
        units.append(str(tmp_path / name))
    result = subprocess.run([program, "verify", "--man=no", *units], capture_output=True, text=True, timeout=60)
    complaints = [line for line in result.stderr.splitlines() if "sshechod" in line]
    assert not complaints, complaints
