"""Where client and server have nothing in common, it is said: in the log and to the client, whoever sends how much when."""

import os

import pytest

import harness
import rawssh
from clients import assert_echo, openssh, run

pytestmark = pytest.mark.skipif(
    "batch-io=no" in os.environ.get("SSHECHOD_OPTIONS", ""), reason="libssh reads the lists before we see them"
)

CASES = {
    "kex": ({"kex": ["diffie-hellman-group1-sha1"]}, "kex", "algorithms legacy"),
    "host-key": ({"host_keys": ["ecdsa-sha2-nistp256"]}, "host-key-algorithms", "algorithms wide"),
    "cipher": ({"ciphers": ["aes128-cbc"]}, "ciphers", "algorithms legacy"),
    "mac": ({"macs": ["hmac-sha1"], "ciphers": ["aes128-ctr"]}, "macs", "algorithms legacy"),
    "compression": ({"compression": ["lzma"]}, "compression", "no wider set would help"),
}


@pytest.fixture(scope="module")
def server():
    with harness.serve(options={"algorithms": "modern"}) as server:
        yield server


def listener(server, **offer):
    """A client that only listens to what the server says about its lists."""
    client = rawssh.Client(server.address, handshake=False, **offer)
    client.exchanging = True
    client.take_kexinit = lambda payload: None
    return client


def told(client):
    """The text of the server's DISCONNECT."""
    end = client.wait_end()
    client.close()
    assert end, "the connection ended without a word"
    return end[1]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("how", ["together", "apart", "bit by bit"])
def test_both_sides_learn_what_is_missing(server, case, how):
    offer, key, help_text = CASES[case]
    before = len(server.lines("close"))
    client = listener(server, **offer)
    client.send_banner()
    if how == "apart":
        client.wait(lambda: client.server_banner, what="version line")
    client.send_packet(client.kexinit())
    if how == "bit by bit":
        while client.out:
            client.sock.send(client.out[:40])
            del client.out[:40]
            client.idle(0.002)
    text = told(client)
    theirs = next(iter(offer.values()))[0]
    assert f"nothing in common for {key}" in text and theirs in text and help_text in text
    assert rawssh.KEXINIT in client.messages, "the client was not told our lists"
    line = server.wait_line("close", count=before + 1)
    assert line["reason"] == "protocol" and key in line["error"] and theirs in line["error"]


def test_openssh_says_what_is_missing(server):
    command = [
        word.replace("LogLevel=ERROR", "LogLevel=INFO") for word in openssh(server, options=["Ciphers=aes128-cbc"])
    ]
    result = run(server, command)
    assert result.returncode == 255 and b"no matching cipher" in result.stderr


def test_a_mac_is_not_asked_for_where_the_cipher_brings_its_own(server):
    assert_echo(run(server, openssh(server, options=["MACs=hmac-md5", "Ciphers=aes128-gcm@openssh.com"]), b"x"), b"x")


def test_long_and_strange_lists_are_shown_harmlessly(server):
    strange = ["\x1b[31m" + "x" * 300] * 20
    client = listener(server, ciphers=strange)
    client.send_banner()
    client.send_packet(client.kexinit())
    text = told(client)
    assert "\x1b" not in text and len(text) < 600
