"""Rows 6-9 and 28: clients whose binary packets are wrong: their length, padding, content or authentication."""

import random
import struct
import time

import pytest

import harness
import rawssh
from arena import assert_ended, discard, hand_made
from passwords import hashed
from rawssh import (
    CHANNEL_DATA,
    CHANNEL_EOF,
    CHANNEL_EXTENDED_DATA,
    CHANNEL_OPEN,
    CHANNEL_OPEN_CONFIRMATION,
    KEX_ECDH_INIT,
    KEX_ECDH_REPLY,
    SERVICE_ACCEPT,
    USERAUTH_SUCCESS,
    CHANNEL_REQUEST,
    CHANNEL_WINDOW_ADJUST,
    GLOBAL_REQUEST,
    IGNORE,
    SERVICE_REQUEST,
    USERAUTH_REQUEST,
    boolean,
    byte,
    pattern,
    string,
    u32,
)

SHORT = {"banner-timeout": "1s", "kex-timeout": "1s", "login-timeout": "2s"}


RIGHT = [28, 1004, 34_996, 250_004]  # with their bytes; RFC 4253 asks for 35,000, libssh takes 256 KiB
WRONG = [0, 1, 4, 262_145, 2**31 - 1, 2**31, 2**32 - 1]  # too short for any packet, or over libssh's limit
PROMISED = [11, 28, 35_000, 262_144]  # could be right, but the bytes never come


def ignore_of(length):
    """A payload whose packet is `length` long (without the length field), and its padding."""
    padding = 4
    return byte(IGNORE) + string(bytes(length - 1 - padding - 5)), padding


def test_row_6_right_packet_lengths_before_newkeys(arena):
    """Taken, and the key exchange that follows is right."""
    server = arena.start()
    for length in RIGHT:
        client = hand_made(server, strict=False)  # a strict exchange has no room for IGNORE
        client.take_kexinit = type(client).take_kexinit.__get__(client)
        client.send_banner()
        payload, padding = ignore_of(length)
        client.send_raw(client.frame(payload, padding=padding))
        client.start_kex()
        client.wait(lambda: client.kex_count == 1, what=f"key exchange behind a packet of {length}")
        assert client.login().echo(client.shell(), b"x") == b"x"
        client.close()


