"""Two servers behind HAProxy as conf/deploy/haproxy.cfg has it: who the clients are, what they see when a server is
killed, drained, or full."""

import concurrent.futures
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

import harness
import rawssh
from harness import wait_until
from sshload_helpers import finish_load, start_load

pytestmark = pytest.mark.skipif(
    "libmicrohttpd: no" in harness.run_sshechod("--version").stdout, reason="built without libmicrohttpd"
)

CONFIG = harness.ROOT / "conf" / "deploy" / "haproxy.cfg"


class Balancer:
    """HAProxy with the shipped configuration, its addresses replaced by ours."""

    def __init__(self, directory, servers):
        self.port, self.admin = harness.free_port(), directory / "admin.sock"
        text = CONFIG.read_text().replace("0.0.0.0:2222", f"127.0.0.1:{self.port}")
        text = text.replace("/run/haproxy/admin.sock", str(self.admin)).replace("maxconn 200000", "maxconn 2000")
        text = text.replace("check port 9222", "check")
        for name, address, server in zip("ab", ("10.1.0.11:2222", "10.1.0.12:2222"), servers):
            assert f"server {name} {address}" in text
            metrics = server.metrics.rpartition(":")[2]
            text = text.replace(f"server {name} {address}", f"server {name} 127.0.0.1:{server.port} port {metrics}")
        self.config = directory / "haproxy.cfg"
        self.config.write_text(text)
        self.log = directory / "haproxy.log"

    def start(self):
        program = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")
        assert program, "haproxy is not installed (scripts/install-deps test)"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([program, "-db", "-f", str(self.config)], stdout=log, stderr=log)
        wait_until(self.admin.exists, 10, lambda: f"HAProxy to start: {self.log.read_text()}")
        wait_until(lambda: self.states() == {"a": "UP", "b": "UP"}, 10, "both servers to be found up")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    def command(self, text):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.admin))
            sock.sendall(text.encode() + b"\n")
            answer = b""
            while piece := sock.recv(65536):
                answer += piece
        return answer.decode()

    def servers(self):
        """{"a": {column: value}, ...}"""
        lines = self.command("show stat").lstrip("# ").splitlines()
        columns = lines[0].split(",")
        rows = [dict(zip(columns, line.split(","))) for line in lines[1:] if line]
        return {row["svname"]: row for row in rows if row["pxname"] == "sshecho" and row["svname"] in ("a", "b")}

    def states(self):
        return {name: row["status"].split()[0] for name, row in self.servers().items()}

    @property
    def address(self):
        return ("127.0.0.1", self.port)


@pytest.fixture
def pool(serve, tmp_path):
    """Two servers and a balancer."""
    servers = []
    for _ in range(2):
        server = serve(
            options={
                "proxy-from": "127.0.0.1",
                "metrics-listen": "127.0.0.1:0",
                "drain-timeout": "20s",
                "max-connections": 200,
            }
        )
        server.metrics = server.wait_line("metrics")["address"]
        servers.append(server)
    balancer = Balancer(tmp_path, servers)
    balancer.start()
    balancer.backends = servers
    yield balancer
    balancer.stop()


def session(balancer):
    """An open session: client and channel, one echo done."""
    client = rawssh.Client(balancer.address).login()
    channel = client.shell()
    assert client.echo(channel, b"here") == b"here"
    return client, channel


def backend_of(balancer, client):
    """Which server logged this client's address: the one behind the balancer knows the real one."""
    peer = "%s:%d" % client.sock.getsockname()
    found = [server for server in balancer.backends if server.lines("accept", peer=peer)]
    assert len(found) == 1, f"{peer} is known to {len(found)} servers"
    return found[0]


def test_shipped_configuration_is_valid(tmp_path):
    program = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")
    assert program, "haproxy is not installed (scripts/install-deps test)"
    result = subprocess.run([program, "-c", "-f", str(CONFIG)], capture_output=True, text=True, timeout=20)
    assert result.returncode == 0, result.stderr
    assert "[WARNING]" not in result.stderr, result.stderr


def test_servers_see_the_real_clients_and_share_them(pool):
    held = [session(pool) for _ in range(10)]
    counts = [sum(backend_of(pool, client) is server for client, _ in held) for server in pool.backends]
    assert counts == [5, 5], "least connections is not what is balanced"
    for client, channel in held:
        data = rawssh.pattern(200_000)
        assert client.echo(channel, data) == data
        client.close()


def test_health_checks_leave_no_trace_among_the_connections(pool):
    time.sleep(1.5)  # three checks of each server
    for server in pool.backends:
        assert not server.lines("accept") and not server.lines("refuse")


