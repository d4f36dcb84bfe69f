"""Rows 10-16 and 45: algorithms, key exchange, re-keys."""

import os
import time

import pytest

import harness
import rawssh
from arena import assert_ended, exchanged_kexinit, hand_made
from rawssh import (
    DEBUG,
    IGNORE,
    KEX_ECDH_INIT,
    KEXINIT,
    NEWKEYS,
    SERVICE_REQUEST,
    boolean,
    byte,
    mpint,
    pattern,
    string,
    u32,
)

SHORT = {"banner-timeout": "1s", "kex-timeout": "1s", "login-timeout": "3s"}
GROUP14_P = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AACAA68FFFFFFFFFFFFFFFF",
    16,
)


@pytest.mark.parametrize("which", ["kex", "host_keys", "ciphers", "macs", "compression"])
def test_row_10_no_algorithm_in_common(arena, which):
    server = arena.start(options=SHORT)
    offer = {"ciphers": ["aes128-ctr"], which: ["rot13"]}
    client = hand_made(server, **offer)
    client.send_banner()
    client.start_kex()
    assert_ended(client)
    arena.reason("protocol")


@pytest.mark.parametrize("lists", ["long", "many", "repeated", "bytes"])
def test_row_11_monstrous_name_lists(arena, lists):
    server = arena.start(options=SHORT)
    worker = server.worker
    monster = {
        "long": ["x" * 30_000],
        "many": [f"n{number}" for number in range(3000)],
        "repeated": ["curve25519-sha256"] * 1700,
        "bytes": [],
    }[lists]
    before, count = harness.cpu_seconds(worker), 20
    for _ in range(count):
        client = hand_made(server)
        client.send_banner()
        if lists == "bytes":
            client.send_packet(
                byte(KEXINIT) + bytes(16) + string(bytes(range(256)) * 100) + string(b"") * 9 + boolean(False) + u32(0)
            )
        else:
            client.send_packet(client.kexinit(kex=[*monster, "curve25519-sha256"]))
        client.idle(0.05)
        client.close()
    spent = (harness.cpu_seconds(worker) - before) / count
    assert spent < 0.05 * (10 if harness.is_sanitized() else 1), f"{spent * 1000:.0f} ms of CPU for one KEXINIT"


def test_row_12_wrong_guess_is_ignored(arena):
    """first_kex_packet_follows with a method the server does not take: the packet after it does not count."""
    server = arena.start()
    client = hand_made(server)
    client.send_banner()
    client.start_kex(kex=["curve448-sha512", "curve25519-sha256"], guess=True)
    client.send_packet(byte(KEX_ECDH_INIT) + string(b"\x05" * 56))
    client.take_kexinit = type(client).take_kexinit.__get__(client)
    client.wait(lambda: client.kex_count == 1, what="key exchange after a wrong guess")
    client.login()
    assert client.echo(client.shell(), b"x") == b"x"
    client.close()


def test_row_12_wrong_guesses_again_and_again(arena):
    """CVE-2025-8277: each wrong guess in a re-exchange leaked the ephemeral key."""
    server = arena.start()
    worker = server.worker
    client = rawssh.Client(server.address).login()
    channel = client.shell()
    sizes = []
    for turn in range(600):
        count = client.kex_count
        client.start_kex(kex=["curve448-sha512", "curve25519-sha256"], guess=True)
        client.send_packet(byte(KEX_ECDH_INIT) + string(b"\x05" * 56))
        client.wait(lambda: client.kex_count > count, what="re-key after a wrong guess")
        if turn in (200, 599):
            sizes.append(harness.rss_kib(worker))
    assert client.echo(channel, b"x") == b"x"
    client.close()
    assert sizes[1] - sizes[0] < (16384 if harness.is_sanitized() else 256), f"400 wrong guesses cost {sizes} KiB"


def out_of_order():
    return {
        "newkeys-first": lambda c: c.send_packet(byte(NEWKEYS)),
        "kex-init-before-kexinit": lambda c: c.send_packet(byte(KEX_ECDH_INIT) + string(bytes(range(1, 33)))),
        "service-before-newkeys": lambda c: c.send_packet(byte(SERVICE_REQUEST) + string("ssh-userauth")),
        "auth-before-newkeys": lambda c: c.send_packet(c.auth_request("x", "none")),
    }


