"""What a channel can ask for, what it gets, and how it ends."""

import os
import subprocess
import time

import pytest

import harness
from rawssh import ADMINISTRATIVELY_PROHIBITED, UNKNOWN_CHANNEL_TYPE, boolean, byte, pattern, string, u32

ENDING = ["exit-status", "eof", "close"]


def chargen(count):
    """RFC 864: lines of 72 of the 95 printable characters, each line one character further on."""
    ring = bytes(range(32, 127))
    out, first = bytearray(), 0
    while len(out) < count:
        out += (ring * 2)[first : first + 72] + b"\r\n"
        first = (first + 1) % 95
    return bytes(out[:count])


@pytest.mark.parametrize(
    "ask",
    [
        lambda channel: channel.shell(),
        lambda channel: channel.execute("anything at all"),
        lambda channel: channel.execute(""),
        lambda channel: channel.execute("discarding is not discard"),
        lambda channel: channel.subsystem("sftp"),
        lambda channel: channel.subsystem("no-such-thing"),
    ],
    ids=["shell", "exec", "exec-empty", "exec-like-discard", "sftp", "subsystem"],
)
def test_every_service_echoes_and_ends_in_order(server, dial, ask):
    client = dial(server)
    channel = client.open()
    channel.auto_window = 1 << 20
    assert ask(channel)
    data = pattern(200_000)
    assert client.echo(channel, data) == data
    channel.finish()
    assert channel.ending() == ENDING
    assert channel.exit_status == 0


def test_half_close_still_brings_every_byte_back(server, dial):
    client = dial(server)
    channel = client.shell(window=0, auto=False)
    data = pattern(30_000)  # as much as every libssh grants to one whose own window is shut
    channel.feed(data, eof=True)
    client.wait(lambda: channel.sent_eof, what="EOF behind the data")
    client.idle(0.2)
    assert channel.received == 0 and not channel.eof
    channel.auto_window = 100_000
    channel.adjust(100_000)
    client.wait(lambda: channel.closed, 20, "CLOSE")
    assert channel.data == data
    assert channel.ending() == ENDING


def test_eof_without_any_data(server, dial):
    channel = dial(server).shell()
    channel.finish()
    assert channel.ending() == ENDING and channel.received == 0


def test_connection_outlives_its_channels(server, dial):
    client = dial(server)
    for turn in range(30):
        channel = client.shell()
        assert client.echo(channel, pattern(1000, turn)) == pattern(1000, turn)
        channel.finish()
    assert not client.closed


def test_discard(server, dial):
    client = dial(server)
    channel = client.open(window=1000)
    assert channel.execute("discard")
    channel.feed(pattern(5_000_000), eof=True)
    client.wait(lambda: channel.closed, 20, "CLOSE of discard")
    assert channel.received == 0
    assert channel.ending() == ENDING


@pytest.mark.parametrize("count", [0, 1, 73, 74, 75, 100_000, 3_000_000])
def test_chargen_of_a_size(server, dial, count):
    client = dial(server)
    channel = client.open(window=100_000)
    channel.auto_window = 100_000
    assert channel.execute(f"chargen {count}")
    client.wait(lambda: channel.closed, 20, "CLOSE of chargen")
    assert channel.data == chargen(count)
    assert channel.ending() == ENDING and channel.exit_status == 0


def test_chargen_for_ever_follows_the_window(server, dial):
    client = dial(server)
    channel = client.open(window=10_000)
    assert channel.execute("chargen")
    client.wait(lambda: channel.received == 10_000, what="a window's worth")
    client.idle(0.2)
    assert channel.received == 10_000
    channel.adjust(500_000)
    client.wait(lambda: channel.received == 510_000, what="the second window's worth")
    assert channel.data == chargen(510_000)
    channel.send_close()
    client.wait(lambda: channel.closed, what="CLOSE in answer to ours")


@pytest.mark.parametrize("argument", ["-1", "x", "10x", "99999999999999999999999", "1 2"])
def test_chargen_with_a_bad_size_complains(server, dial, argument):
    client = dial(server)
    channel = client.open(window=1_000_000)
    assert channel.execute(f"chargen {argument}")
    client.wait(lambda: channel.closed, what="CLOSE after the complaint")
    assert b"usage" in channel.stderr and not channel.data
    assert channel.exit_status == 2
    assert channel.ending() == ENDING


def test_chargen_while_the_client_talks(server, dial):
    client = dial(server)
    channel = client.open(window=1 << 20)
    channel.auto_window = 1 << 20
    assert channel.execute("chargen 2000000")
    channel.feed(pattern(2_000_000))
    client.wait(lambda: channel.closed, 20, "CLOSE of chargen")
    assert channel.data == chargen(2_000_000)


