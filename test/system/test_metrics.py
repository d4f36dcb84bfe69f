"""The figures over HTTP: what they say, who reads them, and that nobody can hurt the server through them."""

import contextlib
import http.client
import os
import re
import signal
import socket
import time

import pytest

import harness
import rawssh
from harness import wait_until
from metrics_page import figure, figures, get


pytestmark = pytest.mark.skipif(
    "libmicrohttpd: no" in harness.run_sshechod("--version").stdout, reason="built without libmicrohttpd"
)


def test_off_unless_asked_for(serve):
    server = serve()
    assert not server.lines("metrics")
    assert harness.sockets_held(server.pid) == 1, "the master holds more than its listening socket"


def test_every_series_has_help_and_type(observed):
    text = get(observed(), "/metrics")[1]
    named = set(re.findall(r"^# HELP (\w+) \S", text, re.M))
    typed = dict(re.findall(r"^# TYPE (\w+) (counter|gauge|histogram)$", text, re.M))
    assert named == set(typed)
    for series in re.findall(r"^(\w+)[ {]", re.sub(r"^#.*\n", "", text, flags=re.M), re.M):
        base = re.sub(r"_(bucket|sum|count)$", "", series)
        assert series in typed or typed.get(base) == "histogram", series
    for name, kind in typed.items():
        assert name.endswith("_total") == (kind == "counter"), name


def test_figures_are_what_happened(observed):
    server = observed(options={"auth-methods": "password"})
    with rawssh.Client(server.address) as client:
        assert client.auth_password("user", "any")
        channel, other = client.shell(), client.shell()
        data = rawssh.pattern(300_000)
        assert client.echo(channel, data) == data
        now = figures(server)
        assert now['sshechod_connections{state="open"}'] == 1
        assert now['sshechod_connections{state="login"}'] == 0
        assert now["sshechod_channels"] == now["sshechod_channels_opened_total"] == 2
        assert now["sshechod_received_bytes_total"] == now["sshechod_sent_bytes_total"] == 300_000
        assert now["sshechod_echoes_total"] > 0
        assert now["sshechod_handshakes_total"] == now["sshechod_logins_total"] == 1
        assert now["sshechod_handshake_duration_seconds_count"] == 1
        assert 0 < now["sshechod_handshake_duration_seconds_sum"] < 10
        assert now['sshechod_handshake_duration_seconds_bucket{le="+Inf"}'] == 1
        assert now['sshechod_worker_received_bytes_total{worker="0"}'] == 300_000
        assert now['sshechod_worker_pid{worker="0"}'] == server.worker
        assert now['sshechod_worker_resident_memory_bytes{worker="0"}'] > 1_000_000
        assert now["sshechod_turn_duration_seconds_count"] > 0
        channel.finish()
        other.finish()
    wait_until(lambda: figure(server, 'connections_closed_total{reason="client"}') == 1, 5, "the close in the figures")
    now = figures(server)
    assert now['sshechod_connections{state="open"}'] == now["sshechod_channels"] == 0
    assert now["sshechod_wire_received_bytes_total"] > 300_000


def test_buckets_only_grow_from_left_to_right(observed):
    server = observed()
    for _ in range(5):
        with rawssh.Client(server.address) as client:
            client.login()
    for name in ("handshake_duration_seconds", "turn_duration_seconds"):
        buckets = [
            (float(re.search(r'le="([^"]+)"', key).group(1)), value)
            for key, value in figures(server).items()
            if key.startswith(f"sshechod_{name}_bucket")
        ]
        assert buckets == sorted(buckets) and buckets[-1][0] == float("inf")
        assert all(before <= after for (_, before), (_, after) in zip(buckets, buckets[1:])), buckets
        assert buckets[-1][1] == figure(server, name + "_count") or name.startswith("turn")


