"""The PROXY protocol: who the client is, as a balancer tells it. The networks believed here are 127.0.0.1 alone, so that
a test can speak as a balancer (from 127.0.0.1) and as a stranger (from 127.0.0.2)."""

import contextlib
import signal
import socket
import struct
import time

import pytest

import harness
import rawssh
from harness import wait_until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TRUSTING = {"proxy-from": "127.0.0.1"}


def v1(source, port=4022):
    kind = "TCP6" if ":" in source else "TCP4"
    destination = "::1" if ":" in source else "127.0.0.1"
    return f"PROXY {kind} {source} {destination} {port} 22\r\n".encode()


def v2(source, port=4022, tlvs=b"", command=1):
    if ":" in source:
        family = 0x21
        body = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "::1")
    else:
        family = 0x11
        body = socket.inet_aton(source) + socket.inet_aton("127.0.0.1")
    body += struct.pack(">HH", port, 22) + tlvs
    return SIGNATURE + struct.pack(">BBH", 0x20 | command, family, len(body)) + body


LOCAL = SIGNATURE + b"\x20\0\0\0"


@contextlib.contextmanager
def proxied(server, header, pieces=None):
    """A logged-in client behind a header, which is sent whole or in pieces of so many bytes."""
    client = rawssh.Client(server.address, handshake=False)
    for at in range(0, len(header), pieces or len(header)):
        client.sock.send(header[at : at + (pieces or len(header))])
        if pieces:
            time.sleep(0.002)  # pieces, not a stream
    client.handshake(10)
    client.login()
    yield client
    client.close()


def assert_refused(server, sock, within=1.0):
    """Closed without a byte, counted as a bad PROXY header."""
    sock.settimeout(within)
    with contextlib.suppress(ConnectionResetError):
        assert sock.recv(100) == b""
    server.wait_line("refuse", reason="proxy")


@pytest.mark.parametrize(
    "header, peer",
    [
        (v1("192.0.2.7"), "192.0.2.7:4022"),
        (v1("2001:db8::7"), "[2001:db8::7]:4022"),
        (v2("192.0.2.7"), "192.0.2.7:4022"),
        (v2("2001:db8::7", tlvs=b"\5\0\4abcd"), "[2001:db8::7]:4022"),
    ],
    ids=["v1-ipv4", "v1-ipv6", "v2-ipv4", "v2-ipv6-tlv"],
)
@pytest.mark.parametrize("pieces", [None, 1], ids=["whole", "byte-by-byte"])
def test_log_names_the_real_client(serve, header, peer, pieces):
    server = serve(options=TRUSTING)
    with proxied(server, header, pieces) as client:
        data = rawssh.pattern(100_000)
        assert client.echo(client.shell(), data) == data
    assert server.wait_line("accept")["peer"] == peer
    assert server.wait_line("close")["peer"] == peer


def test_header_and_client_in_one_segment(serve):
    server = serve(options=TRUSTING)
    with socket.create_connection(server.address) as sock:
        sock.sendall(v2("192.0.2.7") + b"SSH-2.0-together\r\n")
        sock.settimeout(5)
        assert sock.recv(100).startswith(b"SSH-2.0-")
    assert server.wait_line("close")["client"] == "SSH-2.0-together"


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"], ids=["v2-local", "v1-unknown"])
def test_balancers_own_connection(serve, header):
    server = serve(options=TRUSTING)
    with proxied(server, header) as client:
        assert client.echo(client.shell(), b"check") == b"check"
    assert server.wait_line("accept")["peer"].startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "header",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"PROXY TCP4 192.0.2.7 127.0.0.1 4022\r\n",
        b"PROXY TCP4 192.0.2.7 127.0.0.1 4022 22 " + b"x" * 100,
        SIGNATURE + b"\x31\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\0\x04" + bytes(4),
        SIGNATURE + b"\x21\x11\xff\xff" + bytes(12),
        v2("192.0.2.7", tlvs=b"\5\xff\xffabcd"),
    ],
    ids=["absent", "v1-words", "v1-long", "v2-version", "v2-short", "v2-huge", "v2-tlv"],
)
def test_bad_header(serve, header):
    server = serve(options=TRUSTING)
    with socket.create_connection(server.address) as sock:
        sock.sendall(header)
        assert_refused(server, sock)
    with proxied(server, v2("192.0.2.7")) as client:
        assert client.echo(client.shell(), b"others live") == b"others live"


@pytest.mark.alone
@pytest.mark.parametrize("start", [b"", v2("192.0.2.7")[:20], b"PROXY TCP4 1"], ids=["nothing", "v2", "v1"])
def test_late_header(serve, start):
    server = serve(options=TRUSTING)
    with socket.create_connection(server.address) as sock:
        sock.sendall(start)
        begin = time.monotonic()
        assert_refused(server, sock, within=5)
        assert 1.5 < time.monotonic() - begin < 4


def test_slow_header_does_not_move_the_deadline(serve):
    server = serve(options=TRUSTING)
    with socket.create_connection(server.address) as sock:
        begin = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in v1("192.0.2.7"):
                sock.sendall(bytes([byte]))
                time.sleep(0.2)
        assert time.monotonic() - begin < 5
        server.wait_line("refuse", reason="proxy")


def test_stranger_is_not_believed(serve, dial):
    """From a network that is not listed a header is what it always was: no SSH."""
    server = serve(options=TRUSTING)
    with socket.create_connection(server.address, source_address=("127.0.0.2", 0)) as sock:
        sock.sendall(v1("192.0.2.7"))
        server.wait_line("close", reason="protocol")
    assert server.lines("accept")[0]["peer"].startswith("127.0.0.2:")
    with rawssh.Client(server.address, source="127.0.0.2") as client:
        assert client.login().echo(client.shell(), b"direct") == b"direct"


def test_limits_see_the_real_client(serve):
    server = serve(options={**TRUSTING, "max-per-source": 2})
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(proxied(server, v2("192.0.2.7")))
        with socket.create_connection(server.address) as sock:
            sock.sendall(v2("192.0.2.7"))
            sock.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(100) == b""
        server.wait_line("refuse", reason="source")
        with proxied(server, v2("192.0.2.8")) as other:
            assert other.echo(other.shell(), b"another") == b"another"


def test_many_that_never_say_who_they_are_end_with_their_time(serve):
    server = serve(options=TRUSTING)
    with contextlib.ExitStack() as stack:
        for _ in range(600):  # more than may wait at once
            stack.enter_context(socket.create_connection(server.address))
        direct = stack.enter_context(rawssh.Client(server.address, source="127.0.0.2", handshake=False))
        direct.handshake(20)  # behind them in the queue
        assert direct.login().echo(direct.shell(), b"alive") == b"alive"
    wait_until(lambda: server.lines("refuse", reason="proxy"), 5, "the refusal")


def test_drain_waits_for_a_header_on_its_way(serve):
    server = serve(options={**TRUSTING, "drain-timeout": "10s"})
    with socket.create_connection(server.address) as sock:
        sock.sendall(v2("192.0.2.7")[:10])
        time.sleep(0.1)  # let it be accepted
        server.signal(signal.SIGTERM)
        begin = time.monotonic()
        assert server.wait(8) == 0
        assert time.monotonic() - begin < 4, "the wait was the drain's, not the header's"


def test_bad_network_is_refused_at_the_start():
    result = harness.run_sshechod("--check", "-o", "proxy-from=10.0.0.0/40")
    assert result.returncode == 2
    assert "proxy-from" in result.stderr and "10.0.0.0/40" in result.stderr and result.stderr.count("\n") == 1