def test_small_requests_are_acknowledged(server, dial):
    client = dial(server)
    channel = client.open()
    assert channel.pty()
    assert channel.request("env", body=string("LANG") + string("C"))
    assert channel.shell()
    # RFC 4254 clauses 6.7 and 6.9: these two are never answered.
    channel.request("window-change", want_reply=False, body=u32(100) + u32(30) + u32(0) + u32(0))
    channel.request("signal", want_reply=False, body=string("INT"))
    channel.request("break", body=u32(500))  # RFC 4335 lets a server answer either way
    assert client.echo(channel, b"still here") == b"still here"


def test_requests_without_want_reply_act_in_silence(server, dial):
    client = dial(server)
    channel = client.open()
    for name, body in (
        ("pty-req", string("vt100") + u32(80) + u32(24) + u32(0) + u32(0) + string(b"")),
        ("env", string("A") + string("B")),
        ("no-such-request", b""),
        ("shell", b""),
    ):
        channel.request(name, want_reply=False, body=body)
    assert client.echo(channel, b"hello") == b"hello"
    assert channel.replies == []


def test_unknown_requests_are_answered_once(server, dial):
    client = dial(server)
    channel = client.shell()
    assert channel.request("no-such-request@example.org", body=b"whatever") is False
    assert client.global_request("no-such-request@example.org", body=b"whatever") is False
    client.global_request("keepalive@openssh.com")  # any answer shows that we are alive
    client.global_request("no-such-request@example.org", want_reply=False)
    assert client.echo(channel, b"x") == b"x"
    assert channel.replies == [True, False]
    assert len(client.global_replies) == 2 and not client.global_replies[0]


@pytest.mark.parametrize(
    "name, body",
    [
        ("x11-req", boolean(False) + string("MIT-MAGIC-COOKIE-1") + string("00") + u32(0)),
        ("auth-agent-req@openssh.com", b""),
    ],
)
def test_x11_and_agent_are_refused(server, dial, name, body):
    client = dial(server)
    channel = client.open()
    assert channel.request(name, body=body) is False
    assert channel.shell()
    assert client.echo(channel, b"x") == b"x"


def test_forwarding_is_refused(server, dial):
    client = dial(server)
    assert client.global_request("tcpip-forward", body=string("127.0.0.1") + u32(0)) is False
    assert client.global_request("cancel-tcpip-forward", body=string("127.0.0.1") + u32(9)) is False
    assert client.global_request("streamlocal-forward@openssh.com", body=string("/tmp/x")) is False


@pytest.mark.parametrize(
    "kind, body, reason",
    [
        ("direct-tcpip", string("127.0.0.1") + u32(22) + string("127.0.0.1") + u32(1), ADMINISTRATIVELY_PROHIBITED),
        ("direct-streamlocal@openssh.com", string("/tmp/x") + string("") + u32(0), ADMINISTRATIVELY_PROHIBITED),
        ("forwarded-tcpip", string("127.0.0.1") + u32(22) + string("127.0.0.1") + u32(1), None),
        ("x11", string("127.0.0.1") + u32(1), None),
        ("auth-agent@openssh.com", b"", None),
        ("no-such-channel", b"", UNKNOWN_CHANNEL_TYPE),
    ],
)
def test_other_channel_types_are_refused(server, dial, kind, body, reason):
    client = dial(server)
    channel = client.open(kind=kind, body=body)
    assert channel.open_failure
    # libssh has one answer for all, "administratively prohibited", and no call to choose another.
    assert channel.open_failure[0] in (reason, ADMINISTRATIVELY_PROHIBITED, UNKNOWN_CHANNEL_TYPE)
    assert client.echo(client.shell(), b"x") == b"x"


def test_second_service_on_a_channel_is_refused(server, dial):
    client = dial(server)
    channel = client.shell()
    assert channel.execute("cat") is False
    assert channel.subsystem("sftp") is False
    assert channel.shell() is False
    assert client.echo(channel, b"x") == b"x"


def test_data_before_the_service_is_not_lost(server, dial):
    client = dial(server)
    channel = client.open()
    data = pattern(20_000)
    channel.feed(data)
    client.wait(lambda: not channel.outgoing, what="room for the data")
    client.idle(0.2)
    assert channel.received == 0
    assert channel.shell()
    client.wait(lambda: channel.received == len(data), what="echo of the early data")
    assert channel.data == data


