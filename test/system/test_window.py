"""The echo and its windows: W1 every byte once and in order, W2 grants follow echoes, W3 bounded memory, W4 overrun is
refused, W5 nothing waits for ever. The client decides every window and packet size."""

import random
import time

import pytest

import harness
import rawssh
from rawssh import STDERR, pattern


LARGEST = 2**32 - 1


def fixed_window():
    """What libssh may have granted beyond what was consumed, in bytes, for the libssh in use.

    0.10 opens with 32,000 and raises the window to 1,280,000 whenever window + unconsumed falls below 640,000.
    0.11 and later keep window + unconsumed within 2 MiB.
    """
    return 1_920_000 + 32_000 if harness.libssh_version() < (0, 11) else 2 * 1024 * 1024


F = None


@pytest.fixture(autouse=True)
def window_of_libssh():
    global F
    F = F or fixed_window()


def settle(client, channel, quiet=0.4, timeout=20):
    """Steps until nothing has been sent, granted or received for `quiet` seconds."""
    end, last, since = time.monotonic() + timeout, None, time.monotonic()
    while time.monotonic() - since < quiet:
        assert time.monotonic() < end, f"still moving after {timeout} s: {client.state()}"
        client.step(0.05)
        now = (channel.sent, channel.granted, channel.received, len(client.out))
        if now != last:
            last, since = now, time.monotonic()


def collect(client, channel, data, timeout=30):
    client.wait(lambda: len(channel.data) >= len(data), timeout, f"{len(data)} bytes back")
    assert channel.data == data


def assert_grants_follow_echoes(channel):
    assert channel.granted <= channel.received + F, f"granted {channel.granted}, echoed {channel.received}"


def test_shut_window_gets_no_bytes_and_no_further_grants(server, dial):
    client = dial(server)
    channel = client.shell(window=0, auto=False)
    data = pattern(4_000_000)
    channel.feed(data)
    settle(client, channel)
    assert channel.received == 0
    assert channel.sent == channel.granted, "the client could not use what it was granted"
    assert_grants_follow_echoes(channel)
    before = harness.cpu_seconds(server.worker)
    client.idle(1.0)
    assert harness.cpu_seconds(server.worker) - before < 0.1, "the worker spins on a shut window"
    channel.auto_window = 1 << 20
    channel.adjust(1 << 20)
    collect(client, channel, data)
    assert_grants_follow_echoes(channel)


def test_new_grants_arrive_without_further_input(server, dial):
    """The server's own adjustments must go out by themselves: here the client sends nothing that could push them."""
    client = dial(server)
    channel = client.shell(window=0, auto=False)
    data = pattern(4_000_000)
    channel.feed(data)
    settle(client, channel)
    channel.adjust(1 << 30)
    collect(client, channel, data, timeout=10)


def test_window_opened_one_byte_at_a_time(server, dial):
    client = dial(server)
    channel = client.shell(window=0, auto=False)
    data = pattern(400)
    channel.feed(data)
    settle(client, channel, quiet=0.2)
    for count in range(1, 301):
        channel.adjust(1)
        client.wait(lambda: channel.received >= count, 5, f"byte {count}")
        assert channel.received == count
    assert channel.data == data[:300]
    channel.adjust(100)
    collect(client, channel, data)


@pytest.mark.parametrize("seed", range(4))
def test_random_grants(server, dial, seed):
    dice = random.Random(seed)
    client = dial(server)
    channel = client.shell(
        window=dice.choice([0, 1, 1000, 32768]), max_packet=dice.choice([100, 4096, 32768, 100000]), auto=False
    )
    channel.packet_limit = dice.choice([500, 8192, 32768])
    data = pattern(2_000_000, seed)
    channel.feed(data)
    while len(channel.data) < len(data):
        if channel.window < 1 or dice.random() < 0.2:
            channel.adjust(dice.choice([1, 2, 17, 1000, 40_000, 70_000, 300_000]))
        if dice.random() < 0.01 and not client.exchanging:
            client.start_kex()
        moved = channel.received
        client.step(0.02)
        if channel.window and channel.received == moved and channel.sent == channel.received == len(data):
            break
        assert_grants_follow_echoes(channel)
        if channel.window == 0:
            client.step(0)
    assert channel.data == data


@pytest.mark.parametrize("window", [LARGEST, LARGEST - 1, 2**31])
def test_huge_initial_window(server, dial, window):
    client = dial(server)
    channel = client.shell(window=window, auto=False)
    data = pattern(6_000_000)
    assert client.echo(channel, data) == data
    assert_grants_follow_echoes(channel)


