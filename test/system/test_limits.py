"""Each limit, one by one: what it ends or refuses, for which reason, that it counts over all workers, and what it leaves alone."""

import subprocess
import time

import pytest

import clients
import figures
import harness
import rawssh
from harness import run_sshechod, wait_until
from rawssh import pattern

EXPOSED = {
    "auth-attempts": "6",
    "max-unauthenticated": "100:30:400",
    "max-per-source": "64",
    "handshake-rate": "200",
    "channels-per-connection": "10",
    "channel-open-rate": "50",
    "request-rate": "1k",
    "memory-per-worker": "512M",
    "address-space": "4G",
    "client-rekey-rate": "30",
    "test-bench": "no",
    "no-progress-timeout": "30s",
    "idle-timeout": "5m",
    "keepalive-interval": "1m",
}


def in_force(*arguments):
    """The values that --check prints."""
    result = run_sshechod("--check", *arguments)
    assert result.returncode == 0, result.stderr
    pairs = (line.split(" ", 1) for line in result.stdout.splitlines() if " " in line and not line.startswith("#"))
    return {key: value.strip('"') for key, value in pairs}


def test_profiles():
    """bench on loopback, exposed elsewhere; what is given stays as given."""
    loopback = in_force("--listen", "127.0.0.1:0")
    elsewhere = in_force("--listen", "0.0.0.0:0", "-o", "allow-anonymous=yes")
    assert (loopback["profile"], elsewhere["profile"]) == ("bench", "exposed")
    assert {key: elsewhere[key] for key in EXPOSED} == EXPOSED
    assert loopback["max-per-source"] == loopback["handshake-rate"] == loopback["idle-timeout"] == "off"
    assert in_force("--listen", "127.0.0.1:0", "--profile", "exposed")["auth-attempts"] == "6"
    assert in_force("-o", "profile=exposed", "-o", "auth-attempts=9")["auth-attempts"] == "9"


def held(server, count):
    """count sessions that echo; returns those that were let in."""
    clients = []
    for _ in range(count):
        try:
            client = rawssh.Client(server.address).login()
            assert client.echo(client.shell(), b"in") == b"in"
            clients.append(client)
        except ConnectionError:
            pass
    return clients


def close_all(clients):
    for client in clients:
        client.close()


@pytest.mark.parametrize("key, reason", [("max-connections", "full"), ("max-per-source", "source")])
def test_connections_over_all_workers(serve, key, reason):
    server = serve(workers=2, options={**figures.OPTIONS, key: 6})
    clients = held(server, 10)
    assert len(clients) == 6
    assert figures.metric(server, "connections_refused_total", reason=reason) == 4
    assert server.wait_line("refuse")["reason"] == reason
    close_all(clients)
    wait_until(lambda: figures.metric(server, "connections") == 0, 5, "room")
    again = held(server, 6)
    assert len(again) == 6
    close_all(again)


def test_unauthenticated_connections(serve):
    """Below START all are let in, from FULL none; one that has logged in does not count."""
    server = serve(workers=2, options={**figures.OPTIONS, "max-unauthenticated": "10:50:30"})
    inside = held(server, 12)
    assert len(inside) == 12
    crowd = [rawssh.connect(server.address) for _ in range(200)]
    wait_until(
        lambda: figures.metric(server, "connections_refused_total", reason="unauthenticated")
        + figures.metric(server, "connections", state="login")
        >= 200,
        10,
        "a decision about each",
    )
    waiting = figures.metric(server, "connections", state="login")
    assert 10 <= waiting <= 30, waiting
    for client in inside:
        assert client.echo(client.channels[0], b"still") == b"still"
    for sock in crowd:
        sock.close()
    wait_until(lambda: figures.metric(server, "connections", state="login") == 0, 5, "room")
    close_all(inside)
    close_all(held(server, 1) or pytest.fail("nobody is let in any more"))


def test_handshake_rate(serve):
    """Connections beyond the rate wait in the kernel's queue; none is refused."""
    server = serve(options={**figures.OPTIONS, "handshake-rate": 20})
    start = time.monotonic()
    crowd = [rawssh.connect(server.address) for _ in range(60)]
    wait_until(lambda: figures.metric(server, "connections_accepted_total") >= 60, 20, "all of them")
    taken = time.monotonic() - start
    assert taken > 1.5, f"60 connections at 20 a second, 20 at once, were let in within {taken:.2f} s"
    for sock in crowd:
        sock.close()


def test_memory_of_a_worker(serve):
    """Clients with shut windows fill what a worker may hold: new ones are refused, the old ones get their bytes in the end.
    libssh grants 32,000 bytes to such a channel or, 0.10, more than a megabyte."""
    server = serve(options={**figures.OPTIONS, "memory-per-worker": "16M", "no-progress-timeout": "60s"})
    data = pattern(200_000)
    hoarders = []
    for _ in range(60):
        try:
            client = rawssh.Client(server.address).login()
        except ConnectionError:
            break
        hoarders.append(client)
        for _ in range(20):
            client.shell(window=0, auto=False).feed(data)
        client.idle(0.1)
    assert figures.metric(server, "connections_refused_total", reason="memory") >= 1
    assert figures.metric(server, "held_bytes") >= 16 << 20
    client = hoarders[0]
    channel = client.channels[0]
    channel.auto_window = 1 << 20
    channel.adjust(1 << 20)
    client.wait(lambda: len(channel.data) == len(data), 20, "the bytes that were held")
    assert bytes(channel.data) == data
    for client in hoarders:
        client.close()
    wait_until(lambda: figures.metric(server, "held_bytes") == 0, 10, "an empty worker")
    close_all(held(server, 1) or pytest.fail("nobody is let in any more"))


