"""Key exchange, host keys, ciphers, MACs and compression: each one chosen, used and named in the log."""

import re
import subprocess

import pytest

import clients
import harness
import rawssh
from clients import assert_echo, openssh, run
from rawssh import pattern
from sshload_helpers import clean, load

KEX = [
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
]
CIPHERS = [
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
]
MACS = ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"]
HOST_KEYS = {"ed25519": ["ssh-ed25519"], "rsa": ["rsa-sha2-512", "rsa-sha2-256"], "ecdsa": ["ecdsa-sha2-nistp256"]}


@pytest.fixture
def everything(serve):
    """A server that offers all there is."""
    return serve(
        options={
            "kex": ",".join(KEX),
            "ciphers": ",".join(CIPHERS),
            "macs": ",".join(MACS),
            "compression": "none,zlib@openssh.com,zlib",
            "host-key-types": "ed25519,rsa,ecdsa",
        }
    )


def negotiated(server, connection):
    """The log's text about a connection, counted from 1."""
    return " ".join(server.wait_line("close", conn=connection).values())


def test_every_key_exchange(everything):
    for number, kex in enumerate(KEX, 1):
        assert_echo(
            run(everything, openssh(everything, options=[f"KexAlgorithms={kex}"]), pattern(10_000)), pattern(10_000)
        )
        assert kex in negotiated(everything, number)


def test_both_programs_have_every_key_exchange_of_this_libssh(serve, tmp_path):
    """Post-quantum ones too, from libssh 0.12 on; OpenSSH's client is asked for those that it has."""
    checked = harness.run_sshechod("--config", "/dev/null", "-o", "algorithms=wide", "--check").stdout
    (names,) = [line.split()[1].split(",") for line in checked.splitlines() if line.startswith("kex ")]
    if harness.libssh_version() >= (0, 12):
        assert {"mlkem768x25519-sha256", "mlkem768nistp256-sha256", "sntrup761x25519-sha512"} <= set(names), names
    server = serve(options={"algorithms": "wide"})
    theirs = subprocess.run(["ssh", "-Q", "kex"], capture_output=True, text=True).stdout.split()
    for name in names:
        outcome = clean(load(tmp_path, "-n", 3, "-c", 1, "--kex", name, target=server))
        assert outcome.result["negotiated"]["kex"] == name and name in outcome.report, outcome
        if name in theirs and name not in KEX:
            assert_echo(run(server, openssh(server, options=[f"KexAlgorithms={name}"]), b"hello"), b"hello")


def test_every_cipher(everything):
    data = pattern(2_000_000)
    for number, cipher in enumerate(CIPHERS, 1):
        assert_echo(run(everything, openssh(everything, options=[f"Ciphers={cipher}"]), data), data)
        assert cipher in negotiated(everything, number)


def test_every_mac(everything):
    data = pattern(1_000_000)
    for number, mac in enumerate(MACS, 1):
        assert_echo(run(everything, openssh(everything, options=["Ciphers=aes128-ctr", f"MACs={mac}"]), data), data)
        assert mac in negotiated(everything, number)


def test_every_host_key(everything):
    for algorithm in (name for each in HOST_KEYS.values() for name in each):
        result = run(everything, openssh(everything, options=[f"HostKeyAlgorithms={algorithm}"]), b"hello")
        assert_echo(result, b"hello")


def test_every_cipher_with_rekeys(everything):
    for cipher in CIPHERS:
        for mac in MACS if "ctr" in cipher else MACS[:1]:
            client = rawssh.Client(everything.address, ciphers=[cipher], macs=[mac]) if cipher != "aes192-ctr" else None
            if client is None:
                continue
            channel = client.login().shell(window=60_000)
            channel.feed(pattern(600_000))
            for _ in range(3):
                received = channel.received
                client.wait(lambda: channel.received > received, what="progress")
                client.rekey()
            client.wait(lambda: channel.received == 600_000, what="the whole echo")
            assert channel.data == pattern(600_000)
            client.close()


@pytest.mark.parametrize("method", ["zlib@openssh.com", "zlib"])
def test_compression(everything, method):
    data = b"all work and no play " * 100_000 + pattern(300_000)
    client = rawssh.Client(everything.address, compression=[method]).login()
    channel = client.shell()
    assert client.echo(channel, data) == data
    assert client.bytes_in < len(data) * 0.7, "nothing was compressed"
    client.rekey()
    assert client.echo(channel, pattern(10_000)) == pattern(10_000)
    client.close()


def test_openssh_compression(everything):
    data = pattern(1_000_000) + bytes(1_000_000)
    assert_echo(run(everything, openssh(everything, options=["Compression=yes"]), data), data)
    assert_echo(run(everything, openssh(everything, options=["Compression=yes", "RekeyLimit=200K"]), data), data)


def test_compression_is_off_by_default(server):
    lists = offered(server)
    assert lists[6] == lists[7] == ["none"]


def offered(server):
    client = rawssh.Client(server.address)
    lists = client.kexinit_lists(client.peer_kexinit)
    client.close()
    return lists


@pytest.mark.parametrize("options", [{"algorithms": "modern"}, {"profile": "exposed"}], ids=["modern", "exposed"])
def test_modern_holds_nothing_weak(serve, options):
    lists = offered(serve(options=options))
    kex = [name for name in lists[0] if not name.startswith(("ext-info", "kex-strict"))]
    assert kex and all(name.startswith(("curve25519", "sntrup", "mlkem")) for name in kex), kex
    assert lists[1] == ["ssh-ed25519"]
    assert_nothing_broken(lists)