def test_killed_server_takes_its_sessions_and_no_others(pool):
    held = [session(pool) for _ in range(8)]
    victim, survivor = pool.backends
    theirs = [pair for pair in held if backend_of(pool, pair[0]) is victim]
    ours = [pair for pair in held if backend_of(pool, pair[0]) is survivor]
    victim.expected_exit = -signal.SIGKILL
    killed = [victim.pid, *victim.workers()]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    # A connection that was already in its queue dies with it, and no balancer can mend that: count from its end.
    wait_until(lambda: not any(map(harness.is_running, killed)), 10, "the killed processes to be gone")
    with concurrent.futures.ThreadPoolExecutor(4) as pool_of_threads:  # new clients, from the moment it is dead
        done = list(pool_of_threads.map(lambda _: one_echo(pool), range(40)))
    assert all(done), f"{done.count(False)} of {len(done)} new clients failed"
    for client, _ in theirs:
        client.wait_end(10)
    for client, channel in ours:
        data = rawssh.pattern(100_000)
        assert client.echo(channel, data) == data
        client.close()
    wait_until(lambda: pool.states() == {"a": "DOWN", "b": "UP"}, 10, "the balancer to notice")


def one_echo(pool):
    try:
        with rawssh.Client(pool.address) as client:
            return client.login().echo(client.shell(), b"x") == b"x"
    except (OSError, rawssh.Disconnected):
        return False


def test_drained_server_loses_no_session_and_gets_no_new_one(pool):
    held = [session(pool) for _ in range(8)]
    leaving, staying = pool.backends
    theirs = [pair for pair in held if backend_of(pool, pair[0]) is leaving]
    assert len(theirs) == 4
    leaving.signal(signal.SIGTERM)
    done = [one_echo(pool) for _ in range(30)]  # before and after the balancer has noticed
    assert all(done), f"{done.count(False)} of {len(done)} clients failed while a server drained"
    wait_until(lambda: pool.states()["a"] == "DOWN", 10, "the balancer to notice")
    for client, channel in held:
        data = rawssh.pattern(300_000)
        assert client.echo(channel, data) == data, "a session was hurt by the drain"
        channel.finish()
        client.close()
    assert leaving.wait(10) == 0
    assert not leaving.lines("close", reason="reset")


def test_drain_by_the_balancer(pool):
    held = [session(pool) for _ in range(4)]
    pool.command("set server sshecho/a state drain")
    fresh = [session(pool) for _ in range(6)]
    assert all(backend_of(pool, client) is pool.backends[1] for client, _ in fresh)
    for client, channel in held + fresh:
        assert client.echo(channel, b"still") == b"still"
        client.close()
    pool.command("set server sshecho/a state ready")
    wait_until(lambda: pool.states()["a"] == "UP", 5, "the server to be back")


def test_full_server_is_passed_over(serve, tmp_path):
    servers = []
    for limit in (2, 100):
        server = serve(options={"proxy-from": "127.0.0.1", "metrics-listen": "127.0.0.1:0", "max-connections": limit})
        server.metrics = server.wait_line("metrics")["address"]
        servers.append(server)
    balancer = Balancer(tmp_path, servers)
    balancer.start()
    balancer.backends = servers
    try:
        held = [session(balancer) for _ in range(4)]
        wait_until(lambda: balancer.states() == {"a": "DOWN", "b": "UP"}, 10, "the full server to be passed over")
        held += [session(balancer) for _ in range(6)]
        assert sum(backend_of(balancer, client) is servers[0] for client, _ in held) == 2
        for client, _ in held:
            client.close()
        wait_until(lambda: balancer.states() == {"a": "UP", "b": "UP"}, 10, "the server to be taken in again")
    finally:
        balancer.stop()


@pytest.mark.parametrize("fate", ["killed", "drained"])
def test_load_generator_says_what_clients_saw(pool, tmp_path, fate):
    """Short sessions at a rate while a server goes: all of a drain's succeed, a kill costs those that it held."""
    started = start_load(
        tmp_path, "--insecure", "--mode", "connect", "--connections", "4", "--duration", "4s", target=pool
    )
    wait_until(lambda: all(server.lines("close") for server in pool.backends), 10, "load on both servers")
    victim = pool.backends[0]
    if fate == "killed":
        victim.expected_exit = -signal.SIGKILL
        for pid in [victim.pid, *victim.workers()]:
            os.kill(pid, signal.SIGKILL)
    else:
        victim.signal(signal.SIGTERM)
    output = finish_load(started)
    summary = output.summary
    assert summary["ok"] > 50, output
    lost = summary["failed"] + summary["timed_out"]
    print(f"{fate}: {summary['ok']} ok, {lost} lost of {summary['started']}")
    # four connections at a time: no more than those can be in the dead server's hands
    assert lost <= (4 if fate == "killed" else 0), output
