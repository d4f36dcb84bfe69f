"""Row 46: clients that compress: rightly, a thousand to one, and wrongly."""

import zlib

import pytest

from arena import assert_ended, discard, login
from rawssh import CHANNEL_DATA, byte, pattern, string, u32

OPTIONS = {"compression": "none,zlib@openssh.com,zlib"}
METHODS = ["zlib@openssh.com", "zlib"]


@pytest.mark.parametrize("method", METHODS)
def test_row_46_compression_bomb(arena, method):
    """A packet that unpacks to a thousand times its size: this client is ended for it, and neither memory nor time is spent
    on the way (judged by the peak)."""
    arena.peak_mib = 16
    server = arena.start(options=OPTIONS)
    client = login(server, compression=[method])
    channel = client.shell()
    client.echo(channel, b"before")
    payload = byte(CHANNEL_DATA) + u32(channel.remote) + string(bytes(30_000_000))
    packed = client.deflate.compress(payload) + client.deflate.flush(zlib.Z_SYNC_FLUSH)
    assert len(packed) < len(payload) / 900
    client.deflate = None
    client.send_packet(packed)
    assert_ended(client)
    assert channel.received == len(b"before"), "a part of the bomb came back"
    arena.reason("protocol")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spoilt", [b"\xff" * 500, b"", b"\x78\x9c"], ids=["rubbish", "nothing", "new-head"])
def test_row_46_corrupt_compressed_stream(arena, method, spoilt):
    """Ended, or the packet is passed over as one that holds nothing: no bytes are made of it."""
    server = arena.start(options=OPTIONS)
    client = login(server, compression=[method])
    channel = client.shell()
    client.echo(channel, b"before")
    client.deflate = None
    client.send_packet(spoilt)
    assert_ended(client)
    assert channel.received == len(b"before")
    arena.reason("protocol")


@pytest.mark.parametrize("method", METHODS)
def test_row_46_compressed_echo(arena, method):
    """Exact, and really compressed: zeroes cost next to nothing on the wire."""
    server = arena.start(options=OPTIONS)
    client = login(server, compression=[method])
    channel = client.shell()
    data = pattern(500_000)
    assert client.echo(channel, data) == data
    before = client.bytes_in
    assert client.echo(channel, bytes(500_000)) == bytes(500_000)
    assert client.bytes_in - before < 100_000
    discard(client)
