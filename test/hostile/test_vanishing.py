"""Rows 47 and 49-51, and odd segments: clients that stop reading, vanish, hang up or send by the byte, in any phase."""

import contextlib
import os
import shutil
import socket
import subprocess
import time

import pytest

import harness
import rawssh
from arena import assert_ended, discard, exchanged_kexinit, login
from counts import reduced
from harness import wait_until
from rawssh import CHANNEL_DATA, IGNORE, byte, pattern, string, u32

LARGEST = 2**32 - 1


def test_row_47_peer_stops_reading_and_goes_on(arena):
    server = arena.start()
    client = login(server, receive_buffer=4096)
    channel = client.shell(window=LARGEST, auto=False)
    client.echo(channel, pattern(50_000))
    client.reading = False
    channel.feed(pattern(3_000_000))
    client.idle(0.5)
    before = harness.cpu_seconds(server.worker)
    client.idle(1)
    assert harness.cpu_seconds(server.worker) - before < 0.3, "CPU is spent on a peer that does not read"
    client.reading = True
    client.wait(lambda: channel.received == 3_050_000, 20, "the rest of the echo")
    assert channel.data == pattern(50_000) + pattern(3_000_000)
    client.close()


def test_row_47_peer_stops_reading_for_ever(arena):
    arena.peak_mib = 48
    server = arena.start(options={"no-progress-timeout": "1s", "channels-per-connection": 20})
    client = login(server, receive_buffer=4096)
    channels = [client.shell(window=LARGEST, auto=False) for _ in range(12)]
    for channel in channels:  # together more than the kernel takes off the server's hands
        client.echo(channel, pattern(50_000))
    client.reading = False
    for channel in channels:
        channel.feed(pattern(3_000_000))
    client.idle(1)
    arena.reason("no-progress", 8)
    client.violations.clear()
    client.close()


def test_row_47_shut_window_is_no_progress_either(arena):
    """Data waits, the window never opens: ended by the deadline, not before it, and without CPU meanwhile."""
    server = arena.start(options={"no-progress-timeout": "1s"})
    client = login(server)
    channel = client.shell(window=0, auto=False)
    channel.feed(pattern(10_000))
    start = time.monotonic()
    client.wait_end(4)
    assert 0.9 < time.monotonic() - start < 3
    assert arena.cpu_seconds() < (2 if harness.is_sanitized() else 0.4)
    arena.reason("no-progress")
    client.close()


def test_row_47_stopped_peers_with_little_to_take(arena):
    """200 peers that do not read, each owed what the kernel still takes."""
    arena.peak_mib = 60
    server = arena.start(lift=["max-per-source"])
    stopped = []
    for _ in range(200):
        client = login(server, receive_buffer=4096)
        channel = client.shell(window=LARGEST, auto=False)
        client.reading = False
        channel.feed(pattern(30_000))
        for _ in range(5):
            client.step()
        stopped.append(client)
    client = login(server)
    assert client.echo(client.shell(), pattern(500_000)) == pattern(500_000)
    client.close()
    for each in stopped:
        each.close()


def fill(client):
    """Sends until the server takes no more for the moment."""
    idle = 0
    while idle < 3:
        sent = client.bytes_out
        client.step(0.005)
        idle = idle + 1 if client.bytes_out == sent else 0


def many_stopped_peers(arena, count):
    """Each holds more than the kernel takes; all are ended by the deadline, and their memory comes back."""
    # four windows of 1.28 MB with libssh 0.10, of 2 MiB with later ones, less what the kernel's buffers hold
    arena.peak_mib = 20 + (4 if harness.libssh_version() < (0, 11) else 6) * count
    patience_s = 2 if count <= 50 else count // 8  # so that all of them are there when the first one's is over
    server = arena.start(options={"no-progress-timeout": f"{patience_s}s"}, lift=["max-per-source"])
    stopped, block = [], pattern(3_000_000)
    for _ in range(count):
        client = login(server, receive_buffer=4096)
        channels = [client.shell(window=LARGEST, auto=False) for _ in range(4)]
        for channel in channels:
            client.echo(channel, pattern(50_000))  # from here on the server's window is wide
        client.reading = False
        for channel in channels:
            channel.feed(block)
        fill(client)
        for channel in channels:
            channel.outgoing.clear()  # what no window let out: of a thousand clients this process cannot keep it
        stopped.append(client)
    client = login(server)
    assert client.echo(client.shell(), pattern(500_000)) == pattern(500_000)
    client.close()
    end = time.monotonic() + patience_s + 20
    while len([each for each in arena.reasons() if each == "no-progress"]) < count and time.monotonic() < end:
        for each in stopped:
            each.step()
        time.sleep(0.02)
    arena.reason("no-progress", 1, count=count)
    for each in stopped:
        discard(each)


@reduced(50, 1000)
def test_row_47_many_stopped_peers(arena, count):
    many_stopped_peers(arena, count)


def test_row_47_some_stopped_peers(arena):
    """Few connections, but tens of megabytes: what goes back to the system is judged by bytes."""
    many_stopped_peers(arena, 20)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root for a network namespace")
