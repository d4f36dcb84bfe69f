"""Every request is answered within a second, or ends the connection with a message; whatever libssh makes of it."""

import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519, padding, rsa, utils

import harness
import rawssh
from rawssh import (
    SERVICE_REQUEST,
    USERAUTH_FAILURE,
    USERAUTH_PK_OK,
    boolean,
    byte,
    mpint,
    string,
    u32,
)

ANSWER_SECONDS = 1.0


@pytest.fixture(scope="module")
def server():
    with harness.serve(options={"auth-attempts": 100, "login-timeout": "30s"}) as server:
        yield server


def answered(client, method, body):
    """The code of the server's answer to a login request; fails when it takes long."""
    client.service()
    began = time.monotonic()
    code, _ = client.auth("tester", method, body)
    assert time.monotonic() - began < ANSWER_SECONDS, f"answered only after {time.monotonic() - began:.1f} s"
    return code


RSA = rsa.generate_private_key(65537, 2048)
DSA = dsa.generate_private_key(1024)


def rsa_blob(name="ssh-rsa"):
    numbers = RSA.public_key().public_numbers()
    return string(name) + mpint(numbers.e) + mpint(numbers.n)


def dsa_blob():
    numbers = DSA.public_key().public_numbers()
    parameters = numbers.parameter_numbers
    return string("ssh-dss") + mpint(parameters.p) + mpint(parameters.q) + mpint(parameters.g) + mpint(numbers.y)


def signed(client, algorithm, blob):
    """A publickey request with the key's signature, made as the algorithm says."""
    body = boolean(True) + string(algorithm) + string(blob)
    data = string(client.session_id) + client.auth_request("tester", "publickey", body)
    if algorithm == "ssh-dss":
        pair = utils.decode_dss_signature(DSA.sign(data, hashes.SHA1()))
        signature = b"".join(each.to_bytes(20, "big") for each in pair)
    else:
        digest = hashes.SHA1() if algorithm == "ssh-rsa" else hashes.SHA256()
        signature = RSA.sign(data, padding.PKCS1v15(), digest)
    return body + string(string(algorithm) + string(signature))


def question(algorithm, blob):
    return boolean(False) + string(algorithm) + string(blob)