@pytest.mark.parametrize("what", out_of_order())
def test_row_13_out_of_order_before_kexinit(arena, what):
    server = arena.start(options=SHORT)
    client = hand_made(server)
    client.send_banner()
    out_of_order()[what](client)
    assert_ended(client, 6)


@pytest.mark.parametrize("what", ["second-kexinit", "newkeys", "service", "auth", "kex-init-twice"])
def test_row_13_out_of_order_in_the_exchange(arena, what):
    server = arena.start(options=SHORT)
    client = exchanged_kexinit(server)
    if what == "second-kexinit":
        client.send_packet(client.kexinit())
    elif what == "newkeys":
        client.send_packet(byte(NEWKEYS))
    elif what == "service":
        client.send_packet(byte(SERVICE_REQUEST) + string("ssh-userauth"))
    elif what == "auth":
        client.send_packet(client.auth_request("x", "none"))
    else:
        public = rawssh.client.crypto.Curve25519().public
        for _ in range(2):
            client.send_packet(byte(KEX_ECDH_INIT) + string(public))
        client.handle = lambda payload: None
    assert_ended(client, 6)


@pytest.mark.parametrize("code", [IGNORE, DEBUG])
def test_row_14_strict_key_exchange(arena, code):
    """After kex-strict was agreed, nothing optional may come before NEWKEYS (Terrapin, CVE-2023-48795)."""
    server = arena.start(options=SHORT)
    client = hand_made(server)
    body = string(b"x") if code == IGNORE else boolean(False) + string("x") + string("")

    def taint(payload):
        client.send_packet(byte(code) + body)
        type(client).take_kexinit(client, payload)

    client.take_kexinit = taint
    client.send_banner()
    client.start_kex()
    assert_ended(client, 2)  # sooner than the login deadline
    arena.reason("protocol")


@pytest.mark.parametrize(
    "public",
    [bytes(32), b"\x01" + bytes(31), b"", b"x", bytes(31), bytes(33), b"\xff" * 5000],
    ids=["zero", "one", "empty", "short", "31", "33", "5000"],
)
def test_row_15_bad_curve25519_points(arena, public):
    server = arena.start(options=SHORT)
    client = exchanged_kexinit(server)
    client.send_packet(byte(KEX_ECDH_INIT) + string(public))
    client.take_kex_reply = client.messages.append
    assert_ended(client, 6)
    assert rawssh.KEX_ECDH_REPLY not in client.messages, "the server went on with a point that gives the secret away"


@pytest.mark.parametrize(
    "point",
    [
        b"",
        b"\x00",
        b"\x04" + bytes(64),
        b"\x04" + b"\x01" * 64,
        b"\x04" + b"\xff" * 64,
        b"\x02" + b"\xff" * 32,
        b"\x04" + os.urandom(10),
    ],
    ids=["empty", "infinity", "zero", "off-curve", "over-p", "off-curve-compressed", "short"],
)
def test_row_15_bad_nist_points(arena, point):
    server = arena.start(options={**SHORT, "kex": "curve25519-sha256,ecdh-sha2-nistp256"})
    client = exchanged_kexinit(server, kex=["ecdh-sha2-nistp256"])
    client.send_packet(byte(KEX_ECDH_INIT) + string(point))
    assert_ended(client, 6)
    assert rawssh.KEX_ECDH_REPLY not in client.messages


@pytest.mark.parametrize(
    "value", [0, 1, GROUP14_P - 1, GROUP14_P, GROUP14_P + 1, 1 << 20000], ids=["0", "1", "p-1", "p", "p+1", "huge"]
)
def test_row_15_bad_diffie_hellman_values(arena, value):
    server = arena.start(options={**SHORT, "kex": "curve25519-sha256,diffie-hellman-group14-sha256"})
    client = exchanged_kexinit(server, kex=["diffie-hellman-group14-sha256"])
    replies = []
    client.take_kex_reply = replies.append
    client.send_packet(byte(30) + mpint(value))
    assert_ended(client, 6)
    if value in (0, 1, GROUP14_P - 1):
        assert not replies, "the server went on with a value that gives the secret away"


