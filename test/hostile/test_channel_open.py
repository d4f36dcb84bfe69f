"""Rows 24, 36, 37 and 41: clients that open channels: of odd sizes and kinds, too many, or twice over."""

import socket
import contextlib
import time

import pytest

import harness
import rawssh
from arena import discard, login
from counts import reduced
from harness import wait_until
from rawssh import (
    ADMINISTRATIVELY_PROHIBITED,
    CHANNEL_OPEN,
    UNKNOWN_CHANNEL_TYPE,
    byte,
    pattern,
    string,
    u32,
)

LARGEST = 2**32 - 1


@pytest.mark.parametrize("max_packet", [0, 1, 5, 9, 11, 255, LARGEST])
def test_row_24_maximum_packet_sizes(arena, max_packet):
    """Honoured or refused, never a spin. Below 11 libssh 0.10 cannot do right: then only this client may suffer."""
    server = arena.start()
    client = login(server)
    data = pattern(500)
    try:
        channel = client.open(max_packet=max_packet)
        assert channel.opened or max_packet < 11, "refused for a size that is right"
        if channel.opened and channel.shell():
            assert max_packet > 0, "a peer that can take no byte is served"
            channel.feed(data)
            client.wait(lambda: channel.received == len(data), 5, "the echo, or an end")
            assert channel.data == data
    except ConnectionError:
        assert max_packet < 11, "ended for a size that is right"
        arena.reason("protocol|internal")
    assert arena.cpu_seconds() < (2 if harness.is_sanitized() else 0.4), "the worker spins"
    if max_packet < 11:
        client.violations.clear()  # packets larger than that
    client.close()


def offend(client, words=None):
    """Opens a channel with maximum packet size 10 and has it echo. None where the channel is refused."""
    channel = client.open(max_packet=10)
    if not channel.opened:
        return None
    channel.execute(words) if words else channel.shell()
    channel.feed(pattern(5000))
    return channel


SIZE_10 = {
    "plain": ({}, None),
    "libssh's own I/O": ({"batch-io": "no"}, None),
    "re-key by bytes": ({"rekey-bytes": "64K"}, None),
    "re-key by time": ({"rekey-interval": "1s"}, None),
    "re-key on request": ({}, "rekey every=20K"),
    "generated": ({}, "chargen 1M"),
}


@pytest.mark.parametrize("case", SIZE_10)
def test_row_24_maximum_packet_size_10(arena, case):
    """A spin in libssh 0.10: it costs that client its connection, and nobody anything. 0.11 and later serve it."""
    spins = "libssh 0.10" in harness.run_sshechod("--version").stdout
    options, words = SIZE_10[case]
    server = arena.start(workers=1, alone=True, options={"crypto-shortcuts": "yes", **options})
    worker = server.worker
    held = [login(server) for _ in range(4)]
    channels = [client.shell() for client in held]
    before = harness.cpu_seconds(worker)
    client = login(server)
    if "rekey-interval" in options:
        client.idle(1.2)
    if "rekey-bytes" in options:  # up to just below the limit, in several steps: then to a byte
        channel = client.shell()
        client.echo(channel, pattern(61_000))
    with contextlib.suppress(ConnectionError):
        offender = offend(client, words)
        if offender is not None:
            served = lambda: not spins and offender.received > 0  # noqa: E731
            wait_until(lambda: client.closed or served() or client.step(0.02), 4, "an end to it")
    if spins:
        assert server.wait_line("close", reason="protocol")["error"].startswith("a channel whose packets")
    assert harness.cpu_seconds(worker) - before < 0.1, "the worker spun"
    for other, beside in zip(held, channels):
        assert other.echo(beside, b"x", 3) == b"x"
    assert server.workers() == [worker]
    assert not server.lines("worker_stuck")
    for each in [client, *held]:
        discard(each)


