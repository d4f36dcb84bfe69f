"""Re-keys that the server starts spare a client that sends data behind its own KEXINIT, as asyncssh does: they wait
until it has nothing to send. (The real one is in test_interop.py.)"""

import pytest

import harness
import rawssh
from rawssh import CHANNEL_DATA, byte, pattern, string, u32

pytestmark = pytest.mark.alone  # a client that has to wait for a CPU looks as one that has nothing to send

ASYNCSSH = "SSH-2.0-AsyncSSH_2.10.1"
LIMIT = 1 << 20


class Talkative(rawssh.Client):
    """Behind its own KEXINIT goes what the server's window allows; libssh ends the session for it."""

    def start_kex(self, **change):
        super().start_kex(**change)
        for channel in self.channels.values():
            if channel.outgoing and channel.remote_window > 0:
                size = min(len(channel.outgoing), channel.remote_window, 30_000)
                self.send_packet(byte(CHANNEL_DATA) + u32(channel.remote) + string(channel.outgoing[:size]))


@pytest.fixture
def client(serve):
    # (a client that caused re-keys itself would be sent away for its second)
    server = serve(options={"rekey-bytes": LIMIT, "client-rekey-rate": 1})
    with Talkative(server.address, banner=ASYNCSSH) as client:
        yield client.login()


def rekeys(client):
    return client.kex_count - 1


def test_bulk(client):
    data = pattern(6 * LIMIT)
    channel = client.shell(window=1 << 20)
    channel.auto_window = 1 << 20
    channel.feed(data, eof=True)
    client.wait(lambda: channel.closed, what="the server's CLOSE")
    assert channel.data == data and channel.exit_status == 0
    # What had been granted before comes in any case: 1.28 MB with libssh 0.10, 2 MiB later.
    assert rekeys(client) >= (3 if harness.libssh_version() < (0, 11) else 2)


def test_several_channels(client):
    data = pattern(2 * LIMIT)
    channels = [client.shell(window=1 << 20) for _ in range(3)]
    for channel in channels:
        channel.auto_window = 1 << 20
        channel.feed(data)
    client.wait(lambda: all(channel.received == len(data) for channel in channels), what="all echoes")
    assert all(channel.data == data for channel in channels)
    client.wait(lambda: rekeys(client) >= 1, 5, "a re-key")


def test_one_direction(client):
    channel = client.open(window=1 << 20)
    channel.auto_window = 1 << 20
    assert channel.execute(f"chargen {5 * LIMIT}")
    client.wait(lambda: channel.received == 5 * LIMIT, what="all that was to come")
    generated = rekeys(client)
    assert generated >= 3
    channel = client.open()
    assert channel.execute("discard")
    channel.feed(pattern(5 * LIMIT), eof=True)
    client.wait(lambda: channel.closed, what="the server's CLOSE")
    assert channel.exit_status == 0 and rekeys(client) >= generated + 2


def test_a_client_that_leaves_its_window_open_is_rekeyed_in_a_pause(client):
    channel = client.shell(window=8 << 20)
    for count in (1, 2):
        assert client.echo(channel, pattern(700_000)) == pattern(700_000)
        client.wait(lambda: rekeys(client) >= count, 2, "a re-key in the pause")
    assert client.echo(channel, pattern(1000)) == pattern(1000)
    assert channel.remote_window >= 600_000, "the window was not opened again"


def test_an_idle_client_is_rekeyed_when_its_keys_are_old(serve):
    """It would begin by itself one day, with its next message right behind its KEXINIT."""
    server = serve(options={"rekey-interval": "1s"})
    with Talkative(server.address, banner=ASYNCSSH) as client:
        channel = client.login().shell()
        for count in (1, 2):
            client.wait(lambda: rekeys(client) >= count, 3, "a re-key")
            assert client.echo(channel, pattern(1000)) == pattern(1000)


def test_a_client_whose_own_window_is_shut_is_rekeyed(client):
    data = pattern(LIMIT)
    channel = client.shell(window=1000)
    channel.feed(data, eof=True)
    client.wait(lambda: rekeys(client) >= 1, 5, "a re-key")
    channel.auto_window = 1 << 20
    channel.adjust(1 << 20)
    client.wait(lambda: channel.closed, what="the server's CLOSE")
    assert channel.data == data and channel.exit_status == 0
