"""sshload against servers that are missing, wrong, slow, lying or dying: each in a class of its own, in bounded time."""

import contextlib
import resource
import socket
import subprocess
import time

import pytest

import harness
from bad_servers import DEATHS, evil_echo, listener, meddler, mortal, says_nothing
from sshload_helpers import HASTE, SSHD, expect, finish_load, load, openssh, run_tool, start_load


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
    with listener(says_nothing) as address:
        outcome = load(tmp_path, "-c", 2, "-d", "1s", *HASTE, target=address, timeout=10)
        expect(outcome, "handshake-timeout")
        assert "no SSH version string" in outcome.first("handshake-timeout")
        assert outcome.summary["timed_out"] == 2


def test_many_at_a_silent_server(tmp_path):
    """More than are looked at in one tick: each one's time-out is found all the same, within a second."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(4096)
        arguments = ["-m", "hold", "-c", 2500, "--connecting", 2500, "--threads", 1, "-d", "1s", "--processes", 1]
        outcome = load(
            tmp_path, *arguments, *HASTE, "--connect-timeout", "10s", target=silent.getsockname(), timeout=30
        )
    expect(outcome, "handshake-timeout")
    assert outcome.errors["handshake-timeout"] == 2500
    assert outcome.summary["timed_out"] == 2500


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
        says_nothing(connection)

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