UNREADABLE = {
    "ed448-question": ("publickey", lambda client: question("ssh-ed448", string("ssh-ed448") + string(bytes(57)))),
    "rsa-blob-of-another-name": ("publickey", lambda client: signed(client, "rsa-sha2-256", rsa_blob("rsa-sha2-512"))),
    "dsa-question": ("publickey", lambda client: question("ssh-dss", dsa_blob())),
    "dsa-signature": ("publickey", lambda client: signed(client, "ssh-dss", dsa_blob())),
    "rsa-sha1-signature": ("publickey", lambda client: signed(client, "ssh-rsa", rsa_blob())),
    "no-signature": ("publickey", lambda client: boolean(True) + string("rsa-sha2-256") + string(rsa_blob())),
    "short-publickey": ("publickey", lambda client: boolean(False)),
    "keyboard-without-fields": ("keyboard-interactive", lambda client: b""),
    "password-without-fields": ("password", lambda client: b""),
    "gssapi": ("gssapi-with-mic", lambda client: u32(1) + string(bytes.fromhex("06092a864886f712010202"))),
    "gssapi-short": ("gssapi-with-mic", lambda client: u32(3)),
    "unknown": ("hostbased", lambda client: string("ssh-rsa") + string(rsa_blob())),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_login_request_that_cannot_be_used_is_refused_at_once(server, kind):
    """RFC 4252, 5.1: FAILURE; the client goes on to its next key or a password, as with sshd."""
    method, body = UNREADABLE[kind]
    with rawssh.Client(server.address) as client:
        for _ in range(2):
            assert answered(client, method, body(client)) == USERAUTH_FAILURE
        assert client.auth_password("tester", "anything"), "the next attempt was not looked at"
        channel = client.shell()
        assert client.echo(channel, b"in") == b"in"


def test_the_log_names_what_could_not_be_read(server):
    with rawssh.Client(server.address) as client:
        before = len(server.lines("unreadable"))
        answered(client, "keyboard-interactive", b"")
        assert "keyboard-interactive" in server.wait_line("unreadable", count=before + 1)["what"]


def test_a_bad_signature_is_refused_at_once(server):
    with rawssh.Client(server.address) as client:
        client.service()
        began = time.monotonic()
        assert not client.auth_publickey("tester", ed25519.Ed25519PrivateKey.generate(), spoil=True)
        assert time.monotonic() - began < ANSWER_SECONDS
        assert client.auth_publickey("tester", ed25519.Ed25519PrivateKey.generate())


def test_refused_requests_count_as_attempts(serve):
    server = serve(options={"auth-attempts": 3})
    with rawssh.Client(server.address) as client:
        client.service()
        for _ in range(5):
            client.send(client.auth_request("x", "publickey", question("ssh-ed448", string("ssh-ed448"))))
        assert client.wait_end()
    assert server.wait_line("close")["reason"] == "auth-attempts"


def test_a_key_question_is_still_answered(server):
    with rawssh.Client(server.address) as client:
        blob = rawssh.client.crypto.ed25519_blob(ed25519.Ed25519PrivateKey.generate())
        assert answered(client, "publickey", question("ssh-ed25519", blob)) == USERAUTH_PK_OK


@pytest.mark.parametrize("kind", ["x11", "forwarded-tcpip", "direct-tcpip"])
@pytest.mark.parametrize("body", [b"", string("127.0.0.1"), b"\xff\xff\xff\xff"], ids=["nothing", "half", "lie"])
def test_a_malformed_channel_open_is_refused_at_once(server, kind, body):
    with rawssh.Client(server.address).login() as client:
        channel = client.shell()
        began = time.monotonic()
        refused = client.open(kind=kind, body=body)
        assert refused.open_failure and time.monotonic() - began < ANSWER_SECONDS
        assert client.echo(channel, b"still here") == b"still here"


@pytest.mark.parametrize("kind", ["exec", "subsystem", "env", "pty-req", "x11-req", "window-change"])
def test_a_malformed_channel_request_is_refused_at_once(server, kind):
    with rawssh.Client(server.address).login() as client:
        channel = client.open()
        began = time.monotonic()
        assert channel.request(kind, body=b"\xff") is False
        assert time.monotonic() - began < ANSWER_SECONDS
        assert channel.shell()
        assert client.echo(channel, b"still here") == b"still here"


CUT = {
    "channel request": lambda n: byte(rawssh.CHANNEL_REQUEST) + u32(n) + string("shell") + boolean(True),
    "global request": lambda n: byte(rawssh.GLOBAL_REQUEST) + string("tcpip-forward") + boolean(True),
    "channel data": lambda n: byte(rawssh.CHANNEL_DATA) + u32(n) + string("data"),
    "window adjustment": lambda n: byte(rawssh.CHANNEL_WINDOW_ADJUST) + u32(n) + u32(1),
}


@pytest.mark.parametrize("kind", CUT)
def test_a_message_cut_before_it_says_whether_it_wants_an_answer(server, kind):
    """sshd ends such a connection with a message as well: whether an answer is wanted cannot be known."""
    before = len(server.lines("unreadable"))
    whole = CUT[kind](0)
    for length in range(5 if kind != "global request" else 1, len(whole)):
        with rawssh.Client(server.address).login() as client:
            channel = client.open()
            began = time.monotonic()
            client.send(CUT[kind](channel.remote)[:length])
            client.idle(ANSWER_SECONDS)
            client.dispatch()
            assert client.disconnect, f"a {kind} of {length} bytes got neither an answer nor an end"
            assert time.monotonic() - began < ANSWER_SECONDS + 0.5
        assert kind in server.wait_line("unreadable", count=before + 1)["what"]
        before += 1


def test_a_global_request_that_is_only_unknown_is_refused(server):
    with rawssh.Client(server.address).login() as client:
        channel = client.shell()
        for name in ("tcpip-forward", "nothing@example.org", "keepalive@openssh.com"):
            client.send(byte(rawssh.GLOBAL_REQUEST) + string(name) + boolean(True))
        client.send(byte(rawssh.GLOBAL_REQUEST) + string("nothing@example.org") + boolean(False))
        assert client.echo(channel, b"still here") == b"still here"
        assert len(client.global_replies) == 3


def test_the_service_asked_for_again_after_login(server):
    """RFC 4252, 5.1 lets a server ignore it, and a client (Twisted's, at each re-key) that is answered goes on to log in
    anew, which no server has to bear."""
    with rawssh.Client(server.address).login() as client:
        channel = client.shell()
        before = client.messages.count(rawssh.SERVICE_ACCEPT)
        client.send(byte(SERVICE_REQUEST) + string("ssh-userauth"))
        assert client.echo(channel, b"still here") == b"still here"
        assert client.messages.count(rawssh.SERVICE_ACCEPT) == before
