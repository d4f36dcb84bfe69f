"""Rows 10-16: clients in their first key exchange: what they offer, send out of order, or have the server compute."""

import contextlib
import os
import time

import pytest

import harness
from reports import SEES_OFFERS
import rawssh
from arena import assert_ended, discard, exchanged_kexinit, hand_made
from counts import reduced
from rawssh import (
    DEBUG,
    IGNORE,
    KEX_ECDH_INIT,
    KEX_ECDH_REPLY,
    KEXINIT,
    NEWKEYS,
    SERVICE_REQUEST,
    boolean,
    byte,
    mpint,
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
    # with libssh's own I/O the client's reset, which follows at once, may hide from us what libssh had found
    arena.reason("protocol" if SEES_OFFERS else "protocol|reset")


@pytest.mark.parametrize("lists", ["long", "many", "repeated", "bytes"])
def test_row_11_monstrous_name_lists(arena, lists):
    server = arena.start(options=SHORT)
    worker = server.worker
    monster = {
        "long": ["x" * 30_000],
        "many": [f"n{number}" for number in range(10_000)],
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


@reduced(600, 10_000)
def test_row_12_wrong_guesses_again_and_again(arena, count):
    """CVE-2025-8277: each wrong guess in a re-exchange leaked the ephemeral key."""
    server = arena.start(lift=["client-rekey-rate"])
    client = rawssh.Client(server.address).login()
    channel = client.shell()
    for turn in range(count):
        if turn == 200:
            peak = harness.Peak(server.worker)
        exchanges = client.kex_count
        client.start_kex(kex=["curve448-sha512", "curve25519-sha256"], guess=True)
        client.send_packet(byte(KEX_ECDH_INIT) + string(b"\x05" * 56))
        client.wait(lambda: client.kex_count > exchanges, what="re-key after a wrong guess")
    assert client.echo(channel, b"x") == b"x"
    client.close()
    grown = peak.grown_kib()
    assert grown < harness.allowed_kib(256), f"{count - 200} wrong guesses cost {grown} KiB"


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
    start = time.monotonic()
    out_of_order()[what](client)
    assert_ended(client, 6)
    assert time.monotonic() - start < 0.8, "swallowed until a deadline"
    arena.reason("protocol")


@pytest.mark.parametrize("what", ["second-kexinit", "newkeys", "service", "auth", "kex-init-twice"])
def test_row_13_out_of_order_in_the_exchange(arena, what):
    server = arena.start(options=SHORT)
    client = exchanged_kexinit(server)
    start = time.monotonic()
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
    assert time.monotonic() - start < 0.8, "swallowed until a deadline"
    arena.reason("protocol")


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
    arena.reason("protocol")


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
    arena.reason("protocol")


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
    assert not replies, "the server went on with a value that is not in [2, p-2]"
    arena.reason("protocol")


def on_separate_cores(pid):
    """The attacker on one core, the attacked worker on another, where there are two: DHEat is judged by what it does to
    others through the worker, not by whose turn it is on a shared core. Returns what undoes it."""
    cores = sorted(os.sched_getaffinity(0))
    before = {0: os.sched_getaffinity(0), pid: os.sched_getaffinity(pid)}
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[0]})
        with contextlib.suppress(PermissionError):
            os.sched_setaffinity(pid, {cores[1]})

    def undo():
        for each, mask in before.items():
            with contextlib.suppress(PermissionError):
                os.sched_setaffinity(each, mask)

    return undo


def half_handshakes(server, seconds, most):
    """Connects as fast as it goes, has the server compute, and does not read."""
    attackers, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        if len(attackers) == most:
            time.sleep(0.01)
            continue
        client = rawssh.Client(server.address, handshake=False)
        client.send_banner()
        client.start_kex()
        client.send_packet(byte(KEX_ECDH_INIT) + string(rawssh.client.crypto.Curve25519().public))
        client.reading = False
        client.step()
        attackers.append(client)
        time.sleep(0.001)
    return attackers


def count_computed(attackers):
    """Reads at last: how many exchanges the server has computed."""

    def stop():
        raise rawssh.PacketError("enough")

    computed = 0
    for client in attackers:
        client.reading = True
        client.take_kexinit = client.take_kex_reply = lambda *message: None
        client.take_newkeys = stop  # what follows is under keys that nobody has
        with contextlib.suppress(OSError, rawssh.PacketError):
            client.step()
        computed += KEX_ECDH_REPLY in client.messages
        discard(client)
    return computed


def test_row_16_handshakes_that_nobody_finishes(arena):
    """The shape of DHEat: connect, have the server compute, never read. The rate limit holds: no more exchanges are computed
    than it allows. The first wave shows what malloc keeps of so many clients; the second adds nothing to it."""
    rate, seconds = 50, 1.5  # less than a busy machine's client can ask for
    server = arena.start(
        options={"handshake-rate": rate, "kex-timeout": "2s", "login-timeout": "3s"},
        lift=["max-per-source", "max-unauthenticated"],
    )
    undo = on_separate_cores(server.worker)
    try:
        attackers = 0
        for _ in range(2):
            wave = half_handshakes(server, seconds, 300)  # the queue is served at the rate, and waited for
            assert len(wave) > 1.3 * rate * seconds, "too few to show that the rate holds"
            computed, attackers = count_computed(wave), attackers + len(wave)
            assert rate < computed <= rate * (seconds + 3), f"{computed} exchanges in {seconds} s at {rate} a second"
            # The queue is served at the rate.
            arena.reason("client|reset|protocol|kex-timeout|login-timeout", 20, count=attackers)
            if attackers == len(wave):
                arena.base_rss = {pid: harness.rss_kib(pid) for pid in arena.workers}
    finally:
        undo()
