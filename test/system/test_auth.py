"""Who may enter: each method alone, credentials from files, limits on trying."""

import subprocess
import warnings

import pytest

import clients
import harness
import rawssh
from client_keys import new_key, public_line
from passwords import METHODS, hashed
from rawssh import (
    USERAUTH_FAILURE,
    USERAUTH_INFO_REQUEST,
    USERAUTH_INFO_RESPONSE,
    USERAUTH_PK_OK,
    USERAUTH_SUCCESS,
    Reader,
    boolean,
    byte,
    string,
    u32,
)


ALL = ["none", "password", "publickey", "keyboard-interactive"]


def dial(server, **more):
    return rawssh.Client(server.address, **more)


def password_file(tmp_path, **users):
    path = tmp_path / "passwords"
    lines = ["# user:hash", ""]
    for user, (password, method) in users.items():
        lines.append(f"{user}:{hashed(password, method)}")
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o644)
    return path


def kbdint(client, user, answers):
    code, body = client.auth(user, "keyboard-interactive", string("") + string(""))
    while code == USERAUTH_INFO_REQUEST:
        reader = Reader(body)
        reader.string(), reader.string(), reader.string()
        prompts = [(reader.text(), reader.boolean()) for _ in range(reader.u32())]
        given = answers[: len(prompts)]
        expected = len(client.auth_events) + 1
        client.send(byte(USERAUTH_INFO_RESPONSE) + u32(len(given)) + b"".join(string(each) for each in given))
        client.wait(lambda: len(client.auth_events) >= expected, what="answer to the responses")
        code, body = client.auth_events[expected - 1]
    return code == USERAUTH_SUCCESS


def attempt(client, method):
    if method == "none":
        return client.auth_none()
    if method == "password":
        return client.auth_password("anyone", "anything")
    if method == "publickey":
        return client.auth_publickey("anyone", new_key())
    return kbdint(client, "anyone", ["anything"])


@pytest.mark.parametrize("method", ALL)
def test_loopback_default_lets_everyone_in_by(server, method):
    client = dial(server)
    assert attempt(client, method)
    channel = client.shell()
    assert client.echo(channel, b"in") == b"in"
    client.close()


@pytest.mark.parametrize("only", ALL)
def test_one_method_alone(serve, only):
    server = serve(options={"auth-methods": only})
    for method in ALL:
        client = dial(server)
        assert attempt(client, method) is (method == only), f"{method} while only {only} is allowed"
        client.close()
    client = dial(server)
    if only == "none":
        assert client.auth_none()
    else:
        assert client.auth_methods() == [only]
    client.close()


@pytest.mark.parametrize("method", METHODS)
def test_password_file(serve, tmp_path, method):
    path = password_file(tmp_path, alice=("correct horse", method), bob=("", method))
    server = serve(options={"auth-methods": "password", "password-file": path})
    for user, password, right in (
        ("alice", "correct horse", True),
        ("alice", "wrong", False),
        ("alice", "", False),
        ("carol", "correct horse", False),
        ("", "", False),
        ("alice:x", "x", False),
        ("# user", "hash", False),
        ("alice", "x" * 5000, False),
    ):
        client = dial(server)
        assert client.auth_password(user, password) is right, (user, password)
        client.close()


def test_keyboard_interactive_checks_the_password_file(serve, tmp_path):
    path = password_file(tmp_path, alice=("secret", "sha512"))
    server = serve(options={"auth-methods": "keyboard-interactive", "password-file": path})
    for password, right in (("secret", True), ("wrong", False)):
        client = dial(server)
        assert kbdint(client, "alice", [password]) is right
        client.close()


