"""What docs/testing-a-client.md promises beyond the words of the test bench (test_services.py has those)."""

import signal
import subprocess
import time

import pytest

import clients
import harness
import rawssh
from passwords import hashed
from rawssh import USERAUTH_INFO_REQUEST, USERAUTH_INFO_RESPONSE, USERAUTH_SUCCESS, byte, string, u32

BANNER = "Authorised clients only: (c) sshecho"


@pytest.fixture(params=["any password", "hashed passwords"])
def passwords(request, tmp_path):
    """Options for each of the two ways in which a password is checked, at once and in a process of its own."""
    if request.param == "any password":
        return {}
    path = tmp_path / "passwords"
    path.write_text(f"tester:{hashed('secret')}\n")
    return {"password-file": path}


def test_a_banner_before_login(serve, passwords):
    server = serve(options={"login-banner": BANNER, "auth-methods": "password", **passwords})
    with rawssh.Client(server.address) as client:
        assert client.auth_methods() == ["password"]
        assert client.banner_text == BANNER + "\r\n"
        client.banner_text = None
        assert client.auth_password("tester", "secret")
        assert client.banner_text is None, "it came twice"


def test_a_person_sees_the_banner(serve):
    server = serve(options={"login-banner": BANNER})
    command = [word.replace("LogLevel=ERROR", "LogLevel=INFO") for word in clients.openssh(server, "cat")]
    result = clients.run(server, command, b"hello")
    clients.assert_echo(result, b"hello")
    assert result.stderr.decode().count(BANNER) == 1


def answer(client, text):
    expected = len(client.auth_events) + 1
    client.send(byte(USERAUTH_INFO_RESPONSE) + u32(1) + string(text))
    client.wait(lambda: len(client.auth_events) >= expected, what="what follows an answer")
    return client.auth_events[expected - 1][0]


def ask(client):
    return client.auth("tester", "keyboard-interactive", string("") + string(""))[0]


def test_rounds_of_keyboard_interactive(serve, passwords):
    server = serve(options={"keyboard-rounds": 3, "auth-methods": "keyboard-interactive", **passwords})
    with rawssh.Client(server.address) as client:
        client.service()
        assert ask(client) == USERAUTH_INFO_REQUEST
        assert [answer(client, "secret") for _ in range(3)] == [USERAUTH_INFO_REQUEST] * 2 + [USERAUTH_SUCCESS]
        channel = client.shell()
        assert client.echo(channel, b"in") == b"in"


def test_a_wrong_answer_in_a_later_round(serve, tmp_path):
    path = tmp_path / "passwords"
    path.write_text(f"tester:{hashed('secret')}\n")
    options = {"keyboard-rounds": 2, "auth-methods": "keyboard-interactive", "password-file": path}
    server = serve(options=options)
    with rawssh.Client(server.address) as client:
        client.service()
        assert ask(client) == USERAUTH_INFO_REQUEST
        assert answer(client, "secret") == USERAUTH_INFO_REQUEST
        assert answer(client, "wrong") == rawssh.USERAUTH_FAILURE
        assert ask(client) == USERAUTH_INFO_REQUEST, "it does not begin anew"
        assert [answer(client, "secret") for _ in range(2)] == [USERAUTH_INFO_REQUEST, USERAUTH_SUCCESS]


def test_another_host_key_after_a_reload(serve, tmp_path):
    def make_key():
        path = tmp_path / "key"
        for each in (path, tmp_path / "key.pub"):
            each.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
        return path

    server = serve(config=f"host-key {make_key()}\n")
    before = clients.fingerprint(server)
    make_key()
    server.signal(signal.SIGHUP)
    harness.wait_until(lambda: clients.fingerprint(server) != before, 10, "another host key")


def test_a_second_channel_is_refused(serve):
    server = serve(options={"channels-per-connection": 1})
    with rawssh.Client(server.address).login() as client:
        channel = client.shell()
        assert client.open().open_failure
        assert client.echo(channel, b"still here") == b"still here"


def alive_requests(client):
    return client.global_requests.count("keepalive@openssh.com")


def test_a_client_is_asked_whether_it_is_there(serve):
    server = serve(options={"client-alive-interval": "200ms"})
    with rawssh.Client(server.address).login() as client:
        channel = client.shell()
        for asked in (1, 2, 3):
            client.wait(lambda: alive_requests(client) >= asked, what="a keep-alive request")
            assert client.echo(channel, b"still here") == b"still here"


def test_a_client_that_never_answers_is_asked_once(serve):
    server = serve(options={"client-alive-interval": "100ms"})
    with rawssh.Client(server.address).login() as client:
        send = client.send
        client.send = lambda payload: None if payload[0] == rawssh.wire.REQUEST_FAILURE else send(payload)
        channel = client.shell()
        client.wait(lambda: alive_requests(client) >= 1, what="a keep-alive request")
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            assert client.echo(channel, b"still here") == b"still here"
        assert alive_requests(client) == 1


def test_an_answer_to_that_question_is_no_idleness(serve):
    server = serve(options={"client-alive-interval": "200ms", "idle-timeout": "1s"})
    with rawssh.Client(server.address).login() as client, rawssh.Client(server.address).login() as silent:
        send = silent.send
        silent.send = lambda payload: None if payload[0] == rawssh.wire.REQUEST_FAILURE else send(payload)
        channel, _ = client.shell(), silent.shell()
        client.wait(lambda: alive_requests(client) >= 8, what="more of them than fit into the time")
        assert client.echo(channel, b"still here") == b"still here"
        silent.wait(lambda: silent.closed, what="the end of one that does not answer")
    assert server.wait_line("close", reason="idle-timeout")
