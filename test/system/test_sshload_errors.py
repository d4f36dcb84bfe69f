"""sshload against servers that are missing, wrong, slow, lying or dying: each in a class of its own, in bounded time."""

import contextlib
import re
import resource
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

import harness

from sshload_helpers import (
    DEATHS,
    mortal,
    SSHD,
    evil_echo,
    finish_load,
    listener,
    load,
    meddler,
    openssh,
    run_tool,
    start_load,
)

HASTE = ["--connect-timeout", "1s", "--handshake-timeout", "2s", "--timeout", "1s", "--drain-timeout", "1s"]


def expect(outcome, *classes):
    """The run failed, for these reasons and no other."""
    assert outcome.code == 1, outcome
    assert set(outcome.errors) and set(outcome.errors) <= set(classes), outcome
    assert outcome.errors.get(classes[0]), outcome
    for name in outcome.errors:
        assert name in outcome.report and outcome.first(name) in outcome.report
    return outcome


def echo(channel, count, data):
    channel.sendall(data)


def test_refused(tmp_path):
    outcome = expect(load(tmp_path, "-c", 3, "-d", "1s", target=("127.0.0.1", harness.free_port())), "refused")
    assert outcome.errors["refused"] == 3
    assert outcome.summary["failed"] == outcome.summary["started"] == 3


@pytest.mark.parametrize("mode", ["ping", "stream", "connect", "hold"])
def test_refused_in_every_mode(tmp_path, mode):
    expect(
        load(tmp_path, "-m", mode, "-c", 2, "-d", "300ms", target=("127.0.0.1", harness.free_port()), timeout=10),
        "refused",
        "not-issued",
    )


