"""auth-steps: a login that takes several methods, each but the last with a partial success (RFC 4252, 5.1)."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

import clients
import harness
import rawssh
import reports
from passwords import hashed
from rawssh import USERAUTH_FAILURE, USERAUTH_INFO_REQUEST, USERAUTH_INFO_RESPONSE, USERAUTH_SUCCESS
from rawssh import Reader, byte, string, u32
from sshload_helpers import load

OPENSSH = (serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
PASSWORDS = {"tester": "secret", "other": "secret too"}


class Credentials:
    """A key and two users' passwords, in the files that a server and a client read."""

    def __init__(self, directory):
        self.private = ed25519.Ed25519PrivateKey.generate()
        self.key = directory / "key"
        self.key.write_bytes(self.private.private_bytes(serialization.Encoding.PEM, *OPENSSH))
        self.key.chmod(0o600)
        self.authorized = directory / "authorized_keys"
        line = self.private.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        self.authorized.write_bytes(line + b"\n")
        self.passwords = directory / "passwords"
        self.passwords.write_text("".join(f"{user}:{hashed(word)}\n" for user, word in PASSWORDS.items()))
        for path in (self.authorized, self.passwords):
            path.chmod(0o644)
        self.password = directory / "password"
        self.password.write_text("secret\n")
        self.password.chmod(0o600)
        self.askpass = directory / "askpass"
        self.askpass.write_text("#!/bin/sh\necho secret\n")
        self.askpass.chmod(0o755)


@pytest.fixture(scope="module")
def credentials(tmp_path_factory):
    return Credentials(tmp_path_factory.mktemp("credentials"))


def options(credentials, steps, hashes=True):
    files = {"authorized-keys": credentials.authorized}
    return {"auth-steps": steps, **files, **({"password-file": credentials.passwords} if hashes else {})}


@pytest.fixture(scope="module", params=["hashed passwords", "any password"])
def server(request, credentials, tmp_path_factory):
    """Key, then password: which is checked in a process of its own, or at once."""
    path = tmp_path_factory.mktemp("reports") / "reports"
    more = options(credentials, "publickey,password", request.param == "hashed passwords")
    with harness.serve(options={**more, "report-file": path}) as started:
        started.reports = path
        yield started


def last_answer(client):
    """What the last FAILURE named, and whether it was a partial success."""
    code, body = client.auth_events[-1]
    reader = Reader(body)
    return (code, reader.names(), reader.boolean())


def test_a_key_then_a_password(server, credentials):
    with rawssh.Client(server.address) as client:
        assert client.auth_methods() == ["publickey"], "more than the next step is offered"
        assert not client.auth_password("tester", "secret"), "the second step came first"
        assert last_answer(client) == (USERAUTH_FAILURE, ["publickey"], False)
        assert not client.auth_publickey("tester", credentials.private)
        assert last_answer(client) == (USERAUTH_FAILURE, ["password"], True)
        assert not client.auth_publickey("tester", credentials.private), "the same step counted twice"
        assert last_answer(client) == (USERAUTH_FAILURE, ["password"], False)
        assert not client.open(wait=False).opened
    with rawssh.Client(server.address) as client:
        assert not client.auth_publickey("tester", credentials.private)
        assert client.auth_password("tester", "secret")
        channel = client.shell()
        assert client.echo(channel, b"in") == b"in"


def test_a_wrong_password_leaves_the_first_step_done(credentials, serve):
    server = serve(options=options(credentials, "publickey,password"))
    with rawssh.Client(server.address) as client:
        assert not client.auth_publickey("tester", credentials.private)
        assert not client.auth_password("tester", "wrong")
        assert last_answer(client) == (USERAUTH_FAILURE, ["password"], False)
        assert client.auth_password("tester", "secret")


