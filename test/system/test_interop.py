"""The clients that people use: each echoes 1 MiB exactly, logs in in every way it has, uses every cipher it has, bears re-keys.

One that is not installed, and what one cannot do, is skipped by name.
"""

import contextlib

import pytest

import harness
import interop
from clients import assert_echo
from passwords import hashed
from rawssh import pattern

MEBIBYTE = pattern(1 << 20)
LESS = MEBIBYTE[:200_000]
# Those of which another has the same code, and one that is large: scripts/clients tries them.
ELSEWHERE = {"ganymed", "jenkins", "php-ssh2", "net-ssh2", "russh"}
IN_EVERY_RUN = [name for name in interop.KINDS if name not in ELSEWHERE]


@pytest.fixture(scope="module", params=IN_EVERY_RUN)
def client(request, tmp_path_factory):
    try:
        return interop.KINDS[request.param](tmp_path_factory.mktemp(request.param))
    except interop.NotInstalled as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return interop.make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def servers(tmp_path_factory, keys):
    """A server as it comes on loopback for each login method alone and for re-keys, and their like for the old clients."""
    directory = tmp_path_factory.mktemp("passwords")
    (directory / "passwords").write_text(f"tester:{hashed('secret')}\n")
    files = {"password-file": directory / "passwords", "authorized-keys": keys / "authorized_keys"}
    running = {}
    with contextlib.ExitStack() as stack:

        def get(client, what):
            which = (client.algorithms, what)
            if which not in running:
                options = {"rekey-bytes": "200K"} if what == "rekey" else {"auth-methods": what, **files}
                server = harness.serve(options={"algorithms": client.algorithms, "workers": 1, **options})
                running[which] = stack.enter_context(server)
            return running[which]

        yield get


def run(client, *arguments, **more):
    try:
        return client.run(*arguments, **more)
    except interop.Cannot as cannot:
        pytest.skip(str(cannot))


def whose(client, task):
    if (client.name, task) in interop.WHOSE:
        pytest.skip(interop.WHOSE[client.name, task])


@pytest.mark.parametrize("login", interop.LOGINS)
def test_login_and_a_mebibyte(client, servers, keys, login):
    """With end of input, where the client has one, while the echo is still under way."""
    assert_echo(run(client, servers(client, login), MEBIBYTE, keys, login), MEBIBYTE)


@pytest.mark.parametrize("cipher", interop.CIPHERS)
def test_cipher(client, servers, keys, cipher):
    assert_echo(run(client, servers(client, "none"), LESS, keys, cipher=cipher), LESS)


def test_the_server_rekeys_in_the_middle(client, servers, keys):
    whose(client, "re-key by the server")
    server = servers(client, "rekey")
    data = MEBIBYTE * (4 if client.name in interop.WAITED_FOR else 1)
    assert_echo(run(client, server, data, keys), data)
    assert int(server.wait_line("close", count=len(server.lines("accept")))["rekeys"]) > 0


def test_the_client_rekeys_in_the_middle(client, servers, keys):
    whose(client, "re-key by the client")
    result = run(client, servers(client, "none"), MEBIBYTE, keys, rekey=300_000)
    for _ in range(3):
        # paramiko answers a CLOSE from the thread that would finish its own re-key, and waits for itself
        if client.name != "paramiko" or b"Key-exchange timed out" not in result.stderr:
            break
        result = run(client, servers(client, "none"), MEBIBYTE, keys, rekey=300_000)
    assert_echo(result, MEBIBYTE)