def test_row_24_maximum_packet_size_10_without_shortcuts(arena):
    """Left to libssh 0.10 it spins: the watchdog replaces the worker, the other worker's sessions never notice."""
    server = arena.start(workers=2, alone=True, judged=False, options={"crypto-shortcuts": "no"})
    arena.worker_survives = arena.returns_to_base = False  # it may be on the worker that is lost
    workers = server.workers()
    held = [login(server) for _ in range(8)]
    while len({line["pid"] for line in server.lines("accept")}) < 2 and len(held) < 200:
        held.append(login(server))  # the kernel may give one worker all of the first
    channels = [client.shell() for client in held]
    client = login(server)
    channel = client.open(max_packet=10)
    if not channel.opened or not channel.shell():
        return
    channel.send_data(pattern(500))
    client.step()
    start = time.monotonic()
    wait_until(lambda: channel.received == 500 or client.closed or client.step(0.02), 8, "an end to it")
    if client.closed:
        assert time.monotonic() - start < 4
        wait_until(lambda: len(server.workers()) == 2, 4, "a second worker")
        survivor = set(workers) & set(server.workers())
        assert survivor, "both workers were replaced"
        alive = 0
        for other, beside in zip(held, channels):
            try:
                assert other.echo(beside, b"x", 3) == b"x"
                alive += 1
            except ConnectionError:
                pass
        assert alive, "no session of the other worker lives"
    for each in [client, *held]:
        discard(each)


def test_row_36_unknown_channel_types(arena):
    """Refused one by one with a reason of RFC 4254 clause 5.1 (libssh has no call to choose which), nothing connected."""
    server = arena.start()
    client = login(server)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    for kind in (
        "",
        "no-such-type",
        "direct-tcpip",
        "x" * 20_000,
        "SESSION",
        "x11",
        "auth-agent@openssh.com",
    ):
        body = string("127.0.0.1") + u32(listener.getsockname()[1]) + string("127.0.0.1") + u32(1)
        failure = client.open(kind=kind, body=body).open_failure
        assert failure and failure[0] in (ADMINISTRATIVELY_PROHIBITED, UNKNOWN_CHANNEL_TYPE), f"{kind!r}: {failure}"
    with listener, pytest.raises(TimeoutError):
        listener.accept()
    assert client.echo(client.shell(), b"x") == b"x"
    client.close()


def test_row_36_session_after_no_more_sessions(arena):
    """OpenSSH's courtesy. libssh 0.10 does not know it and says so, and the session works; later ones take the promise and
    end the connection of who breaks it."""
    server = arena.start()
    client = login(server)
    channel = client.shell()
    known = "libssh 0.10" not in harness.run_sshechod("--version").stdout
    assert client.global_request("no-more-sessions@openssh.com") == known
    client.global_request("no-more-sessions@openssh.com", want_reply=False)
    if known:
        with pytest.raises(ConnectionError):
            client.open()
    else:
        second = client.open()
        assert second.opened and second.shell()
        assert client.echo(second, b"second") == b"second"
        assert client.echo(channel, b"x") == b"x"
    client.close()


@reduced(20_000, 100_000)
def test_row_37_flood_of_opens_over_the_limit(arena, count):
    server = arena.start(options={"channels-per-connection": 10}, lift=["channel-open-rate"])
    client = login(server)
    peak = harness.Peak(server.worker)
    for number in range(10, count + 10):
        client.send(byte(CHANNEL_OPEN) + string("session") + u32(number) + u32(1000) + u32(32768))
        client.channels[number] = rawssh.Channel(client, number, 1000, 32768)
        if len(client.out) > 100_000:
            client.wait(lambda: len(client.out) < 50_000, what="room for more")
    asked = dict(client.channels)
    client.wait(
        lambda: all(each.opened for each in client.channels.values()) and len(client.channels) <= 10,
        60,
        "an answer to each open",
    )
    assert sum(each.opened for each in asked.values()) == 10
    assert all(each.opened or each.open_failure for each in asked.values())
    assert peak.grown_kib() < 8192 * (4 if harness.is_sanitized() else 1)
    client.close()


@reduced(3000, 1_000_000)
def test_row_37_open_and_close_churn(arena, count):
    server = arena.start(options={"channels-per-connection": 10}, lift=["channel-open-rate"])
    client = login(server)
    for turn in range(count):
        if turn == 1000:
            peak = harness.Peak(server.worker)
        channel = client.open()
        assert channel.opened, f"open {turn} refused: {channel.open_failure}"
        channel.send_close()
        client.wait(lambda: channel.closed, what="CLOSE for CLOSE")
        del client.channels[channel.number]
    grown = peak.grown_kib()
    assert grown < harness.allowed_kib(512), f"{count - 1000} channels cost {grown} KiB"
    client.close()


def test_row_41_second_service(arena):
    server = arena.start()
    client = login(server)
    channel = client.shell()
    for _ in range(100):
        assert channel.execute("discard") is False
    assert client.echo(channel, b"x") == b"x"
    client.close()