def test_adjust_that_overflows_the_window_harms_nobody(server, dial):
    control = dial(server)
    beside = control.shell()
    client = dial(server)
    channel = client.shell(window=LARGEST, auto=False)
    channel.adjust(1)
    channel.adjust(LARGEST)
    channel.feed(pattern(1000))
    client.idle(0.3)
    if not client.closed:
        # Whatever the sum was taken for, a grant afterwards has to set the bytes in motion.
        channel.adjust(100_000)
        collect(client, channel, pattern(1000))
    assert control.echo(beside, pattern(100_000)) == pattern(100_000)


def test_zero_adjusts_are_harmless(server, dial):
    client = dial(server)
    channel = client.shell(window=0, auto=False)
    channel.feed(pattern(5000))
    for _ in range(1000):
        channel.adjust(0)
    settle(client, channel, quiet=0.2)
    assert channel.received == 0
    channel.adjust(5000)
    collect(client, channel, pattern(5000))


def test_using_the_whole_window_is_allowed(server, dial):
    client = dial(server)
    channel = client.shell(window=0, auto=False)
    channel.feed(pattern(F * 2))
    settle(client, channel)
    assert channel.remote_window == 0
    assert not client.closed and client.disconnect is None
    channel.auto_window = 1 << 20
    channel.adjust(1 << 20)
    collect(client, channel, pattern(F * 2))


def test_overrun_of_the_window_is_disconnected(server, dial):
    control = dial(server)
    beside = control.shell()
    client = dial(server)
    channel = client.shell(window=0, auto=False)
    channel.feed(pattern(F * 2))
    settle(client, channel)
    block = pattern(32768)
    while channel.sent < F * 1.1 + 65536 and not client.closed:
        channel.send_data(block)
        client.step(0.01)
    client.wait_end()
    close = server.wait_line("close", count=1)
    assert "window" in close["reason"] or "overrun" in close["reason"], close
    assert client.disconnect, "closed without a disconnect message"
    assert control.echo(beside, block) == block


def test_small_overrun_while_the_window_is_open_is_tolerated(server, dial):
    client = dial(server)
    channel = client.shell()
    first = channel.remote_window
    data = pattern(first + 1000)
    for start in range(0, len(data), 8000):
        channel.send_data(data[start : start + 8000])
    collect(client, channel, data)


def test_stalled_channel_beside_a_busy_one(server, dial):
    client = dial(server)
    stalled = client.shell(window=0, auto=False)
    busy = client.shell()
    stalled.feed(pattern(3_000_000, 1))
    settle(client, stalled)
    data = pattern(5_000_000, 2)
    assert client.echo(busy, data) == data
    assert stalled.received == 0
    assert_grants_follow_echoes(stalled)
    stalled.auto_window = 200_000
    stalled.adjust(200_000)
    collect(client, stalled, pattern(3_000_000, 1))


def test_rekey_while_the_window_is_shut(serve, dial):
    server = serve()
    client = dial(server)
    channel = client.shell(window=0, auto=False)
    data = pattern(2_500_000)
    channel.feed(data)
    settle(client, channel)
    for _ in range(3):
        client.rekey()
    assert channel.received == 0
    client.start_kex()  # the window opens while keys are being exchanged
    channel.adjust(100_000)
    client.wait(lambda: channel.received >= 100_000, 10, "what the window allows, after the re-key")
    assert channel.received == 100_000
    channel.auto_window = 1 << 20
    channel.adjust(1 << 20)
    collect(client, channel, data)


@pytest.mark.parametrize("every", [20_000, 100_000, 777_777])
def test_client_rekeys_under_full_traffic(server, dial, every):
    client = dial(server)
    channels = [client.shell(), client.shell(window=50_000)]
    data = [pattern(min(6_000_000, every * 40), seed) for seed in (1, 2)]
    for channel, each in zip(channels, data):
        channel.feed(each)
    due = every
    while any(len(channel.data) < len(each) for channel, each in zip(channels, data)):
        received = sum(channel.received for channel in channels)
        if received >= due and not client.exchanging:
            client.start_kex()
            due += every
        client.wait(lambda: sum(channel.received for channel in channels) > received, 20, "progress across a re-key")
    for channel, each in zip(channels, data):
        assert channel.data == each
    assert client.kex_count > 10


def test_server_rekeys_by_bytes_under_full_traffic(serve, dial):
    server = serve(options={"rekey-bytes": "256K"})
    client = dial(server)
    channel = client.shell(window=100_000)
    data = pattern(5_000_000)
    assert client.echo(channel, data, 60) == data
    assert client.kex_count >= 5, "the server did not re-key"
    assert client.echo(channel, b"after") == b"after"


def test_server_rekeys_by_time(serve, dial):
    server = serve(options={"rekey-interval": "1s"})
    client = dial(server)
    channel = client.shell()
    sent = b""
    end = time.monotonic() + 20
    while client.kex_count < 3:
        assert time.monotonic() < end, "no re-key by time"
        sent += pattern(50_000, len(sent))
        channel.feed(sent[-50_000:])
        client.wait(lambda: len(channel.data) == len(sent), 10, "echo across a re-key by time")
    assert channel.data == sent


