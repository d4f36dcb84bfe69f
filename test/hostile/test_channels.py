"""Rows 24-33, 35-37, 41-44: channels, windows, requests and stray messages after login."""

import contextlib
import time

import pytest

import harness
import rawssh
from arena import assert_ended
from harness import wait_until
from rawssh import (
    CHANNEL_CLOSE,
    CHANNEL_DATA,
    CHANNEL_EOF,
    CHANNEL_EXTENDED_DATA,
    CHANNEL_OPEN,
    CHANNEL_REQUEST,
    CHANNEL_WINDOW_ADJUST,
    DEBUG,
    DISCONNECT,
    GLOBAL_REQUEST,
    IGNORE,
    REQUEST_FAILURE,
    REQUEST_SUCCESS,
    STDERR,
    UNIMPLEMENTED,
    boolean,
    byte,
    pattern,
    string,
    u32,
)

LARGEST = 2**32 - 1


def login(server, **options):
    return rawssh.Client(server.address, **options).login()


def discard(client):
    """Closes a connection whose violations are the point of the test."""
    client.violations.clear()
    client.close()


@pytest.mark.parametrize("max_packet", [0, 1, 5, 9, 11, 255, LARGEST])
def test_row_24_maximum_packet_sizes(arena, max_packet):
    """Honoured or refused, never a spin. Below 11 libssh 0.10 cannot do right: then only this client may suffer."""
    server = arena.start(workers=1)
    client = login(server)
    try:
        channel = client.open(max_packet=max_packet)
        if channel.opened and channel.shell():
            channel.feed(pattern(500))
            client.idle(0.5)
            if max_packet >= 11:
                client.wait(lambda: channel.received == 500, what="the echo")
                assert channel.data == pattern(500)
    except ConnectionError:
        assert max_packet < 11, "ended for a size that is right"
    before = harness.cpu_seconds(server.worker)
    time.sleep(0.5)
    assert harness.cpu_seconds(server.worker) - before < 0.25, "the worker spins"
    discard(client) if max_packet < 11 else client.close()


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
    server = arena.start(workers=1, options={"crypto-shortcuts": "yes", **options})
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
    server = arena.start(workers=2, options={"crypto-shortcuts": "no"})
    arena.worker_survives = arena.returns_to_base = False  # it may be on the worker that is lost
    workers = server.workers()
    held = [login(server) for _ in range(8)]
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


def test_row_25_window_of_one_byte_at_a_time(arena):
    server = arena.start()
    client = login(server)
    channel = client.shell(window=0, auto=False)
    channel.feed(pattern(200_000))
    client.idle(0.2)
    before = harness.cpu_seconds(server.worker)
    for count in range(1, 401):
        channel.adjust(1)
        client.wait(lambda: channel.received == count, 5, f"byte {count}")
    assert channel.data == pattern(200_000)[:400]
    assert harness.cpu_seconds(server.worker) - before < 1
    client.close()


def test_row_26_adjust_past_the_largest_window(arena):
    server = arena.start()
    for first, more in ((LARGEST, 1), (LARGEST, LARGEST), (1, LARGEST)):
        client = login(server)
        channel = client.shell(window=first, auto=False)
        channel.adjust(more)
        channel.feed(b"x" * 100)
        client.idle(0.2)
        discard(client)


def test_row_26_flood_of_adjusts(arena):
    server = arena.start()
    client = login(server)
    channel = client.shell(window=0, auto=False)
    channel.feed(pattern(3000))
    client.idle(0.1)
    zero = byte(CHANNEL_WINDOW_ADJUST) + u32(channel.remote) + u32(0)
    for _ in range(100_000):
        client.send(zero)
        if len(client.out) > 200_000:
            client.wait(lambda: len(client.out) < 100_000, what="room for more adjusts")
    channel.adjust(3000)
    client.wait(lambda: channel.received == 3000, what="the echo behind the flood")
    client.close()