def test_another_user_begins_anew(server, credentials):
    with rawssh.Client(server.address) as client:
        assert not client.auth_publickey("tester", credentials.private)
        assert not client.auth_password("other", "secret too"), "one user's key with another's password"
        assert last_answer(client) == (USERAUTH_FAILURE, ["publickey"], False)
        assert not client.auth_password("tester", "secret"), "what had been flushed still counts"
        assert not client.auth_publickey("other", credentials.private)
        assert client.auth_password("other", "secret too")


def answer(client, text):
    expected = len(client.auth_events) + 1
    client.send(byte(USERAUTH_INFO_RESPONSE) + u32(1) + string(text))
    client.wait(lambda: len(client.auth_events) >= expected, what="what follows an answer")
    return client.auth_events[-1][0]


def ask(client, user="tester"):
    return client.auth(user, "keyboard-interactive", string("") + string(""))[0]


@pytest.mark.parametrize("hashes", [True, False], ids=["hashed passwords", "any password"])
def test_questions_in_between(credentials, serve, hashes):
    server = serve(options=options(credentials, "password,keyboard-interactive,publickey", hashes))
    with rawssh.Client(server.address) as client:
        assert not client.auth_password("tester", "secret")
        assert last_answer(client) == (USERAUTH_FAILURE, ["keyboard-interactive"], True)
        assert ask(client) == USERAUTH_INFO_REQUEST
        assert answer(client, "secret") == USERAUTH_FAILURE
        assert last_answer(client) == (USERAUTH_FAILURE, ["publickey"], True)
        assert client.auth_publickey("tester", credentials.private)


def test_answers_of_another_user_than_the_steps(credentials, serve):
    """The response names nobody: it is the user's whom the questions were for."""
    server = serve(options=options(credentials, "password,keyboard-interactive"))
    with rawssh.Client(server.address) as client:
        assert not client.auth_password("tester", "secret")
        assert ask(client) == USERAUTH_INFO_REQUEST
        assert not client.auth_password("other", "secret too")
        assert answer(client, "secret") == USERAUTH_FAILURE
    with rawssh.Client(server.address) as client:
        assert not client.auth_password("other", "secret too")
        assert ask(client, "other") == USERAUTH_INFO_REQUEST
        assert answer(client, "secret too") == USERAUTH_SUCCESS


def test_openssh_takes_both(server, credentials):
    command = clients.openssh(server, "cat", identity=credentials.key)
    environment = {"SSH_ASKPASS": str(credentials.askpass), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
    clients.assert_echo(clients.run(server, command, b"hello", **environment), b"hello")
    tries = [(each["method"], each["outcome"]) for each in reports.of_user(server, clients.USER)[-1]["login"]["tries"]]
    assert tries[-2:] == [("publickey", "partial"), ("password", "accepted")], tries


def test_paramiko_takes_both(server, credentials):
    paramiko = pytest.importorskip("paramiko", reason="no paramiko here")
    transport = paramiko.Transport(server.address)
    try:
        transport.start_client(timeout=10)
        key = paramiko.Ed25519Key.from_private_key_file(str(credentials.key))
        assert transport.auth_publickey("tester", key) == ["password"]
        assert not transport.is_authenticated()
        assert transport.auth_password("tester", "secret") == []
        assert transport.is_authenticated()
    finally:
        transport.close()


def test_sshload_takes_both(server, credentials, tmp_path):
    more = ["-n", 1, "-c", 1, "-I", credentials.key, "--password-file", credentials.password, "--user", "tester"]
    both = load(tmp_path, *more, "--auth", "publickey", "--auth", "password", target=server)
    assert both.code == 0, both
    one = load(tmp_path, *more, "--auth", "publickey", target=server)
    assert one.code == 1, one


@pytest.mark.parametrize(
    "steps, methods, why",
    [
        ("publickey,none", "none,publickey", "none"),
        ("publickey,password", "publickey", "not among auth-methods"),
        ("password,password", "password", "twice"),
    ],
)
def test_steps_that_cannot_be(steps, methods, why):
    result = harness.run_sshechod("--check", "--auth-steps", steps, "--auth-methods", methods)
    assert result.returncode == 2 and "auth-steps" in result.stderr and why in result.stderr, result
