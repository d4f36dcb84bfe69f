"""The two rooms below libssh (transport.h, crypto_shortcuts.h): told at start, and serving what they say."""

import pytest

from sshload_helpers import load

HANDSHAKES = 20


@pytest.mark.parametrize("wanted", ["yes", "no"])
def test_start_line_says_what_is_in_force(serve, wanted):
    server = serve(options={"batch-io": wanted, "crypto-shortcuts": wanted})
    line = server.wait_line("start")
    assert line["level"] == "info"
    told = "true" if wanted == "yes" else "false"
    assert (line["batch_io"], line["crypto_shortcuts"]) == (told, told)


def served(server):
    server.stop()
    line = server.wait_line("crypto_served")
    return {key: int(line[key]) for key in ("draws", "draws_refused", "host_keys", "ephemeral_keys")}


@pytest.mark.parametrize("batch", ["yes", "no"])
def test_handshakes_are_served(serve, tmp_path, batch):
    """The host key is built once, and no key of an exchange twice; from 0.12 on libssh sees to it by itself."""
    server = serve(options={"log-level": "debug", "batch-io": batch, "crypto-shortcuts": "yes"})
    version = tuple(int(part) for part in server.wait_line("start")["libssh"].split("/")[0].split(".")[:2])
    outcome = load(tmp_path, "-m", "connect", "-n", HANDSHAKES, "-c", 4, target=server)
    assert outcome.summary["ok"] == HANDSHAKES
    counts = served(server)
    assert counts["draws"] >= HANDSHAKES * 5
    assert counts["draws_refused"] == 0
    if version < (0, 12):
        assert counts["host_keys"] == HANDSHAKES - 1
        assert counts["ephemeral_keys"] == HANDSHAKES


def test_nothing_is_served_when_switched_off(serve, tmp_path):
    server = serve(options={"log-level": "debug", "crypto-shortcuts": "no"})
    outcome = load(tmp_path, "-m", "connect", "-n", HANDSHAKES, "--no-crypto-shortcuts", target=server)
    assert outcome.summary["ok"] == HANDSHAKES
    assert set(served(server).values()) == {0}


def test_every_kind_of_host_key_still_signs(serve, tmp_path):
    for kind in ("ed25519", "ecdsa", "rsa"):
        server = serve(options={"host-key-types": kind, "crypto-shortcuts": "yes"})
        outcome = load(tmp_path, "-m", "connect", "-n", 4, target=server)
        assert outcome.summary["ok"] == 4, kind
