"""Rows 33 and 35: clients that close channels and go on, never close them, or speak of channels that are not there."""


import pytest

import rawssh
from arena import discard, login
from harness import wait_until
from rawssh import (
    CHANNEL_CLOSE,
    CHANNEL_DATA,
    CHANNEL_EOF,
    CHANNEL_EXTENDED_DATA,
    CHANNEL_REQUEST,
    CHANNEL_WINDOW_ADJUST,
    boolean,
    byte,
    pattern,
    string,
    u32,
)

LARGEST = 2**32 - 1


AFTER_CLOSE = {
    "data": lambda c: byte(CHANNEL_DATA) + u32(c.remote) + string("late"),
    "stderr": lambda c: byte(CHANNEL_EXTENDED_DATA) + u32(c.remote) + u32(1) + string("late"),
    "eof": lambda c: byte(CHANNEL_EOF) + u32(c.remote),
    "close": lambda c: byte(CHANNEL_CLOSE) + u32(c.remote),
    "adjust": lambda c: byte(CHANNEL_WINDOW_ADJUST) + u32(c.remote) + u32(1000),
    "request": lambda c: byte(CHANNEL_REQUEST)
    + u32(c.remote)
    + string("env")
    + boolean(True)
    + string("A")
    + string("B"),
    "exec": lambda c: byte(CHANNEL_REQUEST) + u32(c.remote) + string("exec") + boolean(True) + string("cat"),
}


@pytest.mark.parametrize("what", AFTER_CLOSE)
def test_row_33_messages_after_close(arena, what):
    """Use after free in libssh if a server frees in the wrong place (CVE-2026-59850). Best seen under ASan."""
    server = arena.start()
    for turn in range(20):
        client = login(server)
        channel = client.shell()
        channel.feed(pattern(50_000))
        client.step(0.01)
        channel.outgoing.clear()
        channel.send_close()
        for _ in range(1 + turn % 3):
            client.send(AFTER_CLOSE[what](channel))
        wait_until(lambda: channel.closed or client.closed or client.step(0.02), 5, "an answer to CLOSE")
        client.idle(0.02)  # a second one would come now
        if not client.closed:
            assert channel.ending().count("close") == 1
            assert client.echo(client.shell(), b"other") == b"other", "other channels suffer"
        discard(client)


def test_row_33_never_answering_our_close(arena):
    """The channels count against the limit until the client closes them; then there is room again."""
    server = arena.start(options={"channels-per-connection": 5})
    client = login(server)
    held = []
    for _ in range(5):
        channel = client.shell()
        channel.send_eof()
        client.wait(lambda: channel.closed, what="CLOSE of the server")
        held.append(channel)
    assert client.open().open_failure, "channels that nobody closed are forgotten"
    for channel in held:
        channel.send_close()
    again = wait_until(lambda: (lambda channel: channel if channel.opened else None)(client.open()), 5, "room again")
    assert again.shell()
    assert client.echo(again, b"x") == b"x"
    client.close()


def test_row_33_close_without_eof_under_traffic(arena):
    server = arena.start()
    for _ in range(30):
        client = login(server)
        channels = [client.shell() for _ in range(3)]
        for channel in channels:
            channel.feed(pattern(200_000))
        client.wait(lambda: channels[0].received > 20_000, what="some echo")
        for channel in channels:
            channel.outgoing.clear()
            channel.send_close()
        client.wait(lambda: all(channel.closed for channel in channels), what="CLOSE for CLOSE")
        client.close()


@pytest.mark.parametrize("what", AFTER_CLOSE)
def test_row_35_unknown_channel_numbers(arena, what):
    """Next to a live one, far away, negative: ignored or ended, never taken for the live one, never answered."""
    server = arena.start()
    for number in (1, 77, 2**31, LARGEST):
        client = login(server)
        channel = client.shell()
        stray = rawssh.Channel(client, 0, 0, 0)
        stray.remote = number + channel.remote if number < 100 else number
        client.send(AFTER_CLOSE[what](stray))
        client.idle(0.1)
        assert not channel.eof and not channel.closed and channel.received == 0, "the live channel was hit"
        assert channel.replies == [True], "answered on the live channel"
        if client.closed:
            arena.reason("protocol")
        else:
            assert client.echo(channel, b"x") == b"x"
        discard(client)
