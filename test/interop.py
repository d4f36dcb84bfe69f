"""The SSH clients and libraries that this project is tried with, each behind one command line.

For test/system/test_interop.py, which tries some of them in every run, and for scripts/clients, which tries them all. The
libraries' clients lie in test/clients/, a screenful each. What is not installed, and what a client cannot do, is raised
by name.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import clients
import harness

HERE = harness.ROOT / "test" / "clients"
CANNOT = 77
LOGINS = ["none", "password", "publickey", "keyboard-interactive"]
CIPHERS = [
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
]


class NotInstalled(Exception):
    """What is missing on this machine."""


class Cannot(Exception):
    """What the client has no way to do."""


@dataclass
class Client:
    """One kind of client, ready to run."""

    name: str
    program: object  # the words that begin its command line, or (for a tool with a command line of its own) a function
    package: str = ""  # Debian's, for its version
    environment: dict = field(default_factory=dict)
    algorithms: str = "wide"  # the narrowest set of the server's with which it gets in
    key: str = "id_ecdsa"  # the type that it can log in with

    def version(self):
        if self.package.startswith("npm:"):
            return self.package.rpartition("@")[2]
        shown = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", self.package], capture_output=True, text=True
        ).stdout
        return shown or "unknown"

    def words(self, server, keys, login="none", cipher="", rekey=0):
        """The command line that echoes standard input through `cat` on the server."""
        key = keys / self.key
        if callable(self.program):
            words = self.program(server, key, login, cipher, rekey)
            if words is None:
                raise Cannot(f"{self.name} cannot {login} {cipher} {'re-key' if rekey else ''}")
            return words
        host, port = server.address
        return [*self.program, host, str(port), login, cipher, str(key), str(rekey)]

    def surroundings(self, server, login="none"):
        """Its environment; where a tool asks for a password, a program that answers."""
        more = dict(self.environment)
        if callable(self.program) and login in ("password", "keyboard-interactive"):
            script = server.directory / "askpass"
            if not script.exists():
                script.write_text("#!/bin/sh\necho secret\n")
                script.chmod(0o755)
            more |= {"SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
            more |= {"DROPBEAR_PASSWORD": "secret"}
        return clients.environment(server, **more)

    def run(self, server, data, keys, login="none", cipher="", rekey=0, timeout=60):
        words = self.words(server, keys, login, cipher, rekey)
        result = clients.run(server, words, data, timeout, **self.surroundings(server, login))
        if result.returncode == CANNOT:
            raise Cannot(f"{self.name} cannot {login} {cipher} {'re-key' if rekey else ''}")
        return result


# -- tools with a command line of their own


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


def lsh(server, key, login, cipher, rekey):
    """(Keys want a form of their own, a password a terminal; of the ciphers it has none that is tried.)"""
    if rekey or cipher or login != "none":
        return None
    home = Path(clients.environment(server)["HOME"])
    seed = home / ".lsh" / "yarrow-seed-file"
    if not seed.exists():
        seed.parent.mkdir(exist_ok=True)
        subprocess.run(["lsh-make-seed", "--sloppy", "-o", str(seed)], check=True, capture_output=True, input=b"")
    host, port = server.address
    command = [
        "lsh",
        "-q",
        "--sloppy-host-authentication",
        f"--capture-to={home}/captured",
        "--no-pty",
        "-p",
        str(port),
    ]
    command += ["--no-publickey", "-l", clients.USER]
    return [*command, host, "cat"]


# -- how each becomes ready


def build(directory, command, **needs):
    made = subprocess.run(
        command, capture_output=True, text=True, timeout=100, cwd=directory, env={**os.environ, **needs}
    )
    assert made.returncode == 0, made.stderr


def need(there, what):
    """`there`: a path, or a command that succeeds where it is installed."""
    if isinstance(there, str):
        found = Path(there).exists() if there.startswith("/") else shutil.which(there) is not None
    else:
        found = shutil.which(there[0]) is not None and subprocess.run(there, capture_output=True).returncode == 0
    if not found:
        raise NotInstalled(f"{what} is not installed")


def tool(name, program, package, function, **more):
    need(program, package)
    return Client(name, function, package, **more)


def python(name, module):
    need([sys.executable, "-W", "ignore", "-c", f"import {module}"], module)
    package = {"conch": "python3-twisted"}.get(name, f"python3-{name}")
    return Client(name, [sys.executable, "-W", "ignore", str(HERE / f"{name}_client.py")], package)


def compiled(name, library, package, directory, **more):
    need(["pkg-config", "--exists", name], package)
    build(directory, ["cc", "-O1", "-o", f"{name}_client", str(HERE / f"{name}_client.c"), f"-l{library}"])
    return Client(name, [str(directory / f"{name}_client")], package, **more)


def net_ssh():
    need(["ruby", "-e", "require 'net/ssh'"], "ruby-net-ssh")
    return Client("net-ssh", ["ruby", "-W0", str(HERE / "net_ssh_client.rb")], "ruby-net-ssh")


def phpseclib(version, package, **more):
    need("php", "php-cli")
    need(f"/usr/share/php/{package}", f"php-{package}")
    environment = {"PHPSECLIB": package}
    return Client(
        f"phpseclib{version}", ["php", str(HERE / "phpseclib_client.php")], f"php-{package}", environment, **more
    )


NODE_SSH2 = "ssh2@1.17.0"


def node(directory):
    need("node", "nodejs")
    places = [
        os.environ.get("NODE_PATH", ""),
        "/usr/share/nodejs",
        "/usr/lib/node_modules",
        f"{directory}/node_modules",
    ]
    environment = {"NODE_PATH": ":".join(filter(None, places))}
    there = ["node", "-e", "require('ssh2')"]
    if subprocess.run(there, capture_output=True, env={**os.environ, **environment}).returncode != 0:
        need("npm", "npm")
        install = ["npm", "install", "--silent", "--no-save", "--omit=optional", "--prefix", str(directory), NODE_SSH2]
        subprocess.run(install, capture_output=True, timeout=60)
        if subprocess.run(there, capture_output=True, env={**os.environ, **environment}).returncode != 0:
            raise NotInstalled("the npm package ssh2 is not installed")
    return Client("node", ["node", str(HERE / "ssh2_client.js")], f"npm:{NODE_SSH2}", environment)


def go(directory):
    need("go", "golang-go")
    need("/usr/share/gocode/src/golang.org/x/crypto/ssh", "golang-golang-x-crypto-dev")
    needs = {"GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOFLAGS": "-p=2"}
    command = ["go", "build", "-o", "go_client", str(HERE / "go_client.go")]
    build(directory, command, GOCACHE=str(directory / "cache"), **needs)
    return Client("go", [str(directory / "go_client")], "golang-golang-x-crypto-dev")


def java(name, main, jar, package, directory, library=None, **more):
    need("javac", "default-jdk-headless")
    need(jar, package)
    source = (HERE / f"{main}.java").read_text()
    (directory / f"{main}.java").write_text(source.replace("LIBRARY", library or "LIBRARY"))
    build(directory, ["javac", "-cp", jar, "-d", str(directory), str(directory / f"{main}.java")])
    program = ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", f"{jar}:{directory}", main]
    return Client(name, program, package, **more)


def erlang():
    there = "halt(case code:lib_dir(ssh) of {error, _} -> 1; _ -> 0 end)."
    need(["erl", "-noshell", "-eval", there], "erlang-ssh")
    return Client("erlang", ["escript", str(HERE / "erlang_client.escript")], "erlang-ssh")


def guile():
    need(["guile", "-c", "(use-modules (ssh session))"], "guile-ssh")
    return Client("guile", ["guile", "--no-auto-compile", str(HERE / "guile_client.scm")], "guile-ssh", key="id_rsa")


KINDS = {
    "openssh": lambda directory: tool("openssh", "ssh", "openssh-client", openssh),
    "dbclient": lambda directory: tool("dbclient", "dbclient", "dropbear-bin", dbclient),
    "plink": lambda directory: tool("plink", "plink", "putty-tools", plink),
    "lsh": lambda directory: tool("lsh", "lsh", "lsh-client", lsh, algorithms="legacy"),
    "libssh": lambda directory: compiled("libssh", "ssh", "libssh-dev", directory, key="id_rsa"),
    "libssh2": lambda directory: compiled("libssh2", "ssh2", "libssh2-1-dev", directory),
    "paramiko": lambda directory: python("paramiko", "paramiko"),
    "asyncssh": lambda directory: python("asyncssh", "asyncssh"),
    "conch": lambda directory: python("conch", "twisted.conch.ssh.userauth"),
    "net-ssh": lambda directory: net_ssh(),
    "phpseclib2": lambda directory: phpseclib(2, "phpseclib", key="id_rsa"),
    "phpseclib3": lambda directory: phpseclib(3, "phpseclib3"),
    "node": node,
    "go": go,
    "jsch": lambda directory: java("jsch", "Jsch", "/usr/share/java/jsch.jar", "libjsch-java", directory),
    "ganymed": lambda directory: java(
        "ganymed",
        "Ganymed",
        "/usr/share/java/ganymed-ssh2.jar",
        "libganymed-ssh2-java",
        directory,
        "ch.ethz.ssh2",
        algorithms="legacy",
    ),
    "trilead": lambda directory: java(
        "trilead",
        "Ganymed",
        "/usr/share/java/trilead-ssh2.jar",
        "libtrilead-ssh2-java",
        directory,
        "com.trilead.ssh2",
        algorithms="legacy",
    ),
    "erlang": lambda directory: erlang(),
    "guile": lambda directory: guile(),
}


def make_keys(directory):
    """A key of each type that a client may want, and the file that lets them in."""
    for name in ("id_ecdsa", "id_rsa"):
        make = ["ssh-keygen", "-q", "-t", name[3:], "-m", "PEM", "-N", "", "-f", str(directory / name)]
        subprocess.run(make, check=True)
    public = "".join((directory / f"{name}.pub").read_text() for name in ("id_ecdsa", "id_rsa"))
    (directory / "authorized_keys").write_text(public)
    return directory
