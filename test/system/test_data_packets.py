"""Packets of data, whatever their size: each comes back as it was sent."""


import pytest

from rawssh import STDERR, pattern


def test_empty_data_packets(server, dial):
    client = dial(server)
    channel = client.shell()
    client.echo(channel, b"first")
    before = client.bytes_in
    for _ in range(2000):
        channel.send_data(b"")
        channel.send_data(b"", kind=STDERR)
    assert client.echo(channel, b"second") == b"second"
    assert client.bytes_in - before < 2000, "the server answers empty packets"
    assert not channel.stderr


@pytest.mark.parametrize("max_packet", [11, 12, 13, 64, 255, 1024, 32768, 2**20, 2**31, 2**32 - 1])
def test_maximum_packet_size_is_kept(server, dial, max_packet):
    client = dial(server)
    channel = client.shell(max_packet=max_packet)
    data = pattern(min(max_packet * 300, 1_000_000))
    assert client.echo(channel, data) == data
    # A packet over the maximum is a violation, and fails when the client is closed.


@pytest.mark.parametrize("size", [1, 7, 32768])
def test_packets_of_each_size_come_back(server, dial, size):
    client = dial(server)
    channel = client.shell()
    channel.packet_limit = size
    data = pattern(size * 500)
    assert client.echo(channel, data) == data