def test_row_16_handshakes_that_nobody_finishes(arena):
    """The shape of DHEat: connect, have the server compute, never read. The rate limit keeps others alive."""
    server = arena.start(options={"handshake-rate": 100, "kex-timeout": "1s", "login-timeout": "2s"})
    attackers, end = [], time.monotonic() + 2
    while time.monotonic() < end:
        try:
            client = rawssh.Client(server.address, handshake=False)
        except OSError:
            time.sleep(0.01)
            continue
        client.send_banner()
        client.start_kex()
        client.send_packet(byte(KEX_ECDH_INIT) + string(rawssh.client.crypto.Curve25519().public))
        client.reading = False
        client.step()
        attackers.append(client)
        if len(attackers) >= 1500:
            attackers.pop(0).close()
        time.sleep(0.004)
    assert len(attackers) > 100
    for client in attackers:
        client.close()
    time.sleep(1)


def test_row_45_rekey_every_kibibyte(arena):
    server = arena.start()
    client = rawssh.Client(server.address).login()
    channel = client.shell()
    data = pattern(200 * 1024)
    for turn in range(200):
        channel.feed(data[turn * 1024 : (turn + 1) * 1024])
        client.rekey()
    client.wait(lambda: channel.received == len(data), what="the echo")
    assert channel.data == data
    client.close()


def test_row_45_rekey_into_a_full_output_buffer(arena):
    server = arena.start()
    client = rawssh.Client(server.address, receive_buffer=4096).login()
    channel = client.shell(window=2**32 - 1, auto=False)
    client.echo(channel, pattern(100_000))
    client.reading = False
    channel.feed(pattern(3_000_000))
    client.idle(0.5)
    client.start_kex()
    client.idle(0.5)
    client.reading = True
    client.wait(lambda: channel.received == 3_100_000, 30, "the echo after a re-key behind a full buffer")
    assert channel.data == pattern(100_000) + pattern(3_000_000)
    client.close()


@pytest.mark.parametrize("stage", ["kexinit", "kexinit+init"])
def test_row_45_rekey_half_done_and_silent(arena, stage):
    server = arena.start(options={"kex-timeout": "1s", "no-progress-timeout": "2s"})
    client = rawssh.Client(server.address).login()
    channel = client.shell()
    client.echo(channel, b"before")

    def half(payload):
        client.peer_kexinit = payload
        if stage == "kexinit+init":
            client.send_packet(byte(KEX_ECDH_INIT) + string(rawssh.client.crypto.Curve25519().public))

    client.take_kexinit = half
    client.take_kex_reply = lambda reader: None
    client.take_newkeys = lambda: setattr(client, "reading", False)
    client.start_kex()
    end = time.monotonic() + 8
    while time.monotonic() < end and not client.closed:
        client.reading = True
        try:
            client.step(0.1)
        except rawssh.PacketError:
            client.inbuf.clear()  # the disconnect message, under keys that we do not have
    assert client.closed, "a re-key that never ends holds the connection for ever"
    client.close()
    arena.reason("kex-timeout|no-progress|protocol")


def test_row_45_rekey_that_is_never_answered(arena):
    """The server asks for a re-key; the client goes on sending as if nothing had been said."""
    server = arena.start(options={"rekey-bytes": "64K", "kex-timeout": "1s", "no-progress-timeout": "2s"})
    client = rawssh.Client(server.address).login()
    client.answer_rekey = False
    channel = client.shell()
    block, end = pattern(1000), time.monotonic() + 10
    while not client.closed and time.monotonic() < end:
        if channel.remote_window > 1000:
            channel.send_data(block)
        client.step(0.01)
    assert client.closed
    client.violations.clear()
    client.close()
    arena.reason("kex-timeout|no-progress|protocol|window-overrun|reset")
