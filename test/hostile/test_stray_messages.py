"""Rows 42-44: clients that are logged in and send what belongs to no channel: requests, replies to nothing, noise."""


import pytest

import harness
from arena import discard, login
from counts import reduced
from rawssh import (
    CHANNEL_FAILURE,
    CHANNEL_SUCCESS,
    DEBUG,
    DISCONNECT,
    GLOBAL_REQUEST,
    IGNORE,
    REQUEST_FAILURE,
    REQUEST_SUCCESS,
    UNIMPLEMENTED,
    boolean,
    byte,
    pattern,
    string,
    u32,
)

KNOWN_TO_LIBSSH = {7}  # EXT_INFO


@reduced(20_000, 200_000)
def test_row_42_flood_of_forward_requests(arena, count):
    """Each is refused; none is kept (a callback of libssh leaked each)."""
    server = arena.start(lift=["request-rate"])
    client = login(server)
    for turn in range(count):
        name = "tcpip-forward" if turn % 2 else "cancel-tcpip-forward"
        client.send(byte(GLOBAL_REQUEST) + string(name) + boolean(True) + string("127.0.0.1" + "x" * 200) + u32(turn))
        if len(client.out) > 100_000:
            client.wait(lambda: len(client.out) < 50_000, what="room for more")
        if turn == 5000:
            peak = harness.Peak(server.worker)
    client.wait(lambda: len(client.global_replies) == count, 60, "a reply to each")
    assert not any(client.global_replies)
    grown = peak.grown_kib()
    assert grown < harness.allowed_kib(1024), f"{count - 5000} requests cost {grown} KiB"
    client.close()


def test_row_43_keepalives_and_pings(arena):
    """A reply to each keep-alive; UNIMPLEMENTED for each ping that was never offered, or an end for it."""
    server = arena.start()
    client = login(server)
    channel = client.shell()
    for _ in range(500):
        client.send(byte(GLOBAL_REQUEST) + string("keepalive@openssh.com") + boolean(True))
    client.wait(lambda: len(client.global_replies) == 500, what="a reply to each keepalive")
    assert client.echo(channel, b"x") == b"x"
    for _ in range(20):
        client.send(byte(192) + string("ping"))  # SSH_MSG_PING of ping@openssh.com, which nobody offered
    try:
        assert client.echo(channel, b"y") == b"y"
        assert len(client.unimplemented) == 20
        assert len(client.global_replies) == 500
    except ConnectionError:
        arena.reason("protocol")
    client.close()


@pytest.mark.parametrize("code", [REQUEST_SUCCESS, REQUEST_FAILURE, CHANNEL_SUCCESS, CHANNEL_FAILURE])
def test_row_43_unasked_replies(arena, code):
    """CVE-2026-39830 in another library: replies to nothing piled up."""
    arena.peak_mib = 4
    server = arena.start()
    client = login(server)
    channel = client.shell()
    body = u32(channel.remote) if code in (CHANNEL_SUCCESS, CHANNEL_FAILURE) else b""
    before = len(client.messages)
    for _ in range(20_000):
        client.send(byte(code) + body)
        if len(client.out) > 100_000:
            client.wait(lambda: len(client.out) < 50_000, what="room for more")
    client.idle(0.3)
    if client.closed:
        arena.reason("protocol")
    else:
        assert client.echo(channel, b"x") == b"x"
        assert len(client.messages) - before < 10, "replies to nothing are answered"
    discard(client)


@pytest.mark.parametrize(
    "message",
    [
        byte(IGNORE) + string(b"x" * 100),
        byte(DEBUG) + boolean(True) + string("\x1b[2Jforged\nline") + string("en"),
        byte(UNIMPLEMENTED) + u32(3),
    ],
    ids=["ignore", "debug", "unimplemented"],
)
def test_row_44_floods_of_nothing(arena, message):
    server = arena.start()
    client = login(server)
    channel = client.shell()
    for _ in range(30_000):
        client.send(message)
        if len(client.out) > 200_000:
            client.wait(lambda: len(client.out) < 100_000, what="room for more")
    assert client.echo(channel, b"x") == b"x"
    assert "\x1b" not in server.log()
    assert not client.unimplemented
    client.close()


def test_row_44_disconnect_in_the_middle_of_data(arena):
    server = arena.start()
    for _ in range(20):
        client = login(server)
        channel = client.shell()
        channel.feed(pattern(500_000))
        client.wait(lambda: channel.received > 50_000, what="some echo")
        client.send(byte(DISCONNECT) + u32(11) + string("bye\n\x1b") + string(""))
        client.wait_end()
        discard(client)
    arena.reason("client")


@pytest.mark.parametrize("code", [7, 8, 19, 40, 49, 54, 79, 83, 89, 101, 127, 191, 192, 255])
def test_row_44_unknown_messages(arena, code):
    """RFC 4253 clause 11.4: UNIMPLEMENTED, with the number of the packet, and the connection lives; or an end for it."""
    server = arena.start()
    client = login(server)
    channel = client.shell()
    number = client.send_seq
    client.send(byte(code) + string("what is this"))
    try:
        assert client.echo(channel, b"x") == b"x"
        assert client.unimplemented == ([number] if code not in KNOWN_TO_LIBSSH else []), client.unimplemented
        client.close()
    except ConnectionError:
        discard(client)
        arena.reason("protocol")
