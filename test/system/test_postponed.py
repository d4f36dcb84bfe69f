"""channel-open-delay and reply-delay: answers that the test bench puts off."""

import time

import clients
import rawssh

DELAY_S = 0.4
X11 = rawssh.boolean(False) + rawssh.string("none") + rawssh.string("") + rawssh.u32(0)


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


def test_requests_are_answered_late_and_in_order(serve):
    server = serve(options={"reply-delay": "400ms"})
    with rawssh.Client(server.address).login() as client:
        channel = client.open()
        channel.auto_window = 1 << 21
        since = time.monotonic()
        channel.pty(wait=False)
        channel.request("x11-req", body=X11, wait=False)
        channel.execute("cat", wait=False)
        channel.execute("cat", wait=False)
        channel.request("nothing-known", wait=False)
        channel.send_data(b"sent ahead")
        client.idle(DELAY_S / 2)
        assert not channel.replies and not channel.data
        client.wait(lambda: len(channel.replies) == 5, what="five replies")
        assert_late(since)
        assert channel.replies == [True, False, True, False, False]
        client.wait(lambda: channel.data == b"sent ahead", what="the echo of what came before")
        data = rawssh.pattern(200_000)
        assert client.echo(channel, data) == data


def test_end_of_input_before_the_answer(serve):
    """It is the answer's turn first: the channel ends after it, with all that was sent ahead."""
    server = serve(options={"reply-delay": "400ms"})
    with rawssh.Client(server.address).login() as client:
        channel = client.open()
        channel.execute("cat", wait=False)
        channel.feed(b"all of it", eof=True)
        channel.finish()
        assert channel.replies == [True] and channel.data == b"all of it"
        assert channel.ending() == ["exit-status", "eof", "close"] and channel.exit_status == 0


def test_a_refused_request_is_late_too(serve):
    server = serve(options={"reply-delay": "400ms"})
    with rawssh.Client(server.address).login() as client:
        since = time.monotonic()
        assert client.open().execute("refuse") is False
        assert_late(since)


def test_a_channel_that_goes_takes_its_requests_along(serve):
    """The next channel, which may lie where it lay, is answered for its own alone."""
    server = serve(options={"reply-delay": "400ms"})
    with rawssh.Client(server.address).login() as client:
        gone = [client.open() for _ in range(20)]
        for channel in gone:
            channel.execute("stderr", wait=False)
            channel.send_close()
        client.wait(lambda: all(channel.closed for channel in gone), what="the CLOSE of each")
        channels = [client.open() for _ in range(20)]
        for channel in channels:
            channel.shell(wait=False)
        client.wait(lambda: all(channel.replies for channel in channels), what="a reply on each")
        assert not any(channel.replies for channel in gone)
        for channel in channels:
            channel.auto_window = 1 << 21
            assert client.echo(channel, b"not on stderr") == b"not on stderr"


def test_requests_that_wait_through_a_rekey(serve):
    server = serve(options={"reply-delay": "400ms"})
    with rawssh.Client(server.address).login() as client:
        channel = client.open()
        channel.shell(wait=False)
        client.rekey()
        client.wait(lambda: channel.replies == [True], what="the reply")
        assert client.echo(channel, b"after it") == b"after it"


def test_openssh_waits_for_its_answers(serve):
    server = serve(options={"channel-open-delay": "400ms", "reply-delay": "400ms"})
    since = time.monotonic()
    data = rawssh.pattern(300_000)
    clients.assert_echo(clients.run(server, clients.openssh(server, "cat"), data), data)
    assert time.monotonic() - since >= 2 * DELAY_S
    refused = clients.run(server, clients.openssh(server, "refuse"))
    assert refused.returncode == 255 and b"request failed" in refused.stderr
