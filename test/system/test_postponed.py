"""channel-open-delay: answers that the test bench puts off."""

import time

import clients
import rawssh

DELAY_S = 0.4


def assert_late(since):
    """No sooner than the delay; how much later is the machine's business."""
    assert time.monotonic() - since >= DELAY_S


def test_channel_opens_are_answered_late(serve):
    server = serve(options={"channel-open-delay": "400ms"})
    with rawssh.Client(server.address).login() as client:
        since = time.monotonic()
        channels = [client.open(wait=False) for _ in range(3)]
        client.idle(DELAY_S / 2)
        assert not any(channel.opened for channel in channels)
        client.wait(lambda: all(channel.opened for channel in channels), what="three channels")
        assert_late(since)
        for channel in channels:
            channel.auto_window = 1 << 21
            assert channel.shell()
            data = rawssh.pattern(200_000, channel.number)
            assert client.echo(channel, data) == data


def test_each_open_has_its_own_time(serve):
    server = serve(options={"channel-open-delay": "400ms"})
    with rawssh.Client(server.address).login() as client:
        first = client.open(wait=False)
        client.idle(DELAY_S / 2)
        since = time.monotonic()
        second = client.open(wait=False)
        client.wait(lambda: first.opened, what="the first channel")
        assert not second.opened
        client.wait(lambda: second.opened, what="the second channel")
        assert_late(since)


def test_a_refusal_is_late_too(serve):
    server = serve(options={"channel-open-delay": "400ms", "channels-per-connection": 1})
    with rawssh.Client(server.address).login() as client:
        channel = client.shell()
        since = time.monotonic()
        assert client.open().open_failure[0] == rawssh.ADMINISTRATIVELY_PROHIBITED
        assert_late(since)
        assert client.echo(channel, b"still here") == b"still here"


def test_an_open_that_waits_through_a_rekey(serve):
    server = serve(options={"channel-open-delay": "400ms"})
    with rawssh.Client(server.address).login() as client:
        channel = client.open(wait=False)
        client.rekey()
        client.wait(lambda: channel.opened, what="the channel")
        assert channel.shell()
        assert client.echo(channel, b"after it") == b"after it"


def test_openssh_waits_for_its_channel(serve):
    server = serve(options={"channel-open-delay": "400ms"})
    since = time.monotonic()
    data = rawssh.pattern(300_000)
    clients.assert_echo(clients.run(server, clients.openssh(server, "cat"), data), data)
    assert_late(since)