def ended_for(server, reason, timeout=10):
    wait_until(
        lambda: figures.metric(server, "connections_closed_total", reason=reason) >= 1, timeout, f"end for {reason}"
    )


def test_rate_of_opens(serve):
    server = serve(options={**figures.OPTIONS, "channel-open-rate": 10})
    with rawssh.Client(server.address) as client:
        client.login()
        for _ in range(30):
            client.open(wait=False)
        client.wait_end()
        assert 9 <= sum(channel.opened for channel in client.channels.values()) <= 12
    ended_for(server, "rate")


def test_rate_of_requests(serve):
    server = serve(options={**figures.OPTIONS, "request-rate": 10})
    with rawssh.Client(server.address) as client:
        channel = client.login().open()
        for _ in range(50):
            channel.request("env", body=rawssh.string("A") + rawssh.string("b"), wait=False)
        client.wait_end()
        assert sum(channel.replies) <= 13
    ended_for(server, "rate")


def test_rate_of_rekeys(serve):
    server = serve(options={**figures.OPTIONS, "client-rekey-rate": 3})
    with rawssh.Client(server.address) as client:
        client.login()
        with pytest.raises(ConnectionError):
            for _ in range(8):
                client.rekey()
        assert 3 <= client.kex_count <= 6
    ended_for(server, "rate")


def test_rate_of_rekeys_is_per_minute(serve):
    server = serve(options={**figures.OPTIONS, "client-rekey-rate": 3})
    with rawssh.Client(server.address) as client:
        client.login()
        for _ in range(3):
            client.rekey()
        client.idle(2.5)  # three a second would allow it again
        client.rekey(wait=False)
        client.wait_end()
    ended_for(server, "rate")


def test_own_rekeys_are_not_the_clients(serve):
    server = serve(options={**figures.OPTIONS, "client-rekey-rate": 1, "rekey-bytes": "64K"})
    with rawssh.Client(server.address) as client:
        channel = client.login().shell()
        assert client.echo(channel, pattern(2_000_000)) == pattern(2_000_000)
        assert client.kex_count > 4
        client.rekey()  # its own, unless another packet would have had us begin one: then it passes for ours
        client.rekey()
        client.rekey(wait=False)
        client.wait_end()
    ended_for(server, "rate")


@pytest.mark.parametrize("cipher", ["chacha20-poly1305@openssh.com", "aes128-ctr"])
def test_own_rekeys_in_bulk_are_not_the_clients(serve, cipher):
    """What waited for an exchange goes out under the new keys, before the client's NEWKEYS is here."""
    server = serve(options={**figures.OPTIONS, "client-rekey-rate": 1, "rekey-bytes": "200K"})
    data = pattern(4_000_000)
    clients.assert_echo(clients.run(server, clients.openssh(server, options=[f"Ciphers={cipher}"]), data), data)
    assert int(server.wait_line("close")["rekeys"]) > 8


def test_keepalive_interval_is_one_that_the_kernel_takes(serve):
    refused = run_sshechod("--check", "-o", "keepalive-interval=32768s")
    assert refused.returncode == 2 and "keepalive-interval" in refused.stderr, refused.stderr
    server = serve(options={"keepalive-interval": "32767s"})
    with rawssh.Client(server.address) as client:
        client.login()
        command = ["ss", "-tnoH", f"sport = :{server.port}"]
        wait_until(
            lambda: "timer:(keepalive,54" in subprocess.run(command, capture_output=True, text=True).stdout,
            5,
            "keep-alive timer of 546 minutes",
        )


def test_bytes_of_a_session(serve):
    server = serve(options={**figures.OPTIONS, "session-bytes": "100K"})
    with rawssh.Client(server.address) as client:
        channel = client.login().shell()
        assert client.echo(channel, pattern(50_000)) == pattern(50_000)
        channel.feed(pattern(200_000))
        client.wait_end()
    ended_for(server, "session-bytes")


@pytest.mark.parametrize(
    "key, reason, busy", [("session-timeout", "session-timeout", True), ("idle-timeout", "idle-timeout", False)]
)
def test_time_of_a_session(serve, key, reason, busy):
    """idle-timeout spares who talks; session-timeout spares nobody."""
    server = serve(options={**figures.OPTIONS, key: "1500ms"})
    with rawssh.Client(server.address) as client:
        channel = client.login().shell()
        start = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() - start < (10 if busy else 4):
                client.echo(channel, b"x")
                client.idle(0.05)
            assert not busy, "still there"
            client.wait(lambda: False, 8, "the end")
        lasted = time.monotonic() - start
        assert lasted > (1.2 if busy else 5)
    ended_for(server, reason)


def test_limits_of_one_leave_others_alone(serve):
    server = serve(options={"request-rate": 10})
    with rawssh.Client(server.address) as quiet:
        channel = quiet.login().shell()
        for _ in range(5):
            with rawssh.Client(server.address) as loud:
                flooded = loud.login().open()
                for _ in range(50):
                    flooded.request("env", body=rawssh.string("A") + rawssh.string("b"), wait=False)
                loud.wait_end()
            assert quiet.echo(channel, pattern(5000)) == pattern(5000)
    assert harness.is_running(server.worker)
