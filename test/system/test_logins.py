"""Our two programs work with each other: every login method with every type of key."""

import contextlib
import os
import subprocess

import pytest

import harness
from clients import assert_echo, openssh, run
from rawssh import pattern
from sshload_helpers import load

KEYS = {
    "ed25519": ["-t", "ed25519"],
    "ecdsa-256": ["-t", "ecdsa", "-b", "256"],
    "ecdsa-384": ["-t", "ecdsa", "-b", "384"],
    "ecdsa-521": ["-t", "ecdsa", "-b", "521"],
    "rsa-2048": ["-t", "rsa", "-b", "2048"],
    "rsa-4096": ["-t", "rsa", "-b", "4096"],
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A private key of each type, and one authorized_keys for them all."""
    directory = tmp_path_factory.mktemp("keys")
    for name, how in KEYS.items():
        subprocess.run(["ssh-keygen", "-q", *how, "-N", "", "-f", str(directory / name)], check=True)
    authorized = directory / "authorized_keys"
    authorized.write_text("".join((directory / f"{name}.pub").read_text() for name in KEYS))
    authorized.chmod(0o644)
    return directory


@pytest.fixture(scope="module")
def guarded(keys):
    with harness.serve(options={"authorized-keys": keys / "authorized_keys", "auth-methods": "publickey"}) as server:
        yield server


@contextlib.contextmanager
def agent(*paths):
    """An ssh-agent that holds these keys; yields its environment."""
    process = subprocess.Popen(["ssh-agent", "-D"], stdout=subprocess.PIPE, text=True)
    try:
        socket = process.stdout.readline().split("=", 1)[1].split(";")[0]
        environment = {**os.environ, "SSH_AUTH_SOCK": socket}
        subprocess.run(["ssh-add", "-q", *map(str, paths)], env=environment, check=True)
        yield environment
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("key", KEYS)
def test_sshload_logs_in_with_a_key(guarded, keys, tmp_path, key):
    outcome = load(tmp_path, "-n", 3, "-c", 1, "--auth", "publickey", "-I", keys / key, target=guarded)
    assert outcome.code == 0, outcome


@pytest.mark.parametrize("key", KEYS)
def test_sshload_logs_in_with_an_agent(guarded, keys, tmp_path, key):
    with agent(keys / key) as environment:
        outcome = load(tmp_path, "-n", 3, "-c", 1, "--auth", "agent", target=guarded, env=environment)
    assert outcome.code == 0, outcome


def test_sshload_goes_on_to_the_next_key(guarded, keys, tmp_path):
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(other)], check=True)
    outcome = load(
        tmp_path,
        "-n",
        1,
        "-c",
        1,
        "--auth",
        "publickey",
        "-I",
        other,
        "-I",
        keys / "rsa-2048",
        "-I",
        keys / "ed25519",
        target=guarded,
    )
    assert outcome.code == 0, outcome


@pytest.mark.parametrize("method", ["none", "password", "keyboard-interactive"])
@pytest.mark.parametrize("host_key", ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"])
def test_sshload_logs_in_without_a_key(all_host_keys, tmp_path, method, host_key):
    words = tmp_path / "password"
    words.write_text("anything\n")
    outcome = load(
        tmp_path,
        "-n",
        1,
        "-c",
        1,
        "--auth",
        method,
        "--password-file",
        words,
        "--host-key-algorithms",
        host_key,
        target=all_host_keys,
    )
    assert outcome.code == 0, outcome


@pytest.fixture(scope="module")
def all_host_keys():
    with harness.serve(options={"host-key-types": "ed25519,ecdsa,rsa"}) as server:
        yield server


@pytest.mark.parametrize("key", KEYS)
def test_openssh_logs_in_with_a_key(guarded, keys, key):
    data = pattern(10_000)
    assert_echo(run(guarded, openssh(guarded, identity=str(keys / key)), data), data)