@pytest.mark.parametrize("excess, ended", [(0, False), (0.02, False), (10, True)], ids=["exact", "2%", "10x"])
def test_row_27_beyond_our_window(arena, excess, ended):
    server = arena.start()
    client = login(server)
    channel = client.shell(window=0, auto=False)
    channel.feed(pattern(8_000_000))
    wait_until(lambda: channel.remote_window == 0 and not client.out or client.step(0.05), 10, "a full window")
    client.idle(0.3)
    channel.outgoing.clear()
    more = int(channel.granted * excess)
    if excess > 0 and "libssh 0.10" not in harness.run_sshechod("--version").stdout:
        ended = True  # later ones look after the window themselves, and tolerate nothing
    while more > 0 and not client.closed:
        channel.send_data(bytes(min(more, 32768)))
        more -= 32768
        client.step(0.005)
    if ended:
        assert_ended(client)
        arena.reason("window-overrun")
    else:
        client.idle(0.3)
        assert not client.closed
        sent = channel.sent
        channel.auto_window = 1 << 20
        channel.adjust(1 << 20)
        client.wait(lambda: channel.received == sent, what="all that was sent")
        client.close()


def test_row_29_empty_data_by_the_thousand(arena):
    server = arena.start()
    client = login(server)
    channel = client.shell()
    client.echo(channel, b"first")
    before = client.bytes_in
    for number in range(100_000):
        channel.send_data(b"", kind=STDERR if number % 2 else None)
        if len(client.out) > 200_000:
            client.wait(lambda: len(client.out) < 100_000, what="room for more")
    assert client.echo(channel, b"last") == b"last"
    assert client.bytes_in - before < 5000, "empty data is answered"
    client.close()


@pytest.mark.parametrize("kind", [0, 1, 2, LARGEST])
def test_row_30_extended_data_of_any_kind(arena, kind):
    server = arena.start()
    client = login(server)
    channel = client.shell()
    for _ in range(50):
        channel.send_data(pattern(500), kind=kind)
    assert client.echo(channel, b"plain") == b"plain"
    client.idle(0.2)
    if kind == STDERR:
        assert channel.stderr == pattern(500) * 50
    client.close()


@pytest.mark.parametrize("amount", [100, 30_000])
def test_row_31_data_before_the_service(arena, amount):
    server = arena.start()
    client = login(server)
    channel = client.open()
    channel.feed(pattern(amount))
    client.idle(0.2)
    assert channel.received == 0
    assert channel.shell()
    client.wait(lambda: channel.received == amount, what="the early bytes")
    assert channel.data == pattern(amount)
    client.close()


def test_row_31_windows_full_and_never_a_service(arena):
    server = arena.start(options={"channels-per-connection": 100})
    before = harness.rss_kib(server.worker)
    client = login(server)
    for _ in range(50):
        client.open().feed(pattern(3_000_000))
    client.idle(1)
    sent = sum(channel.sent for channel in client.channels.values())
    grown = (harness.rss_kib(server.worker) - before) * 1024
    assert grown < sent * 2.5 + 4_000_000, f"{sent} bytes sent cost {grown}"
    client.close()


@pytest.mark.parametrize("kind", [None, STDERR])
def test_row_32_data_after_eof(arena, kind):
    server = arena.start()
    client = login(server)
    channel = client.shell(window=0, auto=False)
    channel.send_data(b"before")
    channel.send_eof()
    channel.send_data(b"after", kind=kind)
    client.idle(0.2)
    channel.adjust(100_000)
    client.idle(0.3)
    assert bytes(channel.data).startswith(b"before") or client.closed
    discard(client)


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
        client.idle(0.02)
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
    sixth = client.open()
    for channel in held:
        channel.send_close()
    if sixth.open_failure:
        wait_until(lambda: client.open().opened, 5, "room after our CLOSE")
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


@pytest.mark.parametrize("number", [1, 77, 2**31, LARGEST])
@pytest.mark.parametrize("what", AFTER_CLOSE)
def test_row_35_unknown_channel_numbers(arena, number, what):
    server = arena.start()
    client = login(server)
    channel = client.shell()
    stray = rawssh.Channel(client, 0, 0, 0)
    stray.remote = number + channel.remote if number < 100 else number
    client.send(AFTER_CLOSE[what](stray))
    client.idle(0.2)
    if not client.closed:
        assert client.echo(channel, b"x") == b"x"
    discard(client)


def test_row_36_unknown_channel_types(arena):
    server = arena.start()
    client = login(server)
    for kind in ("", "no-such-type", "direct-tcpip", "x" * 20_000, "SESSION"):
        assert client.open(kind=kind, body=string("127.0.0.1") + u32(22) + string("127.0.0.1") + u32(1)).open_failure
    assert client.echo(client.shell(), b"x") == b"x"
    client.close()