def assert_nothing_broken(lists):
    offers = [name for each in lists[:6] for name in each]
    assert not [name for name in offers if re.search(r"cbc|3des|arcfour|sha1|md5|^ssh-rsa$|^ssh-dss$", name)], offers
    assert "kex-strict-s-v00@openssh.com" in lists[0], "strict key exchange is not offered"


def test_wide_is_the_default_on_loopback(serve):
    """Host keys of all three types; the fast algorithms first."""
    lists = offered(serve(options={"algorithms": "wide"}))
    assert_nothing_broken(lists)
    assert lists[0][0] == "curve25519-sha256" and lists[1][0] == "ssh-ed25519"
    assert {"ecdh-sha2-nistp256", "diffie-hellman-group14-sha256"} <= set(lists[0])
    assert {"ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"} <= set(lists[1])
    checked = harness.run_sshechod("--check").stdout
    assert "algorithms wide" in checked
    assert "algorithms modern" in harness.run_sshechod("--check", "-o", "profile=exposed").stdout


def test_legacy_offers_what_there_is(serve):
    server = serve(options={"algorithms": "legacy"})
    lists = offered(server)
    assert lists[0][0] == "curve25519-sha256" and lists[1][0] == "ssh-ed25519"
    assert "diffie-hellman-group14-sha1" in lists[0] and "ssh-rsa" in lists[1]
    assert "aes128-cbc" in lists[2] and "hmac-sha1" in lists[4]
    old = [
        "KexAlgorithms=diffie-hellman-group14-sha1",
        "HostKeyAlgorithms=ssh-rsa",
        "Ciphers=aes128-cbc",
        "MACs=hmac-sha1",
    ]
    assert_echo(run(server, openssh(server, options=old), pattern(100_000)), pattern(100_000))


def test_a_list_that_is_written_stands_beside_the_set(serve):
    lists = offered(serve(options={"algorithms": "wide", "ciphers": "aes128-gcm@openssh.com"}))
    assert lists[2] == ["aes128-gcm@openssh.com"] and "ecdh-sha2-nistp256" in lists[0]


def test_the_configured_order_is_offered(serve):
    server = serve(options={"ciphers": "aes256-ctr,aes128-ctr", "macs": "hmac-sha2-512", "kex": "ecdh-sha2-nistp256"})
    lists = offered_by(server, kex=["ecdh-sha2-nistp256"], ciphers=["aes128-ctr"], macs=["hmac-sha2-512"])
    assert lists[2] == lists[3] == ["aes256-ctr", "aes128-ctr"]
    assert lists[4] == ["hmac-sha2-512"]
    assert lists[0][0] == "ecdh-sha2-nistp256"


def offered_by(server, **offer):
    client = rawssh.Client(server.address, **offer)
    lists = client.kexinit_lists(client.peer_kexinit)
    client.close()
    return lists


@pytest.mark.parametrize(
    "offer",
    [
        {"kex": ["diffie-hellman-group1-sha1"]},
        {"ciphers": ["aes128-cbc"]},
        {"macs": ["hmac-md5"], "ciphers": ["aes128-ctr"]},
        {"compression": ["lzma"]},
    ],
    ids=lambda offer: next(iter(offer)),
)
def test_nothing_in_common_ends_the_connection(server, offer):
    client = rawssh.Client(server.address, handshake=False, **offer)
    client.send_banner()
    client.send_packet(client.kexinit())
    client.exchanging = True
    client.take_kexinit = lambda payload: None
    client.wait_end()
    client.close()
    assert server.wait_line("close")["reason"] == "protocol"


def test_host_key_files(serve, tmp_path):
    prints = {}
    for kind in HOST_KEYS:
        path = tmp_path / kind
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)], check=True)
        prints[kind] = subprocess.run(["ssh-keygen", "-lf", str(path)], capture_output=True, text=True).stdout.split()[
            1
        ]
    server = serve(options={"host-key": [tmp_path / kind for kind in HOST_KEYS]})
    for kind, algorithms in HOST_KEYS.items():
        client = rawssh.Client(server.address, host_keys=algorithms)
        client.close()
    assert clients.fingerprint(server) == prints["ed25519"]
    log = server.log()
    assert all(each in log for each in prints.values()), "a fingerprint is missing in the log"


def test_throw_away_keys_are_named_in_the_log(serve):
    server = serve(options={"host-key-types": "ed25519,ecdsa,rsa"})
    assert clients.fingerprint(server) in server.log()
    for algorithms in HOST_KEYS.values():
        client = rawssh.Client(server.address, host_keys=algorithms)
        client.close()


def test_workers_share_their_host_key(serve):
    server = serve(workers=3)
    assert len({clients.fingerprint(server) for _ in range(20)}) == 1


def test_host_key_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    path.chmod(0o644)
    result = harness.run_sshechod("--check", "-o", f"host-key={path}")
    assert result.returncode == 2
    assert str(path) in result.stderr and result.stderr.count("\n") == 1
    path.chmod(0o600)
    assert harness.run_sshechod("--check", "-o", f"host-key={path}").returncode == 0


@pytest.mark.parametrize(
    "content", [b"", b"not a key\n", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"], ids=["empty", "text", "cut"]
)
def test_bad_host_key_file(tmp_path, content):
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    result = harness.run_sshechod("--check", "-o", f"host-key={path}")
    assert result.returncode == 2
    assert str(path) in result.stderr and result.stderr.count("\n") == 1


def test_encrypted_host_key_is_refused_without_a_prompt(tmp_path):
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(path)], check=True)
    result = harness.run_sshechod("--check", "-o", f"host-key={path}", timeout=10)
    assert result.returncode == 2 and str(path) in result.stderr
