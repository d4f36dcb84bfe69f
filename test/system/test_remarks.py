"""Remarks on clients: each provoked by a client that does just that, and absent where it does not."""

import json
import shlex
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import clients
from rawssh import Client, boolean, byte, crypto, pattern, string
from rawssh.wire import CHANNEL_DATA, u32
from reports import SEES_OFFERS, of_user, remarks


def good(server, **options):
    """A client that offers nothing weak, unless options say so."""
    return Client(server.address, **{"host_keys": ("ssh-ed25519",), **options})


@pytest.fixture
def told(reporting, request):
    """Opens a client whose remarks can be asked for once it is closed; a well-behaved one but for what options say."""
    user = request.node.name
    opened = []

    def dial(**options):
        client = good(reporting, **options).login(user)
        opened.append(client)
        return client

    def after():
        opened[-1].close()
        return remarks(of_user(reporting, user)[-1])

    dial.after = after
    yield dial
    for client in opened:
        client.sock.close()


def leave(client):
    """As a well-behaved client does."""
    client.send(byte(1) + u32(11) + string("bye") + string(""))
    client.wait_end()


def test_nothing_is_said_of_a_good_client(told):
    client = told()
    channel = client.shell()
    data = pattern(2_000_000)
    assert client.echo(channel, data) == data
    channel.finish()
    leave(client)
    assert told.after() == set()


@pytest.mark.parametrize("many", [False, True], ids=["small", "bulk"])
def test_nothing_is_said_of_openssh(reporting, many, tmp_path):
    user = f"openssh-{many}"
    data = pattern(20_000_000 if many else 100)
    path = tmp_path / "data"  # from a file: through a pipe subprocess gives 4,096 bytes at a time, and so does ssh then
    path.write_bytes(data)
    command = ["sh", "-c", f"{shlex.join(map(str, clients.openssh(reporting, user=user)))} <{path}"]
    clients.assert_echo(clients.run(reporting, command, b""), data)
    assert remarks(of_user(reporting, user)[0]) <= {"weak-algorithms"}


def test_nothing_is_said_of_openssh_whose_output_nobody_hurries_to_read(reporting):
    """Its window shuts, and opens bit by bit: that is its user's pace, not its fault."""
    command = " ".join(clients.openssh(reporting, "chargen", "12M", user="slow"))
    script = (
        f"{command} | (sleep 1; while dd bs=256K count=1 iflag=fullblock status=none | grep -q .; do sleep 0.01; done)"
    )
    result = clients.run(reporting, ["sh", "-c", script])
    assert result.returncode == 0, result.stderr
    (report,) = of_user(reporting, "slow")
    assert report["channels"][0]["window"]["times_shut"] > 0, "the reader was not slow enough to show anything"
    assert remarks(report) <= {"weak-algorithms"}


def test_version_line(told):
    if not SEES_OFFERS:
        pytest.skip("libssh does its own I/O: nobody reads along")
    client = told(banner="SSH-2.0-raw-ssh")
    leave(client)
    assert "version-line" in told.after()


def test_strict_kex_missing(told):
    if not SEES_OFFERS:
        pytest.skip("libssh does its own I/O: nobody reads along")
    leave(told(strict=False))
    assert told.after() == {"strict-kex-missing"}


def test_weak_algorithms(told):
    if not SEES_OFFERS:
        pytest.skip("libssh does its own I/O: nobody reads along")
    leave(told(ciphers=("aes128-gcm@openssh.com", "3des-cbc")))
    assert told.after() == {"weak-algorithms"}


def test_none_not_tried(reporting):
    with good(reporting) as client:
        assert client.auth_password("no-none", "secret")
        leave(client)
    assert remarks(of_user(reporting, "no-none")[0]) == {"none-not-tried"}


@pytest.mark.parametrize("count", [5, 6])
def test_many_keys(serve, count):
    server = serve(options={"report-file": "reports", "auth-methods": "password"})
    with good(server) as client:
        client.auth("keys", "none")
        blob = crypto.ed25519_blob(Ed25519PrivateKey.generate())
        for _ in range(count):
            client.auth("keys", "publickey", boolean(False) + string("ssh-ed25519") + string(blob))
        assert client.auth_password("keys", "secret")
        leave(client)
    (report,) = of_user(server, "keys")
    assert remarks(report) == ({"many-keys"} if count == 6 else set())
    assert report["login"]["attempts"] == count + 2


def test_early_rekey(told):
    client = told()
    client.shell()
    client.rekey()
    leave(client)
    assert told.after() == {"early-rekey"}


def test_a_rekey_in_its_time(told):
    client = told()
    channel = client.shell()
    data = pattern(700_000)
    assert client.echo(channel, data) == data  # 1.4 MB, both ways
    client.rekey()
    channel.finish()
    leave(client)
    assert told.after() == set()