def test_replies_keep_their_order(server, dial):
    client = dial(server)
    channel = client.open()
    expected = []
    for number in range(500):
        known = number % 3 == 0
        channel.request("env" if known else "unknown", body=string("A") + string("B"), wait=False)
        expected.append(known)
    client.wait(lambda: len(channel.replies) == len(expected), what="500 replies")
    assert channel.replies == expected


def test_close_at_any_moment_frees_the_channel(serve, dial):
    server = serve(options={"channels-per-connection": 10})
    client = dial(server)
    for turn in range(40):
        channel = client.open(window=0 if turn % 2 else 1 << 20)
        if turn % 3:
            channel.shell()
            channel.feed(pattern(30_000))
            client.step(0.01)
        channel.outgoing.clear()
        channel.send_close()
        client.wait(lambda: channel.closed, what="CLOSE in answer to ours")
    assert client.echo(client.shell(), b"x") == b"x"


def test_channel_limit(serve, dial):
    server = serve(options={"channels-per-connection": 3})
    client = dial(server)
    channels = [client.shell() for _ in range(3)]
    refused = client.open()
    assert refused.open_failure and refused.open_failure[0] in (ADMINISTRATIVELY_PROHIBITED, 4)
    channels[0].finish()
    harness.wait_until(lambda: client.open().opened, 5, "room for another channel")
    assert client.echo(channels[1], b"x") == b"x"


@pytest.mark.parametrize("end", ["reset", "close", "disconnect"])
def test_clients_that_vanish_leave_nothing(server, dial, end):
    worker = server.worker
    base = harness.sockets_held(worker)
    clients = [dial(server) for _ in range(20)]
    for client in clients:
        channel = client.shell(window=50_000, auto=False)
        channel.feed(os.urandom(500_000))
        client.step(0.01)
    for client in clients:
        if end == "disconnect":
            client.out.clear()
            client.reading = True
            client.wait(lambda c=client: not c.out, what="empty output")
            client.send_packet(byte(1) + u32(11) + string("bye") + string(""))
            client.flush()
            client.close()
        elif end == "reset":
            client.reset()
        else:
            client.close()
    harness.wait_until(lambda: harness.sockets_held(worker) == base, 10, "the sockets to be closed")
    harness.wait_until(lambda: len(server.lines("close")) >= 20, 10, "a line for each")
    assert len(server.lines("close")) == 20
    fresh = dial(server)
    assert fresh.echo(fresh.shell(), b"x") == b"x"


def test_an_exit_after_nothing_waits_for_nothing(server, dial):
    channel = dial(server).open()
    assert channel.execute("exit status=3 after=0")
    channel.client.wait(lambda: channel.closed, 3, "the end")
    assert channel.exit_status == 3 and channel.ending()[-3:] == ENDING


def test_an_exit_by_signal(server, dial):
    """RFC 4254, 6.10: exit-signal in the place of exit-status, with what was echoed before it."""
    channel = dial(server).open(window=1 << 20)
    assert channel.execute("exit signal=TERM after=3")
    channel.feed(b"abc and more")
    channel.client.wait(lambda: channel.closed, 3, "the end")
    assert channel.data == b"abc" and channel.exit_status is None
    assert channel.ending()[-3:] == ["exit-signal", "eof", "close"]
    assert channel.exit_signal == ("TERM", False, "as you asked")


def test_an_echo_for_a_time(server, dial):
    """For tools that keep their input open: what comes in time is echoed, then it ends by itself."""
    channel = dial(server).open(window=1 << 20)
    began = time.monotonic()
    assert channel.execute("echo for=500ms")
    channel.client.echo(channel, b"in time")
    channel.client.wait(lambda: channel.closed, 5, "the end")
    assert 0.4 < time.monotonic() - began < 3
    assert channel.data == b"in time" and channel.exit_status == 0 and channel.ending()[-3:] == ENDING


def test_rekey_with_the_first_echo_does_not_crumble_what_follows(serve, tmp_path):
    """While libssh keeps what is written nobody learns how large packets may be; one byte a write for ever is no answer."""
    server = serve()
    sent = pattern(300_000)
    (tmp_path / "sent").write_bytes(sent)
    ssh = ["ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    with open(tmp_path / "sent", "rb") as stdin:
        done = subprocess.run(
            [*ssh, "-o", "BatchMode=yes", "-p", str(server.port), "tester@127.0.0.1", "rekey every=64K"],
            stdin=stdin,
            capture_output=True,
            timeout=60,
        )
    assert done.returncode == 0 and done.stdout == sent, done.stderr
    closed = server.wait_line("close")
    assert int(closed["rekeys"]) >= 2, closed
    assert int(closed["echoes"]) < 1000, closed