def test_login_failures_by_method(observed, tmp_path):
    nobody = tmp_path / "nobody"
    nobody.write_text("user:$1$salt$qJH7.N4xYta3aEG/dfqo/0\n")  # the password is "password"
    server = observed(options={"auth-methods": "password", "password-file": str(nobody)})
    with rawssh.Client(server.address) as client:
        for _ in range(3):
            assert not client.auth_password("user", "wrong")
        assert client.auth_password("user", "password")
    now = figures(server)
    assert now['sshechod_login_failures_total{method="password"}'] == 3
    assert now['sshechod_login_failures_total{method="publickey"}'] == 0
    assert now["sshechod_logins_total"] == 1


def test_refusals_by_reason(observed):
    server = observed(options={"max-connections": 1})
    with rawssh.Client(server.address, handshake=False):
        wait_until(lambda: figure(server, 'connections{state="login"}') == 1, 5, "the connection in the figures")
        with socket.create_connection(server.address) as second:
            second.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert second.recv(10) == b""
    assert figure(server, 'connections_refused_total{reason="full"}') == 1
    assert figure(server, 'connections_refused_total{reason="proxy"}') == 0


def test_ready_and_alive(observed):
    server = observed()
    assert get(server, "/readyz") == (200, "ok\n")
    assert get(server, "/healthz") == (200, "ok\n")


def test_not_ready_while_draining(observed, dial):
    server = observed(options={"drain-timeout": "20s"})
    client = rawssh.Client(server.address).login()
    channel = client.shell()
    client.echo(channel, b"x")
    server.signal(signal.SIGTERM)
    wait_until(lambda: get(server, "/readyz") == (503, "draining\n"), 5, "readyz to say that it drains")
    assert get(server, "/healthz") == (200, "ok\n")
    assert figure(server, "ready") == 0
    assert figure(server, 'worker_draining{worker="0"}') == 1
    # The master looks after the process that serves them twenty times a second, and has to leave it alone.
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        assert get(server, "/healthz") == (200, "ok\n")
        assert figure(server, 'connections{state="open"}') == 1
    channel.finish()
    client.close()
    assert server.wait(5) == 0


def test_not_ready_while_full(observed, dial):
    server = observed(options={"max-connections": 2})
    first, second = dial(server), dial(server)
    assert get(server, "/readyz") == (503, "full\n")
    second.close()
    wait_until(lambda: get(server, "/readyz") == (200, "ok\n"), 5, "room again")
    first.close()


def test_counters_survive_the_loss_of_a_worker(observed):
    server = observed()
    with rawssh.Client(server.address) as client:
        client.login().echo(client.shell(), rawssh.pattern(10_000))
    wait_until(lambda: figure(server, 'connections_closed_total{reason="client"}') == 1, 5, "the close in the figures")
    victim = server.worker
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: server.workers() and victim not in server.workers(), 5, "a new worker")
    now = figures(server)
    assert now["sshechod_worker_restarts_total"] == 1
    assert now["sshechod_received_bytes_total"] == 10_000
    assert now["sshechod_connections_accepted_total"] == 1


def test_backlog_is_seen(observed):
    server = observed()
    victim = server.worker
    os.kill(victim, signal.SIGSTOP)
    address = "%s:%d" % server.address
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(socket.create_connection(server.address))
        wait_until(lambda: figure(server, f'backlog_connections{{listener="{address}"}}') == 3, 2, "the queue of three")
        assert figure(server, f'backlog_connections_max{{listener="{address}"}}') > 3
    wait_until(lambda: server.workers() and victim not in server.workers(), 6, "a new worker")


def test_reload_moves_and_ends_the_page(serve):
    server = serve(config='metrics-listen = "127.0.0.1:0"\n')
    server.metrics = first = server.wait_line("metrics")["address"]
    worker = server.worker
    server.config_path.write_text('metrics-listen = "127.0.0.2:0"\n')
    server.signal(signal.SIGHUP)
    server.metrics = server.wait_line("metrics", count=2)["address"]
    assert server.metrics.startswith("127.0.0.2:")
    assert get(server, "/healthz")[0] == 200
    assert get(server, "/metrics")[0] == 200
    host, _, port = first.rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), 2)
    wait_until(lambda: worker not in server.workers() and len(server.workers()) == 1, 5, "the old worker to end")
    assert figure(server, "reloads_total") == 1
    server.config_path.write_text('metrics-listen = "203.0.113.1:1"\n')  # not an address of this machine
    server.signal(signal.SIGHUP)
    assert "metrics-listen" in server.wait_line("reload_failed")["why"]
    assert figure(server, "reload_failures_total") == 1, "the old page has gone"