def sealed(client, payload):
    """The bytes of one packet, not sent."""
    before = len(client.out)
    client.send_packet(payload)
    packet = bytes(client.out[before:])
    del client.out[before:]
    return packet


@pytest.mark.parametrize("pause", [0.03, 0], ids=["pieces", "whole"])
def test_delayed_pieces(told, pause):
    client = told()
    channel = client.shell()
    for index in range(8):
        packet = sealed(client, byte(CHANNEL_DATA) + u32(channel.remote) + string(b"keystroke"))
        client.sock.setblocking(True)
        if pause:
            client.sock.sendall(packet[:10])
            time.sleep(pause)  # what the test is about
            client.sock.sendall(packet[10:])
        else:
            client.sock.sendall(packet)
        client.sock.setblocking(False)
        client.wait(lambda count=index + 1: channel.received >= 9 * count, what="echo")
    channel.finish()
    leave(client)
    assert told.after() == ({"delayed-pieces"} if pause else set())


def test_window_overrun(told):
    client = told()
    channel = client.shell(window=0, auto=False)
    for _ in range(100):
        channel.send_data(b"x" * 32768)
    client.wait_end()
    assert "window-overrun" in told.after()


@pytest.mark.parametrize("when_empty", [True, False], ids=["empty", "half"])
def test_window_stalls(told, when_empty):
    client = told()
    size = 100_000
    channel = client.open(window=size)
    if when_empty:
        channel.keep = False
        assert channel.execute("chargen 1000000")
        while not channel.closed:
            client.wait(lambda: channel.window <= 0 or channel.closed, what="data")
            if not channel.closed:
                channel.adjust(size - channel.window)
    else:  # with no more under way than leaves half of it, however slow this client is
        assert channel.execute("cat")
        for _ in range(20):
            assert client.echo(channel, pattern(50_000)) == pattern(50_000)
            channel.adjust(size - channel.window)
    channel.send_close()
    leave(client)
    assert ("window-stalls" in told.after()) == when_empty


@pytest.mark.parametrize("window", [20_000, 200_000])
def test_small_window(told, window):
    client = told()
    channel = client.open(window=window)
    channel.auto_window = window
    assert channel.execute("chargen 500000")
    client.wait(lambda: channel.closed, what="all of it")
    channel.send_close()
    leave(client)
    assert ("small-window" in told.after()) == (window == 20_000)


@pytest.mark.parametrize("size", [500, 16_000])
def test_small_packets(told, size):
    client = told()
    channel = client.open()
    assert channel.execute("discard")
    channel.packet_limit = size
    channel.feed(pattern(4_000_000), eof=True)
    client.wait(lambda: channel.closed, 60, "CLOSE")
    channel.send_close()
    leave(client)
    assert told.after() == ({"small-packets"} if size == 500 else set())


def test_data_after_eof(told):
    client = told()
    channel = client.open()
    channel.send_eof()
    channel.send_data(b"one more thing")
    channel.shell(wait=False)
    client.wait(lambda: channel.closed, what="CLOSE")
    channel.send_close()
    leave(client)
    assert "data-after-eof" in told.after()


@pytest.mark.parametrize("eof", [False, True], ids=["without", "with"])
def test_close_without_eof(told, eof):
    client = told()
    channel = client.shell()
    if eof:
        channel.send_eof()
    channel.send_close()
    client.wait(lambda: channel.closed, what="CLOSE")
    leave(client)
    assert told.after() == (set() if eof else {"close-without-eof"})


def test_close_unanswered(told):
    client = told()
    channel = client.shell()
    channel.send_eof()
    client.wait(lambda: channel.closed, what="CLOSE")
    time.sleep(2.1)  # a client has two seconds
    leave(client)
    assert told.after() == {"close-unanswered"}


def test_late_rekey(serve):
    """More than a GiB under one key: the server's own limit is the cipher's, and OpenSSH's as well."""
    server = serve(options={"report-file": "reports", "rekey-bytes": "off"})
    command = " ".join(
        clients.openssh(server, "discard", user="late", options=["Ciphers=aes128-gcm@openssh.com", "RekeyLimit=8G"])
    )
    result = clients.run(server, ["sh", "-c", f"head -c 1100M /dev/zero | {command}"])
    assert result.returncode == 0, result.stderr
    (report,) = of_user(server, "late")
    assert "late-rekey" in remarks(report) and report["keys"]["re_exchanges"] == 0


def test_a_report_asked_for_has_its_remarks(reporting, dial):
    client = dial(reporting, strict=False)
    channel = client.open()
    assert channel.execute("report")
    channel.finish()
    assert not SEES_OFFERS or "strict-kex-missing" in remarks(json.loads(channel.data))
