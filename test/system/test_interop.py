"""A dozen SSH clients: each echoes 1 MiB exactly, logs in every way it has, uses every cipher it has, bears re-keys.

The libraries' clients are in test/clients/, a screenful each; one that is not installed is skipped by name.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import clients
import harness
from clients import assert_echo
from passwords import hashed
from rawssh import pattern

HERE = harness.ROOT / "test" / "clients"
CANNOT = 77
MEBIBYTE = pattern(1 << 20)
LESS = MEBIBYTE[:200_000]
LOGINS = ["none", "password", "publickey", "keyboard-interactive"]
CIPHERS = [
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
]


class Interop:
    """One kind of client, ready to run."""

    def __init__(self, name, command, environment=None, without=()):
        self.name, self.command, self.environment, self.without = name, command, environment or {}, without

    def run(self, server, data, key, login="none", cipher="", rekey=0):
        host, port = server.address
        command = [*self.command, host, str(port), login, cipher, str(key), str(rekey)]
        result = subprocess.run(
            command, input=data, capture_output=True, timeout=60, env=clients.environment(server, **self.environment)
        )
        if result.returncode == CANNOT:
            pytest.skip(f"{self.name} cannot {login} {cipher} {'re-key' if rekey else ''}")
        return result


class Tool(Interop):
    """A client with a command line of its own."""

    def run(self, server, data, key, login="none", cipher="", rekey=0):
        command = self.command(server, key, login, cipher, rekey)
        if command is None:
            pytest.skip(f"{self.name} cannot {login} {cipher} {'re-key' if rekey else ''}")
        environment = dict(self.environment)
        if login in ("password", "keyboard-interactive"):
            script = server.directory / "askpass"
            script.write_text("#!/bin/sh\necho secret\n")
            script.chmod(0o755)
            environment |= {"SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
            environment |= {"DROPBEAR_PASSWORD": "secret"}
        return clients.run(server, command, data, **environment)


def openssh(server, key, login, cipher, rekey):
    options = [f"PreferredAuthentications={login}", "NumberOfPasswordPrompts=1"]
    options += [f"Ciphers={cipher}"] if cipher else []
    options += [f"RekeyLimit={rekey}"] if rekey else []
    return clients.openssh(server, "cat", options=options, identity=str(key) if login == "publickey" else "none")


def dbclient(server, key, login, cipher, rekey):
    """(2022.83 has no AES-GCM and no aes192, and wants keys in a form of its own.)"""
    if rekey or login == "publickey" or "gcm" in cipher or "192" in cipher:
        return None
    command = clients.dbclient(server, "cat")
    return [command[0], "-c", cipher, *command[1:]] if cipher else command


def plink(server, key, login, cipher, rekey):
    if rekey or cipher or login in ("publickey", "keyboard-interactive"):
        return None
    command = clients.plink(server, "cat")
    return [command[0], "-pw", "secret", *command[1:]] if login == "password" else command


def build(directory, command, needs):
    made = subprocess.run(
        command, capture_output=True, text=True, timeout=100, cwd=directory, env={**os.environ, **needs}
    )
    assert made.returncode == 0, made.stderr
    return directory


def have(*programs):
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def python(name, module):
    if subprocess.run([sys.executable, "-W", "ignore", "-c", f"import {module}"], capture_output=True).returncode != 0:
        pytest.skip(f"{module} is not installed")
    return Interop(name, [sys.executable, "-W", "ignore", str(HERE / f"{name}_client.py")])


def libssh2(directory):
    have("cc", "pkg-config")
    if subprocess.run(["pkg-config", "--exists", "libssh2"]).returncode != 0:
        pytest.skip("libssh2-1-dev is not installed")
    build(directory, ["cc", "-O1", "-o", "libssh2_client", str(HERE / "libssh2_client.c"), "-lssh2"], {})
    return Interop("libssh2", [str(directory / "libssh2_client")])


def net_ssh(directory):
    have("ruby")
    if subprocess.run(["ruby", "-e", "require 'net/ssh'"], capture_output=True).returncode != 0:
        pytest.skip("ruby-net-ssh is not installed")
    return Interop("net-ssh", ["ruby", "-W0", str(HERE / "net_ssh_client.rb")])


def phpseclib3(directory):
    have("php")
    if not Path("/usr/share/php/phpseclib3").exists():
        pytest.skip("php-phpseclib3 is not installed")
    return Interop("phpseclib3", ["php", str(HERE / "phpseclib3_client.php")])


def node(directory):
    have("node")
    places = [
        os.environ.get("NODE_PATH", ""),
        "/usr/share/nodejs",
        "/usr/lib/node_modules",
        str(directory / "node_modules"),
    ]
    environment = {"NODE_PATH": ":".join(filter(None, places))}
    there = ["node", "-e", "require('ssh2')"]
    if subprocess.run(there, capture_output=True, env={**os.environ, **environment}).returncode != 0:
        have("npm")
        subprocess.run(
            ["npm", "install", "--silent", "--no-save", "--omit=optional", "--prefix", str(directory), "ssh2@1.17.0"],
            capture_output=True,
            timeout=60,
        )
        if subprocess.run(there, capture_output=True, env={**os.environ, **environment}).returncode != 0:
            pytest.skip("the npm package ssh2 is not installed")
    return Interop("node", ["node", str(HERE / "ssh2_client.js")], environment)


def go(directory):
    have("go")
    if not Path("/usr/share/gocode/src/golang.org/x/crypto/ssh").exists():
        pytest.skip("golang-golang-x-crypto-dev is not installed")
    needs = {
        "GOPATH": "/usr/share/gocode",
        "GO111MODULE": "off",
        "GOCACHE": str(directory / "cache"),
        "GOFLAGS": "-p=2",
    }
    build(directory, ["go", "build", "-o", "go_client", str(HERE / "go_client.go")], needs)
    return Interop("go", [str(directory / "go_client")])


def jsch(directory):
    have("java", "javac")
    jar = Path("/usr/share/java/jsch.jar")
    if not jar.exists():
        pytest.skip("libjsch-java is not installed")
    build(directory, ["javac", "-cp", str(jar), "-d", str(directory), str(HERE / "Jsch.java")], {})
    return Interop("jsch", ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", f"{jar}:{directory}", "Jsch"])


def erlang(directory):
    have("escript")
    there = ["erl", "-noshell", "-eval", "halt(case code:lib_dir(ssh) of {error, _} -> 1; _ -> 0 end)."]
    if subprocess.run(there, capture_output=True).returncode != 0:
        pytest.skip("erlang-ssh is not installed")
    return Interop("erlang", ["escript", str(HERE / "erlang_client.escript")])


def tool(name, program, command):
    have(program)
    return Tool(name, command)


KINDS = {
    "openssh": lambda directory: tool("openssh", "ssh", openssh),
    "dbclient": lambda directory: tool("dbclient", "dbclient", dbclient),
    "plink": lambda directory: tool("plink", "plink", plink),
    "paramiko": lambda directory: python("paramiko", "paramiko"),
    "asyncssh": lambda directory: python("asyncssh", "asyncssh"),
    "conch": lambda directory: python("conch", "twisted.conch.ssh.userauth"),
    "libssh2": libssh2,
    "net-ssh": net_ssh,
    "phpseclib3": phpseclib3,
    "node": node,
    "go": go,
    "jsch": jsch,
    "erlang": erlang,
}


@pytest.fixture(scope="module", params=KINDS)
def client(request, tmp_path_factory):
    return KINDS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "id_ecdsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-m", "PEM", "-N", "", "-f", str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def servers(tmp_path_factory, key):
    """One server as it comes on loopback; one for each login method alone."""
    directory = tmp_path_factory.mktemp("passwords")
    (directory / "passwords").write_text(f"tester:{hashed('secret')}\n")
    (directory / "keys").write_text(Path(f"{key}.pub").read_text())
    files = {"password-file": directory / "passwords", "authorized-keys": directory / "keys"}
    running = {}
    for login in LOGINS:
        running[login] = harness.serve(options={"algorithms": "wide", "auth-methods": login, **files})
    running["rekey"] = harness.serve(options={"algorithms": "wide", "rekey-bytes": "200K"})
    started = {name: each.__enter__() for name, each in running.items()}
    yield started
    for each in running.values():
        each.__exit__(None, None, None)


@pytest.mark.parametrize("login", LOGINS)
def test_login_and_a_mebibyte(client, servers, key, login):
    """With end of input, where the client has one, while the echo is still under way."""
    assert_echo(client.run(servers[login], MEBIBYTE, key, login), MEBIBYTE)


@pytest.mark.parametrize("cipher", CIPHERS)
def test_cipher(client, servers, key, cipher):
    assert_echo(client.run(servers["none"], LESS, key, cipher=cipher), LESS)


def test_the_server_rekeys_in_the_middle(client, servers, key):
    if client.name == "asyncssh":
        pytest.skip("asyncssh sends data behind its own KEXINIT (RFC 4253, 7.1), which libssh does not bear")
    assert_echo(client.run(servers["rekey"], MEBIBYTE, key), MEBIBYTE)
    assert int(servers["rekey"].wait_line("close", count=len(servers["rekey"].lines("accept")))["rekeys"]) > 0


def test_the_client_rekeys_in_the_middle(client, servers, key):
    if client.name == "asyncssh":
        pytest.skip("asyncssh sends data behind its own KEXINIT (RFC 4253, 7.1), which libssh does not bear")
    result = client.run(servers["none"], MEBIBYTE, key, rekey=300_000)
    for _ in range(
        3
    ):  # paramiko answers a CLOSE from the thread that would finish its own re-key, and waits for itself
        if client.name != "paramiko" or b"Key-exchange timed out" not in result.stderr:
            break
        result = client.run(servers["none"], MEBIBYTE, key, rekey=300_000)
    assert_echo(result, MEBIBYTE)