def test_authorized_keys(serve, tmp_path):
    known, other, unknown = new_key(), new_key(), new_key()
    path = tmp_path / "authorized_keys"
    path.write_text(
        f"# who may log in\n\n{public_line(known)}\nno-pty,permitopen=\"a, \\\"b:22\" {public_line(other, 'two words')}\n"
    )
    path.chmod(0o644)
    server = serve(options={"auth-methods": "publickey", "authorized-keys": path})
    for key, right in ((known, True), (other, True), (unknown, False)):
        client = dial(server)
        assert client.auth_publickey("anyone", key) is right
        client.close()
    for key, code in ((known, USERAUTH_PK_OK), (unknown, USERAUTH_FAILURE)):
        client = dial(server)
        probe = boolean(False) + string("ssh-ed25519") + string(rawssh.client.crypto.ed25519_blob(key))
        assert client.auth("anyone", "publickey", probe)[0] == code
        assert not client.authenticated
        client.close()


@pytest.mark.parametrize("authorized", [False, True], ids=["any-key", "listed-key"])
def test_bad_signature_is_refused(serve, tmp_path, authorized):
    key = new_key()
    options = {"auth-methods": "publickey"}
    if authorized:
        (tmp_path / "keys").write_text(public_line(key) + "\n")
        options["authorized-keys"] = tmp_path / "keys"
    server = serve(options={**options, "login-timeout": "1s"})
    for how in ({"spoil": True}, {"session_id": b"x" * 32}):
        client = dial(server)
        assert not client.auth_publickey("anyone", key, **how)
        assert not client.authenticated
        client.close()
    client = dial(server)
    assert client.auth_publickey("anyone", key)
    client.close()


def test_attempts_are_limited(serve, tmp_path):
    path = password_file(tmp_path, alice=("secret", "sha256"))
    server = serve(options={"auth-methods": "password", "password-file": path, "auth-attempts": 3})
    client = dial(server)
    refused = 0
    try:
        for turn in range(10):
            assert not client.auth_password("alice", f"guess {turn}")
            refused += 1
    except ConnectionError:
        pass
    assert refused in (2, 3), f"{refused} answers with auth-attempts=3"
    assert client.wait_end()
    assert server.wait_line("close")["reason"] == "auth-attempts"
    client = dial(server)
    assert not client.auth_password("alice", "wrong") and client.auth_password("alice", "secret")
    client.close()


def test_login_deadline(serve):
    server = serve(options={"login-timeout": "700ms"})
    client = dial(server)
    client.service()
    assert client.wait_end(5)
    assert server.wait_line("close")["reason"] == "login-timeout"


def test_banner_deadline(serve):
    server = serve(options={"banner-timeout": "500ms"})
    client = dial(server, handshake=False)
    client.wait_end(5)
    assert server.wait_line("close")["reason"] == "banner-timeout"


def test_nothing_but_authentication_before_login(server):
    client = dial(server)
    client.service()
    client.send(rawssh.byte(rawssh.CHANNEL_OPEN) + string("session") + u32(0) + u32(1 << 20) + u32(32768))
    client.idle(0.5)
    assert rawssh.CHANNEL_OPEN_CONFIRMATION not in client.messages
    client.violations.clear()
    client.close()


# -- real clients


def askpass(tmp_path, answer):
    script = tmp_path / "askpass"
    script.write_text(f"#!/bin/sh\necho '{answer}'\n")
    script.chmod(0o755)
    return {"SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}


@pytest.mark.parametrize("method", ["none", "password", "keyboard-interactive"])
@pytest.mark.parametrize("answer, right", [("secret", True), ("wrong", False)])
def test_openssh_by(serve, tmp_path, method, answer, right):
    path = password_file(tmp_path, **{clients.USER: ("secret", "sha512")})
    server = serve(options={"auth-methods": method, "password-file": path})
    command = clients.openssh(server, options=[f"PreferredAuthentications={method}", "NumberOfPasswordPrompts=1"])
    result = clients.run(server, command, b"hello", **askpass(tmp_path, answer))
    if right or method == "none":
        clients.assert_echo(result, b"hello")
    else:
        assert result.returncode == 255 and result.stdout == b""


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_openssh_by_publickey(serve, tmp_path, kind):
    for name in ("good", "bad"):
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(tmp_path / name)], check=True)
    server = serve(options={"auth-methods": "publickey", "authorized-keys": tmp_path / "good.pub"})
    for name, code in (("good", 0), ("bad", 255)):
        command = clients.openssh(server, identity=tmp_path / name)
        result = clients.run(server, command, b"hello")
        assert result.returncode == code, result.stderr
        assert result.stdout == (b"hello" if code == 0 else b"")