@pytest.mark.parametrize("cipher, block", [("aes128-gcm@openssh.com", 16), ("chacha20-poly1305@openssh.com", 8)])
def test_row_6_right_packet_lengths_after_login(arena, cipher, block):
    server = arena.start()
    client = rawssh.Client(server.address, ciphers=[cipher]).login()
    channel = client.shell()
    for length in RIGHT:
        payload, padding = ignore_of(max(length // block, 2) * block)
        client.send_raw(client.frame(payload, padding=padding))
        assert client.echo(channel, pattern(100, length)) == pattern(100, length), f"after a packet of {length}"
    client.close()


def start_of_packet(server, when, length):
    """A client that has said how long its packet is, and sent 64 bytes of it."""
    if when == "plain":
        client = hand_made(server)
        client.send_banner()
        client.send_raw(struct.pack(">IB", length, 10) + bytes(64))
        return client
    client = rawssh.Client(server.address)
    client.send_raw(client.frame(byte(IGNORE) + string(b"x" * 40), length=length))
    return client


@pytest.mark.parametrize("when", ["plain", "encrypted"])
def test_row_6_wrong_packet_lengths(arena, when):
    """A length that cannot be right ends the connection there and then; nothing is allocated for it."""
    arena.peak_mib = 2
    server = arena.start(options=SHORT)
    peak = harness.Peak(server.worker)
    for number, length in enumerate(WRONG):
        start = time.monotonic()
        client = start_of_packet(server, when, length)
        assert_ended(client, 6)
        assert time.monotonic() - start < 0.8, f"{length} was believed until a deadline"
        arena.reason("protocol", count=number + 1)
    assert peak.claimed_kib() < 4096, f"{peak.claimed_kib()} KiB of addresses for lengths that were only claimed"


@pytest.mark.parametrize("when", ["plain", "encrypted"])
def test_row_6_promised_packet_lengths(arena, when):
    """Bytes that never come: ended by the deadline of the phase, and they cost no memory meanwhile."""
    arena.peak_mib = 4
    server = arena.start(options=SHORT)
    peak = harness.Peak(server.worker)
    waiting = [start_of_packet(server, when, length) for length in PROMISED * 5]
    for client in waiting:
        assert_ended(client, 6)
    arena.reason("protocol|banner-timeout|kex-timeout|login-timeout", count=len(waiting))
    assert peak.claimed_kib() < 8192, f"{peak.claimed_kib()} KiB of addresses for bytes that were only promised"


@pytest.mark.parametrize("when", ["plain", "encrypted"])
@pytest.mark.parametrize("padding", [0, 1, 3, 200, 255])
def test_row_7_padding(arena, when, padding):
    """Padding that leaves no payload ends the connection; less than the RFC's 4 bytes libssh takes, and then it has to read
    the payload right."""
    server = arena.start(options=SHORT)
    start = time.monotonic()
    if when == "plain":
        client = hand_made(server)
        client.send_banner()
        client.send_raw(client.frame(byte(SERVICE_REQUEST) + string("ssh-userauth"), padding=padding))
    else:
        client = rawssh.Client(server.address)
        client.send_raw(client.frame(byte(SERVICE_REQUEST) + string("ssh-userauth"), padding=padding))
        if padding < 4:
            # frame() has padded to whole blocks and only says less: what is left over is part of the payload
            client.idle(0.2)
            if not client.closed:
                assert SERVICE_ACCEPT in client.messages, "neither refused nor read"
                client.close()
                return
    assert_ended(client, 6)
    assert time.monotonic() - start < 0.8, "held until a deadline"
    arena.reason("protocol")


@pytest.mark.parametrize("extra", [1, 3, 7])
def test_row_7_length_that_is_no_multiple_of_the_block(arena, extra):
    server = arena.start(options=SHORT)
    client = rawssh.Client(server.address, ciphers=["aes128-ctr"], macs=["hmac-sha2-256"])
    payload = byte(IGNORE) + string(b"x" * 40)
    client.send_raw(client.frame(payload, length=len(payload) + 20 + extra))
    client.send_raw(bytes(64))
    assert_ended(client, 6)


def whole_messages(remote):
    number = u32(remote)
    return [
        byte(GLOBAL_REQUEST) + string("tcpip-forward") + boolean(True) + string("127.0.0.1") + u32(0),
        byte(GLOBAL_REQUEST) + string("keepalive@openssh.com") + boolean(True),
        byte(CHANNEL_OPEN) + string("session") + u32(77) + u32(1000) + u32(32768),
        byte(CHANNEL_OPEN)
        + string("direct-tcpip")
        + u32(78)
        + u32(1000)
        + u32(32768)
        + string("h")
        + u32(1)
        + string("o")
        + u32(2),
        byte(CHANNEL_DATA) + number + string("data"),
        byte(CHANNEL_EXTENDED_DATA) + number + u32(1) + string("data"),
        byte(CHANNEL_WINDOW_ADJUST) + number + u32(5),
        byte(CHANNEL_REQUEST)
        + number
        + string("pty-req")
        + boolean(True)
        + string("xterm")
        + u32(80)
        + u32(24)
        + u32(0)
        + u32(0)
        + string("\x00"),
        byte(CHANNEL_REQUEST) + number + string("env") + boolean(True) + string("A") + string("B"),
        byte(CHANNEL_REQUEST) + number + string("exec") + boolean(True) + string("cat"),
        byte(CHANNEL_REQUEST) + number + string("subsystem") + boolean(True) + string("sftp"),
        byte(CHANNEL_REQUEST) + number + string("window-change") + boolean(False) + u32(1) + u32(2) + u32(3) + u32(4),
        byte(CHANNEL_REQUEST) + number + string("signal") + boolean(False) + string("INT"),
        byte(CHANNEL_REQUEST)
        + number
        + string("x11-req")
        + boolean(True)
        + boolean(False)
        + string("a")
        + string("b")
        + u32(0),
        byte(CHANNEL_EOF) + number,
        byte(USERAUTH_REQUEST) + string("u") + string("ssh-connection") + string("none"),
        byte(SERVICE_REQUEST) + string("ssh-userauth"),
    ]


def test_row_8_truncated_messages_after_login(arena):
    """Every message cut at every byte; lengths that point past the end. One connection is used until it dies: no cut
    message may have an effect, and what ends a connection is called by its name."""
    server = arena.start(lift=["request-rate", "channel-open-rate"])
    client, channel, used = None, None, 0
    for index in range(len(whole_messages(0))):
        cut = 1
        while True:
            if client is None or client.closed:
                if client:
                    discard(client)
                client = rawssh.Client(server.address).login()
                channel = client.open(number=5000)  # not one that a cut open could name by chance
                used += 1
            whole = whole_messages(channel.remote)[index]
            if cut >= len(whole):
                break
            client.send(whole[:cut])
            client.step()
            assert True not in channel.replies, f"a request cut at {cut} was done: {whole[:cut]}"
            assert client.messages.count(CHANNEL_OPEN_CONFIRMATION) == 1, f"opened by a message cut at {cut}"
            assert len([code for code, _ in client.auth_events if code == USERAUTH_SUCCESS]) == 1
            cut += 1
        client.idle(0.02)
    discard(client)
    arena.reason("protocol|client|reset|window-overrun", count=used)
    assert set(arena.reasons()) <= {"protocol", "client", "reset"}


@pytest.mark.parametrize("method", ["password", "publickey", "keyboard-interactive"])
def test_row_8_truncated_messages_before_login(arena, tmp_path, method):
    """No cut message logs anybody in: the password is right only when it is whole."""
    path = tmp_path / "passwords"
    path.write_text(f"user:{hashed('secret')}\n")
    server = arena.start(
        options={"auth-methods": "none,password,publickey,keyboard-interactive", "password-file": path}
    )
    body = {
        "password": boolean(False) + string("secret"),
        "publickey": boolean(True)
        + string("ssh-ed25519")
        + string(string("ssh-ed25519") + string(bytes(32)))
        + string(string("ssh-ed25519") + string(bytes(64))),
        "keyboard-interactive": string("") + string(""),
    }[method]
    client = None
    whole = byte(USERAUTH_REQUEST) + string("user") + string("ssh-connection") + string(method) + body
    for cut in range(1, len(whole), 1 if len(whole) < 100 else 3):
        if client is None or client.closed:
            client = rawssh.Client(server.address)
            client.service()
        client.send(whole[:cut])
        client.idle(0.01)
        assert not client.authenticated, f"logged in by a message cut at {cut}"
    discard(client)


def test_row_8_truncated_kexinit(arena):
    """Each is ended, at once or by the deadline, and none gets as far as a key."""
    server = arena.start(options=SHORT)
    clients = []
    for cut in (1, 5, 17, 18, 20, 21, 30, 60, 100, 200):
        client = hand_made(server)
        client.send_banner()
        client.send_packet(client.kexinit()[:cut])
        client.send_packet(byte(KEX_ECDH_INIT) + string(bytes(range(1, 33))))
        clients.append(client)
    for client in clients:
        assert_ended(client, 4)
        assert KEX_ECDH_REPLY not in client.messages
    arena.reason("protocol|kex-timeout", count=len(clients))


@pytest.mark.parametrize("logged_in", [False, True], ids=["before-login", "after-login"])
def test_row_8_random_messages(arena, logged_in):
    """Every message number with random bodies: nobody gets in by them, nothing is opened."""
    server = arena.start(lift=["request-rate"])
    dice = random.Random(8)
    client = None
    for turn in range(600):
        if client is None or client.closed:
            if client:
                discard(client)
            client = rawssh.Client(server.address)
            if logged_in:
                client.login()
                client.shell()
        client.reading = True
        code = dice.choice([number for number in range(1, 256) if number not in (1, 20, 21)])
        client.send(byte(code) + dice.randbytes(dice.choice([0, 1, 4, 8, 20, 100])))
        client.step()
        assert client.authenticated == logged_in
        assert client.messages.count(CHANNEL_OPEN_CONFIRMATION) == logged_in
    discard(client)


CIPHERS = [
    ("aes128-gcm@openssh.com", None),
    ("aes256-gcm@openssh.com", None),
    ("chacha20-poly1305@openssh.com", None),
    ("aes128-ctr", "hmac-sha2-256"),
    ("aes256-ctr", "hmac-sha2-512-etm@openssh.com"),
]


@pytest.mark.parametrize("cipher, mac", CIPHERS, ids=[f"{cipher}/{mac}" for cipher, mac in CIPHERS])
def test_row_9_one_flipped_bit(arena, cipher, mac):
    """In the length, the payload or the tag: the connection is ended, and no byte of the packet comes back."""
    server = arena.start(options={"login-timeout": "2s", "no-progress-timeout": "2s"})
    for number, (where, at) in enumerate({"length": 2, "payload": 20, "tag": -3}.items()):
        client = rawssh.Client(server.address, ciphers=[cipher], macs=[mac or "hmac-sha2-256"]).login()
        channel = client.shell()
        client.echo(channel, b"before")
        received = channel.received
        wire = bytearray(client.frame(byte(CHANNEL_DATA) + u32(channel.remote) + string(b"never to be echoed")))
        wire[at] ^= 0x10
        client.send_raw(bytes(wire))
        if where == "length":
            client.send_raw(bytes(wire) * 2000)  # so that a longer packet is complete
        assert_ended(client, 10)
        assert channel.received == received, f"bytes of a packet with a forged {where} came back"
        arena.reason("protocol", count=number + 1)


def test_row_28_data_packet_larger_than_our_maximum(arena):
    """200,000 bytes in one packet, six times what we said we take: echoed exactly, or the connection is ended."""
    server = arena.start()
    client = rawssh.Client(server.address).login()
    channel = client.shell()
    client.echo(channel, pattern(100_000))  # the window is wide by now
    received = channel.received
    try:
        channel.send_data(pattern(200_000, 28))
        client.wait(lambda: channel.received == received + 200_000, 5, "echo of a large packet")
    except ConnectionError:
        arena.reason("protocol|window-overrun")
    assert pattern(200_000, 28).startswith(bytes(channel.data[received:])), "not what was sent"
    discard(client)
