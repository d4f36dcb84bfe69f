"""sshload against servers that answer, but not with the echo: wrong bytes, fewer, more, or words of their own."""

import contextlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import harness
from bad_servers import evil_echo
from sshload_helpers import HASTE, expect, load


# -- servers that echo, but not well


def flip(channel, count, data):
    if count == 20:
        data = data[:5] + bytes([data[5] ^ 0x01]) + data[6:]
    channel.sendall(data)


def reorder(channel, count, data):
    if count == 20:
        data = data[8:16] + data[:8] + data[16:]
    channel.sendall(data)


def shorten(channel, count, data):
    channel.sendall(data[:-1] if count == 20 else data)


def repeat(channel, count, data):
    channel.sendall(data + data if count == 20 else data)


def drop_then_go_on(channel, count, data):
    channel.sendall(data[3:] if count == 20 else data)


def swallow(channel, count, data):
    if count < 20:
        channel.sendall(data)


def hang_up(channel, count, data):
    if count == 20:
        raise EOFError
    channel.sendall(data)


@pytest.mark.parametrize(
    "answer, classes",
    [
        (flip, ["mismatch"]),
        (reorder, ["mismatch"]),
        (repeat, ["mismatch"]),
        (drop_then_go_on, ["mismatch"]),
        (shorten, ["echo-timeout", "mismatch"]),
        (swallow, ["echo-timeout"]),
        (hang_up, ["closed"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.parametrize("rate", [0, 100])
def test_bad_echo(tmp_path, answer, classes, rate):
    options = ["-r", rate, "--pipeline", 1] if rate else []
    with evil_echo(answer) as address:
        outcome = load(tmp_path, "-c", 1, "-d", "3s", *options, *HASTE, target=address, timeout=15)
    expect(outcome, *classes, *(["not-issued"] if rate else []))
    assert outcome.summary["ok"] == 19  # the first piece of input was the greeting
    if rate:
        assert outcome.summary["started"] == 300  # what was due and could not be sent has failed
        assert outcome.summary["failed"] + outcome.summary["timed_out"] == 281


def test_mismatch_names_place_and_bytes(tmp_path):
    with evil_echo(flip) as address:
        outcome = load(tmp_path, "-c", 1, "-d", "2s", *HASTE, target=address)
    first = outcome.first("mismatch")
    assert "connection 0" in first and "channel 0" in first
    assert f"offset {20 * 64 + 5}," in first and "expected 0x" in first and "got 0x" in first


def test_no_verify_lets_wrong_content_pass(tmp_path):
    with evil_echo(flip) as address:
        outcome = load(tmp_path, "-c", 1, "-n", 50, "--no-verify", *HASTE, target=address)
    assert outcome.code == 0 and outcome.summary["ok"] == 50


# -- peers that answer, but not with an echo


def test_words_on_stderr_instead_of_an_echo_are_shown_at_once(tmp_path):
    """A shell that takes what we send for a command: its complaint is the story, long before the time-out."""

    def answer(channel, count, data):
        channel.send_stderr(b"bash: line 1: x: not found\n\x1b[31m")

    with evil_echo(answer) as address:
        outcome = load(tmp_path, "-c", 1, "-n", 1, target=address)
    assert outcome.errors["handshake-timeout"] == 1, outcome
    first = outcome.first("handshake-timeout")
    assert "no echo, perhaps a shell" in first, first
    assert 'the peer wrote "bash: line 1: x: not found\\x0a\\x1b[31m' in first, first
    assert outcome.result["phases"]["ramp_s"] < 12, outcome  # of 15 s


def test_words_on_stdout_instead_of_an_echo_are_shown(tmp_path):
    with evil_echo(lambda channel, count, data: channel.sendall(b"Welcome to the switch\r\n> ")) as address:
        outcome = load(tmp_path, "-c", 1, "-n", 1, target=address)
    first = outcome.first("mismatch")
    assert "channel 0: offset 0, expected" in first and 'the peer wrote "Welcome to the switch\\x0d\\x0a> "' in first


def test_words_on_stderr_beside_the_echo_do_no_harm(tmp_path):
    def answer(channel, count, data):
        channel.send_stderr(b"bash: warning: setlocale\n")
        channel.sendall(data)

    with evil_echo(answer) as address:
        outcome = load(tmp_path, "-c", 1, "-d", "2500ms", "-r", 10, target=address)
    assert outcome.errors == {} and outcome.summary["ok"] == 25, outcome


@contextlib.contextmanager
def tinysshd(directory, key):
    """A server for one channel a connection, which ends the connection when that channel's program has. It knows users
    by their homes alone: root's is one of the test's own, in a mount namespace."""
    if not (shutil.which("tinysshd") and shutil.which("socat")):
        pytest.skip("tinysshd or socat is not installed")
    subprocess.run(["tinysshd-makekey", directory / "keys"], check=True, capture_output=True)
    home, log = Path("~root").expanduser(), directory / "socat.log"
    inside = f"""set -e
mount -t tmpfs -o mode=700 none {home}
mkdir -m 700 {home}/.ssh
cp {key}.pub {home}/.ssh/authorized_keys
exec socat -d -d TCP-LISTEN:0,bind=127.0.0.1,reuseaddr,fork,backlog=64 'EXEC:tinysshd -l -e cat {directory}/keys'"""
    starter = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", inside], stderr=log.open("w")
    )
    try:
        listening = re.compile(r"listening on AF=2 127\.0\.0\.1:(\d+)")
        found = harness.wait_until(lambda: listening.search(log.read_text()) or starter.poll() is not None, 5, "socat")
        if found is True:
            pytest.skip("no right to a home of its own: " + log.read_text().strip())
        yield f"root@127.0.0.1:{found.group(1)}"
    finally:
        starter.terminate()
        starter.wait()


def test_server_that_ends_the_connection_with_its_channel(tmp_path):
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with tinysshd(tmp_path, key) as address:
        outcome = load(
            tmp_path, "-m", "connect", "-c", 4, "-n", 60, "--insecure", "--auth", "publickey", "-I", key, target=address
        )
    assert outcome.code == 0 and outcome.summary["ok"] == 60, outcome
