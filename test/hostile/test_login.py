"""Rows 17-23: clients with keys that are not logged in: what they ask for, and how they try to get in."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

import harness
import rawssh
from arena import assert_ended, discard
from passwords import hashed
from rawssh import (
    CHANNEL_FAILURE,
    CHANNEL_OPEN,
    CHANNEL_OPEN_CONFIRMATION,
    CHANNEL_SUCCESS,
    GLOBAL_REQUEST,
    REQUEST_FAILURE,
    REQUEST_SUCCESS,
    SERVICE_REQUEST,
    USERAUTH_FAILURE,
    USERAUTH_INFO_REQUEST,
    USERAUTH_INFO_RESPONSE,
    USERAUTH_REQUEST,
    USERAUTH_SUCCESS,
    boolean,
    byte,
    mpint,
    pattern,
    string,
    u32,
)

SHORT = {"login-timeout": "2s"}


@pytest.fixture
def guarded(arena, tmp_path):
    """Starts a server that checks passwords; the control session comes in by `none`."""
    path = tmp_path / "passwords"
    path.write_text(f"alice:{hashed('secret')}\n")
    return lambda **options: arena.start(options={"password-file": path, **SHORT, **options})


@pytest.mark.parametrize("after_service", [False, True], ids=["at-once", "after-service"])
def test_row_17_messages_of_a_server_before_login(arena, after_service):
    """CVE-2018-10933: USERAUTH_SUCCESS from the client logged it in."""
    server = arena.start(options={**SHORT, "channels-per-connection": 5})
    codes = [52, 51, 53, 60, 91, 92, 93, 99, 100, 81, 82]
    for code in codes:
        client = rawssh.Client(server.address)
        if after_service:
            client.service()
        client.send(byte(code) + u32(0) + u32(0) + u32(1000) + u32(1000))
        client.send(byte(CHANNEL_OPEN) + string("session") + u32(0) + u32(1 << 20) + u32(32768))
        assert_ended(client, 8)
        assert not {CHANNEL_OPEN_CONFIRMATION, USERAUTH_SUCCESS} & set(client.messages), f"let in by message {code}"
    arena.reason("protocol", count=len(codes))


def test_row_18_connection_messages_before_login(arena):
    server = arena.start(options=SHORT)
    messages = [
        byte(CHANNEL_OPEN) + string("session") + u32(0) + u32(1 << 20) + u32(32768),
        byte(GLOBAL_REQUEST) + string("tcpip-forward") + boolean(True) + string("") + u32(0),
        byte(94) + u32(0) + string("data"),
        byte(98) + u32(0) + string("shell") + boolean(True),
    ]
    answers = {CHANNEL_OPEN_CONFIRMATION, CHANNEL_SUCCESS, CHANNEL_FAILURE, REQUEST_SUCCESS, REQUEST_FAILURE}
    for message in messages:
        client = rawssh.Client(server.address)
        client.service()
        client.send(message)
        assert_ended(client, 8)
        assert not answers & set(client.messages), f"message {message[0]} was acted on"
    arena.reason("protocol", count=len(messages))


@pytest.mark.parametrize(
    "service",
    ["", "ssh-connection", "no-such-service", "x" * 30000, "ssh-userauth\x00"],
    ids=["empty", "connection", "unknown", "long", "NUL"],
)
def test_row_19_unknown_services(arena, service):
    server = arena.start(options=SHORT)
    client = rawssh.Client(server.address)
    client.send(byte(SERVICE_REQUEST) + string(service))
    assert_ended(client, 8)
    assert not client.authenticated
    arena.reason("protocol|login-timeout")


def test_row_19_user_and_service_change_between_attempts(guarded):
    server = guarded(**{"auth-methods": "none,password"})
    client = rawssh.Client(server.address)
    assert not client.auth_password("alice", "wrong")
    assert not client.auth_password("bob", "secret"), "the password of another user was taken"
    client.send(
        byte(USERAUTH_REQUEST)
        + string("alice")
        + string("no-such-service")
        + string("password")
        + boolean(False)
        + string("secret")
    )
    client.idle(0.5)
    client.close()
    assert not client.authenticated, "authenticated for a service that does not exist"


@pytest.mark.parametrize("method", ["password", "publickey"])
def test_row_20_flood_of_attempts(guarded, arena, method):
    """Attempts behind each other in one segment: those over the limit are never looked at, the right one included."""
    server = guarded(**{"auth-attempts": 5, "authorized-keys": "/dev/null"})
    client = rawssh.Client(server.address)
    client.service()
    for turn in range(10_000):
        if method == "password":
            guess = "secret" if turn == 20 else f"guess {turn}"
            client.send(client.auth_request("alice", "password", boolean(False) + string(guess)))
        else:
            blob = string("ssh-ed25519") + string(pattern(32, turn))
            client.send(
                client.auth_request("alice", "publickey", boolean(False) + string("ssh-ed25519") + string(blob))
            )
        if client.closed:
            break
        if turn % 100 == 99:
            client.step()
    assert_ended(client, 20)
    assert not client.authenticated
    arena.reason("auth-attempts")
    assert arena.cpu_seconds() < (20 if harness.is_sanitized() else 2), "attempts over the limit are checked"


def test_row_21_authentication_after_success(arena):
    server = arena.start()
    client = rawssh.Client(server.address).login()
    channel = client.shell()
    before = len(client.auth_events)
    for method, body in (
        ("none", b""),
        ("password", boolean(False) + string("x")),
        ("publickey", boolean(False) + string("ssh-ed25519") + string("x")),
    ):
        client.send(client.auth_request("other", method, body))
    try:
        assert client.echo(channel, b"still in") == b"still in"
        assert len(client.auth_events) == before, "authentication after success was answered"
        client.close()
    except ConnectionError:  # libssh may end it: allowed, as long as it says so and nobody else notices
        client.close()
        arena.reason("protocol")
    assert len([code for code, _ in client.auth_events if code == USERAUTH_SUCCESS]) == 1


@pytest.mark.parametrize(
    "count, answers",
    [(0, 0), (2, 2), (5, 5), (2**32 - 1, 1), (2**31, 0), (1, 0)],
    ids=["none", "two", "five", "2^32-1", "2^31", "missing"],
)
def test_row_22_wrong_number_of_responses(guarded, arena, count, answers):
    """Each response is the right password, only their number is wrong: refused or ended, never let in, and nothing is
    allocated for responses that were only claimed. Who is refused may try again."""
    arena.peak_mib = 4
    server = guarded()
    peak = harness.Peak(server.worker)
    client = rawssh.Client(server.address)
    code, _ = client.auth("alice", "keyboard-interactive", string("") + string(""))
    assert code == USERAUTH_INFO_REQUEST
    expected = len(client.auth_events) + 1
    client.send(byte(USERAUTH_INFO_RESPONSE) + u32(count) + string("secret") * answers)
    try:
        client.wait(lambda: len(client.auth_events) >= expected, 4, "an answer")
        assert client.auth_events[expected - 1][0] == USERAUTH_FAILURE
        assert client.auth_password("alice", "secret"), "no second try"
    except ConnectionError:
        assert not client.authenticated
        arena.reason("protocol|login-timeout")
    discard(client)
    assert peak.claimed_kib() < 4096, f"{peak.claimed_kib()} KiB of addresses for claimed responses"


def test_row_22_right_number_of_responses(guarded):
    """What the others are measured by."""
    client = rawssh.Client(guarded().address)
    client.auth("alice", "keyboard-interactive", string("") + string(""))
    client.send(byte(USERAUTH_INFO_RESPONSE) + u32(1) + string("secret"))
    client.wait(lambda: client.authenticated, what="login by a response")
    client.close()


def test_row_22_response_without_a_request(guarded, arena):
    """The right password as an answer to nothing: refused or ended, and the connection does not hang."""
    server = guarded()
    client = rawssh.Client(server.address)
    client.service()
    try:
        for _ in range(3):
            client.send(byte(USERAUTH_INFO_RESPONSE) + u32(1) + string("secret"))
        client.idle(0.2)
        assert not client.authenticated
        assert client.auth_password("alice", "secret"), "no login afterwards"
    except ConnectionError:
        assert not client.authenticated
        arena.reason("protocol|auth-attempts|login-timeout")
    discard(client)


def bad_keys():
    small = rsa.generate_private_key(65537, 1024).private_numbers()
    return {
        "rsa-512": string("ssh-rsa") + mpint(65537) + mpint((1 << 511) | 1),
        "rsa-0": string("ssh-rsa") + mpint(0) + mpint(0),
        "rsa-even": string("ssh-rsa") + mpint(2) + mpint(small.public_numbers.n + 1),
        "rsa-16384": string("ssh-rsa") + mpint(65537) + mpint((1 << 16383) | 1),
        "rsa-huge": string("ssh-rsa") + mpint(65537) + mpint((1 << 200_000) | 1),
        "rsa-huge-exponent": string("ssh-rsa") + mpint((1 << 16000) | 1) + mpint((1 << 16383) | 1),
        "ed25519-short": string("ssh-ed25519") + string(b"x"),
        "ed25519-zero": string("ssh-ed25519") + string(bytes(32)),
        "ecdsa-off-curve": string("ecdsa-sha2-nistp256") + string("nistp256") + string(b"\x04" + b"\x01" * 64),
        "dss": string("ssh-dss") + mpint(7) + mpint(5) + mpint(3) + mpint(2),
        "unknown": string("ssh-rot13") + string("x"),
        "empty": b"",
        "certificate": string("ssh-ed25519-cert-v01@openssh.com") + string(bytes(32)) + string(bytes(32)),
    }


@pytest.mark.parametrize("kind", bad_keys())
def test_row_23_bad_keys(arena, kind):
    """Whatever the key, its signature is no signature: nobody gets in, and the check costs little."""
    options = {"auth-methods": "none,publickey", "auth-attempts": 50, **SHORT}
    if kind == "ed25519-zero":  # a point of small order: "signatures" by it verify; it is not anybody's key, though
        options["authorized-keys"] = "/dev/null"
    server = arena.start(options=options)
    blob = bad_keys()[kind]
    name = {"rsa": "rsa-sha2-256", "ed2": "ssh-ed25519", "ecd": "ecdsa-sha2-nistp256"}.get(kind[:3], "ssh-rot13")
    client = rawssh.Client(server.address)
    client.service()
    for signature in (bytes(64), b"", b"\xff" * 2048):
        client.send(
            client.auth_request(
                "x", "publickey", boolean(True) + string(name) + string(blob) + string(string(name) + string(signature))
            )
        )
    client.idle(0.3)
    assert not client.authenticated, "let in by a key that is none"
    assert arena.cpu_seconds() < (5 if harness.is_sanitized() else 0.5), "a bad key costs too much"
    if not client.closed and client.auth_events:  # refused: the same client may still come in by what is right
        assert {code for code, _ in client.auth_events} <= {USERAUTH_FAILURE, 60}
        assert client.auth_none(), "an honest attempt behind bad keys fails"
        client.close()
    else:  # ended, or libssh 0.10 gives no answer: the deadline has to end it
        assert_ended(client, 4)
        arena.reason("protocol|login-timeout")


def assert_refused(client, attempt):
    """The attempt fails, and is told so."""
    assert not attempt()
    assert not client.authenticated
    client.close()


def test_row_23_signature_over_something_else(arena):
    server = arena.start(options=SHORT)
    key = ed25519.Ed25519PrivateKey.generate()
    for how in ({"session_id": bytes(32)}, {"spoil": True}):
        client = rawssh.Client(server.address)
        assert_refused(client, lambda: client.auth_publickey("x", key, **how))
    client = rawssh.Client(server.address)
    assert client.auth_publickey("x", key)
    client.close()


def test_row_23_signature_by_another_algorithm(arena):
    """An RSA key that signs with SHA-1 ("ssh-rsa") is refused."""
    server = arena.start(options=SHORT)
    key = rsa.generate_private_key(65537, 2048)
    numbers = key.public_key().public_numbers()
    blob = string("ssh-rsa") + mpint(numbers.e) + mpint(numbers.n)
    client = rawssh.Client(server.address)
    body = boolean(True) + string("ssh-rsa") + string(blob)
    signed = key.sign(
        string(client.session_id) + client.auth_request("x", "publickey", body), padding.PKCS1v15(), hashes.SHA1()
    )
    signature = body + string(string("ssh-rsa") + string(signed))
    assert_refused(client, lambda: client.auth("x", "publickey", signature)[0] == USERAUTH_SUCCESS)
