"""Row 45: clients that are logged in and exchange keys again: often, into full buffers, half, or not at all."""

import time

import pytest

import rawssh
from rawssh import KEX_ECDH_INIT, byte, pattern, string


def test_row_45_rekey_every_kibibyte(arena):
    server = arena.start(lift=["client-rekey-rate"])
    client = rawssh.Client(server.address).login()
    channel = client.shell()
    data = pattern(200 * 1024)
    for turn in range(200):
        channel.feed(data[turn * 1024 : (turn + 1) * 1024])
        client.rekey()
    client.wait(lambda: channel.received == len(data), what="the echo")
    assert channel.data == data
    client.close()


def test_row_45_rekey_into_a_full_output_buffer(arena):
    server = arena.start()
    client = rawssh.Client(server.address, receive_buffer=4096).login()
    channel = client.shell(window=2**32 - 1, auto=False)
    client.echo(channel, pattern(100_000))
    client.reading = False
    channel.feed(pattern(3_000_000))
    client.idle(0.5)
    client.start_kex()
    client.idle(0.5)
    client.reading = True
    client.wait(lambda: channel.received == 3_100_000, 30, "the echo after a re-key behind a full buffer")
    assert channel.data == pattern(100_000) + pattern(3_000_000)
    client.close()


@pytest.mark.parametrize("stage", ["kexinit", "kexinit+init"])
def test_row_45_rekey_half_done_and_silent(arena, stage):
    server = arena.start(options={"kex-timeout": "1s", "no-progress-timeout": "2s"})
    client = rawssh.Client(server.address).login()
    channel = client.shell()
    client.echo(channel, b"before")

    def half(payload):
        client.peer_kexinit = payload
        if stage == "kexinit+init":
            client.send_packet(byte(KEX_ECDH_INIT) + string(rawssh.client.crypto.Curve25519().public))

    client.take_kexinit = half
    client.take_kex_reply = lambda reader: None
    client.take_newkeys = lambda: setattr(client, "reading", False)
    client.start_kex()
    end = time.monotonic() + 8
    while time.monotonic() < end and not client.closed:
        client.reading = True
        try:
            client.step(0.1)
        except rawssh.PacketError:
            client.inbuf.clear()  # the disconnect message, under keys that we do not have
    assert client.closed, "a re-key that never ends holds the connection for ever"
    client.close()
    arena.reason("kex-timeout|no-progress|protocol")


def test_row_45_rekey_that_is_never_answered(arena):
    """The server asks for a re-key; the client goes on sending as if nothing had been said."""
    server = arena.start(options={"rekey-bytes": "64K", "kex-timeout": "1s", "no-progress-timeout": "2s"})
    client = rawssh.Client(server.address).login()
    client.answer_rekey = False
    channel = client.shell()
    block, end = pattern(1000), time.monotonic() + 10
    while not client.closed and time.monotonic() < end:
        if channel.remote_window > 1000:
            channel.send_data(block)
        client.step(0.01)
    assert client.closed
    client.violations.clear()
    client.close()
    arena.reason("kex-timeout|no-progress|window-overrun|protocol")