def test_row_49_half_open_connection(serve):
    """The network goes away without a word: TCP_USER_TIMEOUT and keep-alive end the connection."""
    space = f"sshecho-{os.getpid()}"

    def ip(*arguments):
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    try:
        ip("netns", "add", space)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace: {error.stderr.decode().strip()}")
    link = f"ve{os.getpid() % 100000}"
    try:
        ip("link", "add", link, "type", "veth", "peer", "name", f"{link}p", "netns", space)
        ip("addr", "add", "10.213.7.1/30", "dev", link)
        ip("link", "set", link, "up")
        ip("-n", space, "addr", "add", "10.213.7.2/30", "dev", f"{link}p")
        ip("-n", space, "link", "set", f"{link}p", "up")
        server = serve(
            listen=["10.213.7.1:0"], options={"allow-anonymous": "yes", "keepalive-interval": "1s", "profile": "bench"}
        )
        worker = server.worker
        base = harness.sockets_held(worker)
        script = (
            "import sys, time; sys.path.insert(0, sys.argv[1]); import rawssh\n"
            "c = rawssh.Client(('10.213.7.1', int(sys.argv[2]))).login(); ch = c.shell()\n"
            "c.echo(ch, b'x'); print('up', flush=True); time.sleep(60)\n"
        )
        client = subprocess.Popen(
            [
                "ip",
                "netns",
                "exec",
                space,
                "/usr/bin/python3",
                "-c",
                script,
                str(harness.ROOT / "test"),
                str(server.port),
            ],
            stdout=subprocess.PIPE,
        )
        try:
            assert client.stdout.readline() == b"up\n"
            assert harness.sockets_held(worker) == base + 1
            ip("link", "set", link, "down")
            wait_until(lambda: harness.sockets_held(worker) == base, 30, "the end of the half-open connection")
        finally:
            client.kill()
            client.wait()
            client.stdout.close()
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "del", link)
        ip("netns", "del", space)


PHASES = ["connect", "banner", "kexinit", "init", "service", "auth", "open", "data", "rekey", "output"]


def advance(server, phase):
    """A client brought as far as phase."""
    if phase in ("connect", "banner", "kexinit", "init"):
        if phase in ("kexinit", "init"):
            client = exchanged_kexinit(server)
            client.take_kex_reply = client.take_newkeys = lambda *reader: None
            if phase == "init":
                client.send_packet(byte(30) + string(rawssh.client.crypto.Curve25519().public))
        else:
            client = rawssh.Client(server.address, handshake=False)
            if phase == "banner":
                client.send_banner()
        client.flush()
        return client
    client = rawssh.Client(server.address, receive_buffer=4096 if phase == "output" else None)
    if phase == "service":
        return client
    client.service()
    if phase == "auth":
        client.send(client.auth_request("x", "none"))
        client.flush()
        return client
    client.login()
    channel = client.open(window=LARGEST)
    if phase == "open":
        return client
    channel.shell()
    client.echo(channel, b"x")
    channel.feed(pattern(2_000_000))
    if phase == "output":
        client.reading = False
    client.idle(0.05)
    if phase == "rekey":
        client.start_kex()
        client.step()
    return client


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("how", ["reset", "close", "half-close"])
def test_rows_50_51_the_peer_is_gone(arena, phase, how):
    server = arena.start(options={"login-timeout": "3s", "kex-timeout": "2s", "banner-timeout": "2s"})
    for _ in range(4):
        client = advance(server, phase)
        if how == "reset":
            client.reset()
        elif how == "close":
            client.close()
        else:
            with contextlib.suppress(OSError):
                client.sock.shutdown(socket.SHUT_WR)
            client.out.clear()
            for channel in client.channels.values():
                channel.outgoing.clear()
            client.send_packet = lambda payload: None
            assert_ended(client, 5)
    arena.reason("client|reset|protocol|banner-timeout|kex-timeout|login-timeout", count=4)
    if how == "reset" and phase in ("output", "data"):
        assert "reset" in arena.reasons()


def test_row_51_fin_behind_the_data(arena):
    """TCP's half of a close right behind data and EOF. What was sent before it is taken, what comes back is that and nothing
    else, and the connection is closed by the server."""
    server = arena.start()
    client = login(server)
    channel = client.shell()
    data = pattern(20_000)
    channel.send_data(data)
    channel.send_eof()
    client.flush()
    assert not client.out
    client.sock.shutdown(socket.SHUT_WR)
    assert_ended(client, 5)
    assert data.startswith(bytes(channel.data)), "not what was sent"
    arena.reason("client|reset")
    line = next(each for each in server.lines("close") if each.get("user") == "tester")
    assert int(line["bytes_in"]) >= len(data), f"bytes before the FIN were lost: {line}"


@pytest.mark.parametrize("shape", ["one-by-one", "split-7", "slow-ack"])
def test_odd_segments(arena, shape):
    """TCP cuts where it likes: the echo does not care."""
    server = arena.start()
    client = login(server)
    channel = client.shell()
    wire = b"".join(
        client.frame(byte(CHANNEL_DATA) + u32(channel.remote) + string(pattern(100, turn))) for turn in range(10)
    )
    wire += client.frame(byte(IGNORE) + string("x"))
    step = {"one-by-one": 1, "split-7": 7, "slow-ack": 333}[shape]
    for start in range(0, len(wire), step):
        client.send_raw(wire[start : start + step])
        client.step()
        if shape == "slow-ack":
            time.sleep(0.01)
    channel.sent += 1000
    client.wait(lambda: channel.received == 1000, what="the echo")
    assert channel.data == b"".join(pattern(100, turn) for turn in range(10))
    client.close()
