"""Deadlines of a real server, beside each other: the one that is due first ends the connection, on time and not before.
test/unit/test_server_deadline.c tries every pair with a clock of its own."""

import time

import pytest

import rawssh
from harness import wait_until
from rawssh import pattern
from rawssh.wire import IGNORE, byte, string

pytestmark = pytest.mark.alone


def seconds_until_end(client, timeout=12):
    start = time.monotonic()
    client.wait_end(timeout)
    return time.monotonic() - start


def hold_back(client):
    """From now on bytes of the client wait behind its shut window."""
    channel = client.open(window=0)
    assert channel.shell()
    channel.send_data(pattern(1000))
    client.flush()


@pytest.mark.parametrize(
    "beside",
    [
        {"idle-timeout": "25s"},
        {"session-timeout": "25s"},
        {"idle-timeout": "25s", "session-timeout": "1h", "kex-timeout": "10s"},
        {"profile": "exposed"},
        {},
    ],
    ids=lambda each: "+".join(each) or "alone",
)
def test_no_progress_beside_others(serve, beside):
    server = serve(options={**beside, "no-progress-timeout": "2s"})
    with rawssh.Client(server.address) as client:
        client.login()
        hold_back(client)
        assert 1.9 <= seconds_until_end(client) <= 4
    assert server.wait_line("close")["reason"] == "no-progress"


def test_idle_beside_no_progress(serve):
    server = serve(options={"idle-timeout": "2s", "no-progress-timeout": "25s"})
    with rawssh.Client(server.address) as client:
        client.login()
        hold_back(client)
        assert 1.9 <= seconds_until_end(client) <= 4
    assert server.wait_line("close")["reason"] == "idle-timeout"


def test_who_has_waited_for_moments_stays(serve):
    """Nothing has moved for long, but nothing had to: only from now on something waits."""
    server = serve(options={"idle-timeout": "3s", "no-progress-timeout": "2s"})
    with rawssh.Client(server.address) as client:
        channel = client.login().shell(window=1000, auto=False)
        assert client.echo(channel, pattern(1000)) == pattern(1000)
        for _ in range(5):  # input, which nothing answers
            client.send(byte(IGNORE) + string(b""))
            client.idle(0.5)
        channel.feed(pattern(500))
        assert 1.9 <= seconds_until_end(client) <= 4
    assert server.wait_line("close")["reason"] == "no-progress"


def test_what_moves_again_is_forgiven(serve):
    server = serve(options={"idle-timeout": "25s", "no-progress-timeout": "2s"})
    with rawssh.Client(server.address) as client:
        channel = client.login().shell(window=1000, auto=False)
        client.echo(channel, pattern(1000))
        for _ in range(3):
            channel.feed(pattern(1000))
            client.idle(1.2)
            channel.adjust(1000)
            wanted = channel.received + 1000
            client.wait(lambda: channel.received == wanted, 5, "the bytes that waited")
        client.idle(2.5)
        assert not client.closed
        channel.finish()


@pytest.mark.parametrize("option", ["batch-io=no", "batch-io=yes"])
def test_nothing_is_left_of_a_client_that_is_wrong_at_once(serve, option):
    """PROXY header, version line and rubbish in one segment: the plain path reads all of it while the connection is made,
    and that it fails must leave no timer behind."""
    key, value = option.split("=")
    deadlines = {"banner-timeout": "300ms", "kex-timeout": "300ms", "login-timeout": "500ms"}
    server = serve(options={"proxy-from": "127.0.0.1", key: value, **deadlines})
    worker = server.worker
    for number in range(30):
        sock = rawssh.connect(server.address)
        sock.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 4022 22\r\nSSH-2.0-wrong\r\n" + pattern(512, number))
        sock.close()
    wait_until(lambda: len(server.lines("close")) == 30, 10, "an end of each")
    time.sleep(0.7)  # the deadlines of all of them
    with rawssh.Client(server.address, handshake=False) as client:
        client.sock.send(b"PROXY TCP4 192.0.2.7 127.0.0.1 4022 22\r\n")
        client.handshake()
        assert client.login().echo(client.shell(), b"fine") == b"fine"
    assert server.worker == worker
    server.check_sanitizer()
