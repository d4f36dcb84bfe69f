"""Answers that are put off on request (channel-open-delay, reply-delay): clients that ask for many, and go while they wait.

Not in the arena: its quiet sessions would wait as well.
"""

import pytest

import rawssh

MOST = 8  # wait at once


def leave(client, server, end):
    """However a connection ends, what waits on it is freed (the server's own end looks for leaks)."""
    if end == "stop":
        server.stop()
    elif end == "disconnect":
        client.send(rawssh.byte(rawssh.DISCONNECT) + rawssh.u32(11) + rawssh.string("enough") + rawssh.string(""))
        client.wait_end()
    elif end == "reset":
        client.reset()
    client.close()
    server.wait_line("close")


@pytest.mark.parametrize("end", ["close", "reset", "disconnect", "stop"])
def test_many_opens_that_are_answered_late(serve, end):
    """No more wait than there may be channels: then the oldest are answered early."""
    server = serve(options={"channel-open-delay": "1h", "channels-per-connection": MOST, "drain-timeout": "0"})
    client = rawssh.Client(server.address).login()
    opens = [client.open(wait=False) for _ in range(20)]
    client.wait(lambda: sum(bool(each.opened or each.open_failure) for each in opens) >= 20 - MOST, what="12 answers")
    client.idle(0.1)
    assert [each.opened for each in opens] == [True] * MOST + [False] * 12
    assert [bool(each.open_failure) for each in opens] == [False] * MOST + [True] * 4 + [False] * MOST
    worker = server.worker
    leave(client, server, end)
    assert end == "stop" or server.worker == worker


@pytest.mark.parametrize("end", ["close", "reset", "disconnect", "stop"])
def test_many_requests_that_are_answered_late(serve, end):
    """64 wait, with all that is in them, whatever the channel; some go with their channel, the rest with the connection."""
    server = serve(options={"reply-delay": "1h", "drain-timeout": "0"})
    client = rawssh.Client(server.address).login()
    worker, channels = server.worker, [client.open() for _ in range(2)]
    for number in range(100):
        channels[number % 2].request("env", body=rawssh.string("NAME") + rawssh.string("x" * 20_000), wait=False)
    client.wait(lambda: sum(len(each.replies) for each in channels) >= 100 - 64, what="36 answers")
    client.idle(0.1)
    assert [each.replies for each in channels] == [[True] * 18] * 2
    channels[0].send_close()
    client.wait(lambda: channels[0].closed, what="CLOSE")
    assert channels[0].replies == [True] * 18
    leave(client, server, end)
    assert end == "stop" or server.worker == worker