def test_connect_timeout(tmp_path):
    """A backlog that is full leaves further connects unanswered."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                each.connect(full.getsockname())
        outcome = load(tmp_path, "-c", 2, "-d", "1s", *HASTE, target=full.getsockname(), timeout=10)
        for each in fillers:
            each.close()
    expect(outcome, "connect-timeout")
    assert outcome.summary["timed_out"] == 2


def test_http_server_is_not_ssh(tmp_path):
    def http(connection):
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\nContent-Length: 0\r\n\r\n")

    with listener(http) as address:
        expect(load(tmp_path, "-c", 2, "-d", "1s", *HASTE, target=address, timeout=10), "not-ssh")


def test_endless_line_is_not_ssh(tmp_path):
    def noise(connection):
        while True:
            connection.sendall(b"x" * 1000)

    with listener(noise) as address:
        expect(load(tmp_path, "-c", 1, "-d", "1s", *HASTE, target=address, timeout=10), "not-ssh")


def test_old_protocol_is_not_ssh(tmp_path):
    def old(connection):
        connection.sendall(b"SSH-1.5-ancient\r\n")
        connection.recv(1000)

    with listener(old) as address:
        expect(load(tmp_path, "-c", 1, "-d", "1s", *HASTE, target=address, timeout=10), "not-ssh")


def test_silent_server(tmp_path):
    with listener(lambda connection: connection.recv(1) and time.sleep(10)) as address:
        outcome = load(tmp_path, "-c", 2, "-d", "1s", *HASTE, target=address, timeout=10)
        expect(outcome, "handshake-timeout")
        assert "no SSH version string" in outcome.first("handshake-timeout")
        assert outcome.summary["timed_out"] == 2


def test_tarpit(tmp_path):
    """endlessh: a random line now and then, for ever."""

    def drip(connection):
        while True:
            connection.sendall(b"1f2e3d\r\n")
            time.sleep(0.2)

    with listener(drip) as address:
        outcome = load(tmp_path, "-c", 20, "-d", "1s", *HASTE, target=address, timeout=15)
        expect(outcome, "handshake-timeout", "not-issued")  # who came never in is not tried for each connection


def test_silent_after_the_banner(tmp_path):
    def half(connection):
        connection.sendall(b"SSH-2.0-half\r\n")
        time.sleep(10)

    with listener(half) as address:
        outcome = load(tmp_path, "-c", 1, "-d", "1s", *HASTE, target=address, timeout=10)
        expect(outcome, "handshake-timeout")
        assert "key exchange" in outcome.first("handshake-timeout")


def test_closed_before_the_banner(tmp_path):
    with listener(lambda connection: None) as address:
        outcome = load(tmp_path, "-c", 1, "-d", "1s", *HASTE, target=address, timeout=10)
        expect(outcome, "closed")
        assert "banner" in outcome.first("closed")


# What the server sends up to each end: banner, key exchange, login, channel, request, first echo, traffic. Encrypted
# lengths vary a little between libssh versions, so the ends are spread rather than aimed.
@pytest.mark.parametrize("after", [0, 10, 100, 600, 1300, 1400, 1500, 1600, 1700, 2000, 4000, 9000])
def test_server_that_dies_at_each_phase(server, tmp_path, after):
    with meddler(server.address, stop_after=after) as address:
        began = time.monotonic()
        outcome = load(tmp_path, "-c", 2, "-d", "2s", *HASTE, target=address, timeout=15)
        expect(
            outcome,
            *(
                ["not-ssh"]
                if 0 < after < 23
                else ["closed"]
                if after == 0 or after > 1200
                else ["key-exchange", "closed"]
            ),
        )
        assert sum(outcome.errors.values()) == 2
        assert time.monotonic() - began < 8


@pytest.mark.parametrize("mode", ["ping", "connect"])
@pytest.mark.parametrize("phase", DEATHS)
def test_server_that_dies_in_each_named_phase(tmp_path, phase, mode):
    """The phase is named, the class fits, and the books add up; a session that never closes does not die closing."""
    with mortal(phase) as address:
        options = ["-m", mode, "-c", 2, "-n", 40, "--reconnect-after", 12] if mode == "ping" else ["-m", mode, "-n", 2]
        outcome = load(tmp_path, *options, *HASTE, target=address, timeout=30)
    if mode == "connect" and phase == "traffic":
        assert outcome.code == 0, outcome  # it has none
        return
    kind = "key-exchange" if phase == "key exchange" else "closed"
    expect(outcome, kind, "not-issued")
    named = "channel" if phase == "request" else phase
    assert f", {named}: " in outcome.first(kind), outcome
    assert outcome.summary["started"] == (40 if mode == "ping" else 2), outcome


@pytest.mark.parametrize("mode", ["stream", "connect", "hold"])
def test_server_that_dies_in_every_mode(server, tmp_path, mode):
    with meddler(server.address, stop_after=3000) as address:
        outcome = load(
            tmp_path, "-m", mode, "-c", 2, "-d", "1s", "--sample-interval", "50ms", *HASTE, target=address, timeout=15
        )
        if mode == "connect":
            assert outcome.code == 0, outcome  # none of its connections is that long
        else:
            expect(outcome, "closed")


@pytest.mark.parametrize("option, value", [("--ciphers", "aes128-ctr"), ("--kex", "diffie-hellman-group14-sha256")])
def test_what_would_help_against_a_server_that_has_nothing_in_common(serve, tmp_path, option, value):
    """Also where the server closes before libssh has said what was wrong, which is every third time or so."""
    server = serve(options={"ciphers": "aes256-gcm@openssh.com", "kex": "curve25519-sha256"})
    for _ in range(8):
        outcome = load(tmp_path, "-n", 1, "-c", 1, option, value, *HASTE, target=server)
        first = outcome.first("key-exchange")
        assert "nothing in common for" in first and f"we {value}; see {option}" in first, outcome


def test_no_common_key_exchange(server, tmp_path):
    expect(
        load(tmp_path, "-c", 2, "-d", "1s", "--kex", "diffie-hellman-group1-sha1", *HASTE, target=server),
        "key-exchange",
    )


def test_wrong_host_key(server, tmp_path):
    wrong = "SHA256:" + "A" * 43
    outcome = expect(load(tmp_path, "-c", 1, "-d", "1s", "--host-key", wrong, target=server), "host-key")
    assert wrong in outcome.first("host-key")
    empty = tmp_path / "known_hosts"
    empty.write_text("")
    outcome = expect(load(tmp_path, "-c", 1, "-d", "1s", "--known-hosts", empty, target=server), "host-key")
    assert "not in known_hosts" in outcome.first("host-key")


@pytest.mark.skipif(SSHD is None, reason="no sshd here")
def test_refusals_by_openssh(tmp_path):
    with openssh(tmp_path, "MaxSessions=1") as daemon:
        login = ["--identity", daemon.identity, "-d", "300ms", "-c", 1]
        expect(load(tmp_path, "-c", 1, "-d", "1s", "--request", "exec:cat", target=daemon), "authentication")
        expect(load(tmp_path, *login, "-C", 3, "--request", "exec:cat", target=daemon), "channel-refused")
        expect(load(tmp_path, *login, "--request", "subsystem:nothing", target=daemon), "request-refused")
        outcome = expect(load(tmp_path, *login, "--request", "exec:exit 3", target=daemon), "closed")
        assert "exit status 3" in outcome.first("closed")


def test_refused_channel_and_request(tmp_path):
    with evil_echo(echo, refuse_channel=True) as address:
        expect(load(tmp_path, "-c", 1, "-d", "1s", *HASTE, target=address), "channel-refused")
    with evil_echo(echo, refuse_request=True) as address:
        expect(load(tmp_path, "-c", 1, "-d", "1s", *HASTE, target=address), "request-refused")


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


def test_close_that_is_not_answered(tmp_path):
    with evil_echo(echo, silent_close=True) as address:
        outcome = load(
            tmp_path, "-m", "connect", "-c", 1, "-n", 1, *HASTE, "--drain-timeout", "5s", target=address, timeout=15
        )
    expect(outcome, "close-timeout")


def test_corrupted_packet_breaks_the_protocol(server, tmp_path):
    def flip_at(offset, data):
        at = 5000 - offset
        if 0 <= at < len(data):
            data = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        return data

    with meddler(server.address, change=flip_at) as address:
        expect(
            load(tmp_path, "-c", 1, "-d", "2s", *HASTE, target=address, timeout=15),
            "protocol",
            "closed",
            "echo-timeout",
        )


def test_retry_comes_back(server, tmp_path):
    with meddler(server.address, stop_after=20000) as address:
        outcome = load(tmp_path, "-c", 1, "-d", "2s", "--retry", "50ms", *HASTE, target=address, timeout=15)
    expect(outcome, "closed")
    assert outcome.summary["connects_up"] > 2
    assert outcome.summary["sessions_lost"] == outcome.errors["closed"]


def test_out_of_file_descriptors(server, tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))

    outcome = load(tmp_path, "-c", 60, "-d", "500ms", target=server, preexec_fn=limit)
    expect(outcome, "local-limit")
    assert any("ulimit -n" in remark for remark in outcome.result["generator"]["remarks"])
    assert 0 < outcome.summary["sessions_up"] < 30


def test_stopped_server_leaves_work_unfinished(server, tmp_path):
    started = start_load(tmp_path, "-c", 2, "-d", "1s", "--drain-timeout", "300ms", "-i", "50ms", target=server)
    for line in started[1].stdout:
        if "load" in line:
            break
    worker = server.worker
    subprocess.run(["kill", "-STOP", str(worker)], check=True)
    try:
        outcome = finish_load(started, 10)
    finally:
        subprocess.run(["kill", "-CONT", str(worker)], check=True)
    assert outcome.code == 1
    assert outcome.summary["unfinished"] == 2 and outcome.errors == {}
    assert any(remark.startswith("unfinished") for remark in outcome.result["generator"]["remarks"])


def test_unwritable_result_is_said(server, tmp_path):
    done = run_tool("-n", 10, "-q", "--json", "/nonexistent/x.json", "{}:{}".format(*server.address))
    assert done.returncode == 1 and "/nonexistent/x.json" in done.stderr


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