def test_both_sides_rekey_at_once(serve, dial):
    server = serve(options={"rekey-bytes": "128K"})
    client = dial(server)
    channel = client.shell(window=60_000)
    data = pattern(3_000_000)
    channel.feed(data)
    due = 0
    while len(channel.data) < len(data):
        if channel.received >= due and not client.exchanging:
            client.start_kex()
            due = channel.received + 90_000
        received = channel.received
        client.wait(lambda: channel.received > received, 20, "progress while both sides re-key")
    assert channel.data == data


def test_stderr_comes_back_as_stderr(server, dial):
    client = dial(server)
    channel = client.shell()
    dice = random.Random(7)
    out = err = b""
    for turn in range(300):
        piece = pattern(dice.randrange(1, 5000), turn)
        client.wait(lambda: channel.remote_window > len(piece), what="window")
        if dice.random() < 0.5:
            channel.send_data(piece)
            out += piece
        else:
            channel.send_data(piece, kind=STDERR)
            err += piece
    client.wait(lambda: channel.received == len(out) + len(err), 20, "both streams")
    assert channel.data == out
    assert channel.stderr == err
    assert_grants_follow_echoes(channel)


def test_stderr_through_a_small_window(server, dial):
    client = dial(server)
    channel = client.shell(window=0, auto=False)
    out, err = pattern(9000, 1), pattern(9000, 2)
    for start in range(0, 9000, 1000):
        channel.send_data(out[start : start + 1000])
        channel.send_data(err[start : start + 1000], kind=STDERR)
    while channel.received < 18000:
        expected = min(18000, channel.received + 700)
        channel.adjust(700)
        client.wait(lambda: channel.received >= expected, 5, f"{expected} bytes of both streams")
    assert (channel.data, channel.stderr) == (out, err)


def test_many_channels_at_once(server, dial):
    client = dial(server)
    channels = [client.shell(window=20_000) for _ in range(60)]
    data = [pattern(60_000 + 1000 * number, number) for number in range(60)]
    for channel, each in zip(channels, data):
        channel.feed(each, eof=True)
    client.wait(lambda: all(channel.closed for channel in channels), 40, "the end of 60 channels")
    for channel, each in zip(channels, data):
        assert channel.data == each
        assert channel.exit_status == 0


def test_sending_without_reading_until_everything_is_full(server, dial):
    client = dial(server, receive_buffer=16384)
    channel = client.shell(window=LARGEST, auto=False)
    head = pattern(100_000, 1)
    assert client.echo(channel, head) == head  # libssh has now granted its full window
    client.reading = False
    data = pattern(8_000_000, 2)
    channel.feed(data)
    settle(client, channel)
    assert channel.outgoing, "the server took everything from a client that does not read"
    client.reading = True
    collect(client, channel, head + data)


def test_memory_stays_bounded_when_clients_do_not_read(server, dial):
    worker, count = server.worker, 12
    clients = [dial(server, receive_buffer=4096) for _ in range(count)]
    channels = [client.shell(window=LARGEST, auto=False) for client in clients]
    for client, channel in zip(clients, channels):
        client.echo(channel, pattern(50_000))
    before = harness.rss_kib(worker)
    for client, channel in zip(clients, channels):
        client.reading = False
        channel.feed(pattern(4_000_000, channel.number))
        settle(client, channel, quiet=0.1)
    grown = harness.rss_kib(worker) - before
    # W3: libssh's window + 256 KiB pending + 64 KiB. libssh's buffers double as they grow, ASan's never shrink.
    allowed = count * (F + 320 * 1024) / 1024 * (4 if harness.is_sanitized() else 2)
    assert grown < allowed, f"{count} clients that do not read cost {grown} KiB, allowed {allowed:.0f}"
    start = harness.cpu_seconds(worker)
    time.sleep(1.0)
    assert harness.cpu_seconds(worker) - start < 0.15, "the worker spins while nobody reads"
    for client, channel in zip(clients, channels):
        client.reading = True
        collect(client, channel, pattern(50_000) + pattern(4_000_000, channel.number))


def test_memory_stays_bounded_against_a_client_that_ignores_windows(server):
    worker = server.worker
    before = harness.rss_kib(worker)
    client = rawssh.Client(server.address, receive_buffer=4096).login()
    channel = client.shell(window=LARGEST, auto=False)
    client.reading = False
    block = pattern(32768)
    for _ in range(64 * 32):  # 64 MiB, unless the server ends it or stops reading
        channel.send_data(block)
        for _ in range(200):
            client.step(0.005)
            if not client.out or client.closed:
                break
        else:
            break
        if client.closed:
            break
    assert harness.rss_kib(worker) - before < 32 * 1024 * (3 if harness.is_sanitized() else 1)
    client.close()
