"""What other clients wait for: acknowledgements held back from Nagle's algorithm, a window too small for one packet."""

import socket
import statistics
import time

import pytest

import harness
import rawssh
from rawssh import byte, pattern, string, u32

pytestmark = pytest.mark.alone

HELD_BACK_MS = 20  # Linux holds an acknowledgement back for 40 ms


@pytest.fixture(scope="module")
def server():
    with harness.serve() as server:
        yield server


@pytest.fixture
def nagle(server, dial):
    """A client that leaves Nagle's algorithm on, as most libraries do."""
    client = dial(server)
    client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    return client


def milliseconds(work):
    began = time.monotonic()
    work()
    return (time.monotonic() - began) * 1000


def test_an_echo_whose_packet_comes_in_two_segments(nagle):
    """The second segment waits for the acknowledgement of the first, which no echo carries."""
    channel = nagle.shell()
    for _ in range(20):  # until the kernel takes the connection for an interactive one
        nagle.echo(channel, pattern(64))

    def halves():
        wire = nagle.frame(byte(rawssh.CHANNEL_DATA) + u32(channel.remote) + string(pattern(64)))
        expected = channel.received + 64
        for half in (wire[:30], wire[30:]):
            nagle.sock.send(half)
        nagle.wait(lambda: channel.received >= expected, what="the echo")

    times = [milliseconds(halves) for _ in range(15)]
    assert statistics.median(times) < HELD_BACK_MS, times


def test_the_window_holds_a_packet_before_the_first_data(server, dial):
    """JSch waits 100 ms when its first packet does not fit."""
    if harness.libssh_version() >= (0, 11):
        pytest.skip("libssh 0.11 has no call that opens the window before data has come")
    client = dial(server)
    channel = client.open()
    assert channel.shell()
    client.wait(lambda: channel.remote_window >= 1_000_000, 2, "a window of more than one packet")
    assert client.echo(channel, pattern(500_000)) == pattern(500_000)


def test_rekeys_that_the_server_starts(nagle):
    """The client's KEXINIT and what follows it are two writes: the second waits for the acknowledgement of the first, and
    the server has nothing to say in between."""
    begun, times = [], []
    start, done = nagle.start_kex, nagle.take_newkeys

    def start_alone(**change):
        start(**change)
        nagle.flush()
        begun.append(time.monotonic())

    def note():
        done()
        times.append((time.monotonic() - begun[-1]) * 1000)

    nagle.start_kex, nagle.take_newkeys = start_alone, note
    channel = nagle.open()
    channel.auto_window = 1 << 20
    assert channel.execute("rekey every=16K")
    while len(times) < 10:
        assert nagle.echo(channel, pattern(1000)) == pattern(1000)
    assert statistics.median(times) < HELD_BACK_MS, times
