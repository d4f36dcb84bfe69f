"""The log: one ACCEPT and one CLOSE line per connection, valid whatever a peer sends."""

import json
import re

import pytest

import harness
import rawssh
from harness import wait_until
from rawssh import pattern, string


def one_session(server, data=b"hello", **options):
    client = rawssh.Client(server.address, **options).login()
    channel = client.shell()
    client.echo(channel, data)
    channel.finish()
    client.close()


def test_accept_and_close(server):
    one_session(server, pattern(100_000), banner="SSH-2.0-test_1.0 with comment")
    close = server.wait_line("close")
    (accept,) = server.lines("accept")
    assert re.fullmatch(r"127\.0\.0\.1:\d+", accept["peer"])
    assert accept["conn"] == close["conn"]
    assert close["reason"] == "client"
    assert close["bytes_in"] == close["bytes_out"] == "100000"
    assert float(re.match(r"[\d.]+", next(close[key] for key in close if key.startswith("duration")))[0]) >= 0
    assert float(next(close[key] for key in close if key.startswith("handshake"))) > 0
    assert int(close["echoes"]) > 0
    assert "test_1.0" in " ".join(close.values()) + " ".join(accept.values())
    text = " ".join(value for line in server.lines() for value in line.values())
    assert "aes128-gcm@openssh.com" in text and "curve25519-sha256" in text


def test_one_pair_of_lines_per_connection(serve):
    server = serve(workers=2)
    for _ in range(20):
        one_session(server)
    wait_until(lambda: len(server.lines("close")) == 20, what="20 CLOSE lines")
    accepts, closes = (
        sorted((line["pid"], line["conn"]) for line in server.lines(event)) for event in ("accept", "close")
    )
    assert accepts == closes and len(set(accepts)) == 20


@pytest.mark.parametrize("how, reason", [("tcp-close", "client"), ("reset", "reset"), ("http", "protocol")])
def test_reasons(server, how, reason):
    if how == "http":
        client = rawssh.Client(server.address, handshake=False, banner="GET / HTTP/1.1")
        client.send_raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.wait_end()
    else:
        client = rawssh.Client(server.address).login()
        client.echo(client.shell(), b"x")
        client.reset() if how == "reset" else client.close()
    assert server.wait_line("close")["reason"] == reason


def test_json(serve):
    server = serve(options={"log-format": "json"})
    one_session(server)
    server.wait_line("close")
    lines = [json.loads(line) for line in server.log().splitlines()]
    assert {"accept", "close"} <= {line["event"] for line in lines}
    close = next(line for line in lines if line["event"] == "close")
    assert close["bytes_in"] == 5 and isinstance(close["conn"], int)
    assert all({"time", "level", "pid", "event"} <= set(line) for line in lines)


def test_every_line_has_time_level_pid_and_event(server):
    one_session(server)
    server.wait_line("close")
    for line in server.log().splitlines():
        assert re.match(
            r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=(error|warn|info|debug|trace) pid=\d+ event=\S+", line
        ), line


EVIL = b'SSH-2.0-x" event=close reason="forged\x1b[2J\x7f\xff\xfe\\'


@pytest.mark.parametrize("log_format", ["kv", "json"])
def test_strings_of_a_peer_are_escaped_and_cut(serve, log_format):
    server = serve(options={"log-format": log_format, "log-level": "trace"})
    client = rawssh.Client(server.address, banner=EVIL)
    user = "evil\nevent=close reason=forged\r\n\x1b[31m\x00" + "x" * 3000
    client.login(user=user)
    channel = client.open()
    channel.execute("y" * 5000 + "\n\x07")
    channel.request("env", body=string("A\nB") + string("c\x1bd"))
    client.close()
    server.wait_line("close")
    text = server.log_path.read_bytes()
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", text), "control characters in the log"
    text.decode("ascii" if log_format == "kv" else "utf-8")
    assert not server.lines("close", reason="forged"), "a peer forged a line"
    assert all(len(line) <= 4096 for line in text.splitlines())
    if log_format == "json":
        for line in text.decode().splitlines():
            json.loads(line)


@pytest.mark.parametrize("level", ["error", "warn", "debug", "trace"])
def test_levels(serve, level):
    server = serve(options={"log-level": level})
    one_session(server)
    if level in ("error", "warn"):
        server.stop()
        assert not server.lines("accept") and not server.lines("close")
        assert not server.lines(level="info")
    else:
        server.wait_line("close")
        assert server.lines(level="debug")


def test_refusals_are_summed_up_under_a_flood(serve):
    server = serve(options={"max-connections": 2})
    held = [rawssh.Client(server.address).login() for _ in range(2)]
    for _ in range(300):
        client = rawssh.Client(server.address, handshake=False)
        client.step(0.02)
        client.close()
    about = [line for line in server.lines() if "refus" in " ".join(line.values())]
    assert 1 <= len(about) <= 30, f"{len(about)} lines for 300 refusals"
    for client in held:
        assert client.echo(client.shell(), b"x") == b"x"
        client.close()

    def admitted():
        try:
            one_session(server)
            return True
        except (ConnectionError, AssertionError):
            return False

    wait_until(admitted, 5, "room again")


def test_log_that_nobody_reads_does_not_stop_the_server(serve, tmp_path):
    """stderr on a full device: lines are lost, sessions are not."""
    import subprocess

    ports = tmp_path / "ports"
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(
            [str(harness.SSHECHOD), "--listen", "127.0.0.1:0", "--port-file", str(ports), "--workers", "1"],
            stderr=full,
            stdout=full,
            stdin=subprocess.DEVNULL,
        )
    try:
        wait_until(ports.exists, 10, "port file")
        host, _, port = ports.read_text().strip().rpartition(":")
        for _ in range(5):
            with rawssh.Client((host, int(port))) as client:
                assert client.login().echo(client.shell(), b"x") == b"x"
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