def test_it_ends_with_a_master_that_is_killed(observed):
    """Else the next master finds the port taken."""
    server = observed()
    left = harness.children(server.pid)
    assert len(left) > len(server.workers()), "no process that serves metrics"
    server.expected_exit = -signal.SIGKILL
    server.process.kill()
    server.process.wait()
    wait_until(lambda: not any(harness.is_running(pid) for pid in left), 5, "the end of all its children")
    host, _, port = server.metrics.rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), 2)


def test_workers_hold_nothing_of_it(observed):
    """A scraper that stays connected while a worker is made must see the end of its connection all the same."""
    server = observed()
    host, _, port = server.metrics.rpartition(":")
    with socket.create_connection((host, int(port))) as scraper:
        scraper.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert scraper.recv(1000).startswith(b"HTTP/1.1 200")
        victim = server.worker
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: server.workers() and victim not in server.workers(), 5, "a new worker")
        wait_until(lambda: harness.sockets_held(server.worker) == 1, 2, "worker with its listening socket alone")
        scraper.settimeout(10)
        assert scraper.recv(100) == b"", "idle connections are kept for ever"


def test_other_paths_and_methods(observed):
    server = observed()
    assert get(server, "/")[0] == 200
    assert get(server, "/nothing")[0] == 404
    assert get(server, "/../etc/passwd")[0] == 404
    assert get(server, "/metrics", "POST", b"x" * 100_000)[0] in (405, 413)
    assert get(server, "/metrics", "DELETE")[0] == 405
    assert get(server, "/metrics", "HEAD") == (200, "")
    host, _, port = server.metrics.rpartition(":")
    for junk in (b"\0" * 100, b"GET\r\n\r\n", b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n"):
        with socket.create_connection((host, int(port)), 5) as sock, contextlib.suppress(
            OSError
        ):  # cut off, in one way or another
            sock.sendall(junk)
            sock.shutdown(socket.SHUT_WR)
            assert not sock.recv(100).startswith(b"HTTP/1.1 200")
    assert get(server, "/healthz")[0] == 200


def test_idle_scrapers_delay_nobody(observed, dial):
    server = observed()
    host, _, port = server.metrics.rpartition(":")
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)  # beyond its limit it need not even accept them
            sock.connect_ex((host, int(port)))
            with contextlib.suppress(OSError):
                sock.send(b"GET /metr")
        client = dial(server)
        assert client.echo(client.shell(), b"x") == b"x"
        before = harness.cpu_seconds(server.pid)
        wait_until(lambda: answers(server), 20, "an answer once the idle ones have timed out", pause=0.2)
        assert harness.cpu_seconds(server.pid) - before < 2, "the master spins"


def answers(server):
    try:
        return get(server, "/healthz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.parametrize("value", ["nonsense", "127.0.0.1:99999", "localhost:1"])
def test_bad_address(value):
    result = harness.run_sshechod("--check", "-o", f"metrics-listen={value}")
    assert result.returncode == 2
    assert "metrics-listen" in result.stderr and result.stderr.count("\n") == 1


def test_address_in_use(serve):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        result = harness.run_sshechod(
            "--listen", "127.0.0.1:0", "--metrics-listen", f"127.0.0.1:{holder.getsockname()[1]}"
        )
    assert result.returncode == 2
    assert "metrics-listen" in result.stderr and result.stderr.count("\n") == 1


def test_port_alone_means_loopback(observed):
    server = observed(options={"metrics-listen": ":0"})
    assert server.metrics.startswith("127.0.0.1:")