def test_dropbear_by_password(serve, tmp_path):
    path = password_file(tmp_path, **{clients.USER: ("secret", "sha512")})
    server = serve(options={"auth-methods": "password", "password-file": path})
    clients.assert_echo(clients.run(server, clients.dbclient(server), b"hello", DROPBEAR_PASSWORD="secret"), b"hello")
    assert clients.run(server, clients.dbclient(server), b"hello", DROPBEAR_PASSWORD="wrong").stdout == b""


def test_plink_by_password(serve, tmp_path):
    path = password_file(tmp_path, **{clients.USER: ("secret", "sha512")})
    server = serve(options={"auth-methods": "password", "password-file": path})
    for password, right in (("secret", True), ("wrong", False)):
        command = clients.plink(server)
        command[1:1] = ["-pw", password]
        result = clients.run(server, command, b"hello")
        assert (result.returncode == 0 and result.stdout == b"hello") is right


def test_paramiko_by_each_method(serve, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import paramiko
    path = password_file(tmp_path, alice=("secret", "sha512"))
    key = paramiko.RSAKey.generate(2048)
    keys = tmp_path / "keys"
    keys.write_text(f"{key.get_name()} {key.get_base64()}\n")
    server = serve(
        options={
            "auth-methods": "password,publickey,keyboard-interactive",
            "password-file": path,
            "authorized-keys": keys,
        }
    )
    for log_in in (
        lambda t: t.auth_password("alice", "secret", fallback=False),
        lambda t: t.auth_publickey("anyone", key),
        lambda t: t.auth_interactive("alice", lambda title, text, prompts: ["secret"] * len(prompts)),
    ):
        transport = paramiko.Transport(server.address)
        transport.start_client(timeout=20)
        assert log_in(transport) == []
        assert transport.is_authenticated()
        transport.close()


# -- the decision that an address other than loopback asks for


def test_other_addresses_need_a_decision():
    result = harness.run_sshechod("--listen", "0.0.0.0:0", "--workers", "1")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "allow-anonymous" in result.stderr and "auth-methods" in result.stderr


@pytest.mark.parametrize("decision", ["anonymous", "password", "keys"])
def test_other_addresses_with_a_decision(serve, tmp_path, decision):
    key = new_key()
    (tmp_path / "keys").write_text(public_line(key) + "\n")
    path = password_file(tmp_path, alice=("secret", "sha512"))
    options = {
        "anonymous": {"allow-anonymous": "yes"},
        "password": {"auth-methods": "password", "password-file": path},
        "keys": {"auth-methods": "publickey", "authorized-keys": tmp_path / "keys"},
    }[decision]
    server = serve(listen=["0.0.0.0:0"], options=options)
    server.addresses = [("127.0.0.1", server.port)]
    client = dial(server)
    if decision == "anonymous":
        assert client.auth_none()
    elif decision == "password":
        assert not client.auth_none() and client.auth_password("alice", "secret")
    else:
        assert not client.auth_none() and client.auth_publickey("x", key)
    client.close()


@pytest.mark.parametrize(
    "options",
    [
        ["auth-methods=none"],
        ["auth-methods=password"],
        ["auth-methods=publickey"],
        ["auth-methods=keyboard-interactive"],
    ],
    ids=lambda options: options[0],
)
def test_a_method_that_admits_everyone_is_no_decision(options):
    arguments = [argument for option in options for argument in ("-o", option)]
    result = harness.run_sshechod("--listen", "0.0.0.0:0", *arguments)
    assert result.returncode == 2, result.stderr


def test_a_password_file_does_not_leave_the_other_methods_open(tmp_path):
    """password checked, but any key accepted, on every address: that is no authentication."""
    path = password_file(tmp_path, alice=("secret", "sha512"))
    result = harness.run_sshechod("--listen", "0.0.0.0:0", "-o", f"password-file={path}", "--check")
    assert result.returncode == 2, "none and publickey are still open to everyone"
