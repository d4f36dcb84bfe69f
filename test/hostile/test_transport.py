"""Rows 46, 47, 49-51: compression, peers that stop, vanish or half-close."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
import zlib

import pytest

import harness
import rawssh
from arena import assert_ended, exchanged_kexinit
from harness import wait_until
from rawssh import CHANNEL_DATA, IGNORE, byte, pattern, string, u32

LARGEST = 2**32 - 1


def login(server, **options):
    return rawssh.Client(server.address, **options).login()


@pytest.mark.parametrize("method", ["zlib@openssh.com", "zlib"])
def test_row_46_compression_bomb(arena, method):
    """A packet that unpacks to a thousand times its size: bounded, and this client alone pays."""
    server = arena.start(options={"compression": "none,zlib@openssh.com,zlib"})
    worker = server.worker
    client = login(server, compression=[method])
    channel = client.shell()
    client.echo(channel, b"before")
    before = harness.rss_kib(worker)
    payload = byte(CHANNEL_DATA) + u32(channel.remote) + string(bytes(30_000_000))
    packed = client.deflate.compress(payload) + client.deflate.flush(zlib.Z_SYNC_FLUSH)
    client.deflate, kept = None, client.deflate
    client.send_packet(packed)
    client.deflate = kept
    client.idle(1)
    assert harness.rss_kib(worker) - before < 16_384 * (4 if harness.is_sanitized() else 1)
    client.violations.clear()
    client.close()


def test_row_46_corrupt_compressed_stream(arena):
    server = arena.start(options={"compression": "none,zlib@openssh.com"})
    client = login(server, compression=["zlib@openssh.com"])
    client.echo(client.shell(), b"before")
    client.deflate = None
    client.send_packet(b"\xff" * 500)
    assert_ended(client)
    arena.reason("protocol|reset")


@pytest.mark.parametrize("method", ["zlib@openssh.com", "zlib"])
def test_row_46_compressed_echo(arena, method):
    server = arena.start(options={"compression": "none,zlib@openssh.com,zlib"})
    client = login(server, compression=[method])
    channel = client.shell()
    data = bytes(500_000) + pattern(500_000)
    assert client.echo(channel, data) == data
    client.close()


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
    server = arena.start(options={"no-progress-timeout": "1s"})
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
    """Data waits, the window never opens. After the deadline the connection may be ended, never spun on."""
    server = arena.start(options={"no-progress-timeout": "1s"})
    client = login(server)
    channel = client.shell(window=0, auto=False)
    channel.feed(pattern(10_000))
    client.idle(0.3)
    before = harness.cpu_seconds(server.worker)
    client.idle(2.5)
    assert harness.cpu_seconds(server.worker) - before < 0.3
    if client.closed:
        arena.reason("no-progress")
    client.close()


def test_row_47_two_hundred_stopped_peers(arena):
    server = arena.start(options={"no-progress-timeout": "2s"})
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
    for _ in range(8):
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
            client.reading = True
            with contextlib.suppress(AssertionError, ConnectionError):
                client.wait_end(1)
            client.violations.clear()
            client.close()


def test_row_51_everything_sent_before_fin_is_taken(arena):
    """FIN right behind the data: nothing crashes and the connection is closed; what can be flushed is."""
    server = arena.start()
    client = login(server)
    channel = client.shell()
    data = pattern(20_000)
    channel.send_data(data)
    channel.send_eof()
    client.flush()
    client.sock.shutdown(socket.SHUT_WR)
    with contextlib.suppress(ConnectionError):
        client.wait_end(10)
    client.violations.clear()
    client.close()
    arena.reason("client|reset")


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