def test_row_36_session_after_no_more_sessions(arena):
    """RFC-wise a courtesy of OpenSSH's: refusing the request itself is an answer, too."""
    server = arena.start()
    client = login(server)
    channel = client.shell()
    client.global_request("no-more-sessions@openssh.com", want_reply=False)
    assert client.echo(channel, b"x") == b"x"
    client.close()


def test_row_37_flood_of_opens_over_the_limit(arena):
    server = arena.start(options={"channels-per-connection": 10})
    client = login(server)
    before = harness.rss_kib(server.worker)
    for number in range(10, 20_010):
        client.send(byte(CHANNEL_OPEN) + string("session") + u32(number) + u32(1000) + u32(32768))
        client.channels[number] = rawssh.Channel(client, number, 1000, 32768)
        if len(client.out) > 100_000:
            client.wait(lambda: len(client.out) < 50_000, what="room for more")
    client.wait(
        lambda: all(each.opened for each in client.channels.values()) and len(client.channels) <= 10,
        30,
        "an answer to each open",
    )
    assert harness.rss_kib(server.worker) - before < 8192 * (4 if harness.is_sanitized() else 1)
    client.close()


def test_row_37_open_and_close_churn(arena):
    server = arena.start(options={"channels-per-connection": 10})
    client = login(server)
    sizes = []
    for turn in range(3000):
        channel = client.open()
        assert channel.opened, f"open {turn} refused: {channel.open_failure}"
        channel.send_close()
        client.wait(lambda: channel.closed, what="CLOSE for CLOSE")
        del client.channels[channel.number]
        if turn in (1000, 2999):
            sizes.append(harness.rss_kib(server.worker))
    assert sizes[1] - sizes[0] < (8192 if harness.is_sanitized() else 512), f"2,000 channels cost {sizes} KiB"
    client.close()


def test_row_41_second_service(arena):
    server = arena.start()
    client = login(server)
    channel = client.shell()
    for _ in range(100):
        assert channel.execute("discard") is False
    assert client.echo(channel, b"x") == b"x"
    client.close()


def test_row_42_flood_of_forward_requests(arena):
    server = arena.start()
    client = login(server)
    sizes = []
    for turn in range(20_000):
        name = "tcpip-forward" if turn % 2 else "cancel-tcpip-forward"
        client.send(byte(GLOBAL_REQUEST) + string(name) + boolean(True) + string("127.0.0.1" + "x" * 200) + u32(turn))
        if len(client.out) > 100_000:
            client.wait(lambda: len(client.out) < 50_000, what="room for more")
        if turn == 5000:
            sizes.append(harness.rss_kib(server.worker))
    client.wait(lambda: len(client.global_replies) == 20_000, 30, "a reply to each")
    sizes.append(harness.rss_kib(server.worker))
    assert not any(client.global_replies)
    assert sizes[1] - sizes[0] < (8192 if harness.is_sanitized() else 1024), f"15,000 requests cost {sizes} KiB"
    client.close()


def test_row_43_keepalives_and_pings(arena):
    server = arena.start()
    client = login(server)
    channel = client.shell()
    for _ in range(500):
        client.send(byte(GLOBAL_REQUEST) + string("keepalive@openssh.com") + boolean(True))
    for _ in range(20):
        client.send(byte(192) + string("ping"))  # SSH_MSG_PING of ping@openssh.com, which nobody offered
    client.wait(lambda: len(client.global_replies) == 500, what="a reply to each keepalive")
    if not client.closed:
        assert client.echo(channel, b"x") == b"x"
    client.close()


@pytest.mark.parametrize("code", [REQUEST_SUCCESS, REQUEST_FAILURE, 99, 100])
def test_row_43_unasked_replies(arena, code):
    """CVE-2026-39830 in another library: replies to nothing piled up."""
    server = arena.start()
    client = login(server)
    channel = client.shell()
    body = u32(channel.remote) if code in (99, 100) else b""
    before = harness.rss_kib(server.worker)
    for _ in range(20_000):
        client.send(byte(code) + body)
        if len(client.out) > 100_000:
            client.wait(lambda: len(client.out) < 50_000, what="room for more")
    client.idle(0.3)
    if not client.closed:
        assert client.echo(channel, b"x") == b"x"
    assert harness.rss_kib(server.worker) - before < 4096 * (4 if harness.is_sanitized() else 1)
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
    server = arena.start()
    client = login(server)
    channel = client.shell()
    client.send(byte(code) + string("what is this"))
    client.idle(0.1)
    if not client.closed:
        assert client.echo(channel, b"x") == b"x"
        client.close()
    else:
        discard(client)
