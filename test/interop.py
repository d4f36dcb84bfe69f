"""The SSH clients and libraries that this project is tried with, each behind one command line.

For test/system/test_interop.py, which tries some of them in every run, and for scripts/clients, which tries them all. The
libraries' clients lie in test/clients/, a screenful each. What is not installed, and what a client cannot do, is raised
by name."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import clients
import harness

HERE = harness.ROOT / "test" / "clients"
NPM = harness.ROOT / "test" / "npm"
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

# Faults that are known, by client and task: docs/clients.md tells each story.
ASYNCSSH = "its fault: sends data behind its own KEXINIT (RFC 4253, 7.1), which libssh does not bear"
WHOSE = {
    ("asyncssh", "re-key by the client"): ASYNCSSH,
    (
        "phpseclib2",
        "re-key by the server",
    ): "its fault: looks for strict key exchange in every KEXINIT, not the first alone",
}
# Re-keys of the server's wait until it has nothing to send, which is when it has filled its window (quiet_rekey.h).
WAITED_FOR = ["asyncssh"]


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

    @property
    def is_tool(self):
        """It has a command line of its own, one channel, and reads standard input as it comes."""
        return callable(self.program)

    def what_it_cannot(self, login, cipher, rekey, channels=1, ping=0):
        wanted = {f"cipher {cipher}": cipher, "key re-exchange of its own": rekey, "several channels": channels > 1}
        wanted |= {"round trips": ping, f"login by {login}": login != "none"}
        return f"no {' and '.join(what for what, asked in wanted.items() if asked) or 'echo'} with it"

    def words(self, server, keys, login="none", cipher="", rekey=0, command="cat"):
        """The command line that echoes standard input through `command` on the server."""
        key = keys / self.key
        if self.is_tool:
            words = self.program(server, key, login, cipher, rekey, command)
            if words is None:
                raise Cannot(self.what_it_cannot(login, cipher, rekey))
            return words
        host, port = server.address
        return [*self.program, host, str(port), login, cipher, str(key), str(rekey)]

    def surroundings(self, server, login="none", command="cat", channels=1, ping=0):
        """Its environment; where a tool asks for a password, a program that answers."""
        more = dict(self.environment)
        if not self.is_tool:
            more |= {"COMMAND": command, "CHANNELS": str(channels)}
            more |= {"PING": str(ping)} if ping else {}
        elif channels > 1 or ping:
            raise Cannot("it has one channel, and no clock")
        elif login in ("password", "keyboard-interactive"):
            script = server.directory / "askpass"
            if not script.exists():
                script.write_text("#!/bin/sh\necho secret\n")
                script.chmod(0o755)
            more |= {"SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
            more |= {"DROPBEAR_PASSWORD": "secret"}
        return clients.environment(server, **more)

    def run(self, server, data, keys, login="none", cipher="", rekey=0, timeout=60, command="cat", **more):
        words = self.words(server, keys, login, cipher, rekey, command)
        result = clients.run(server, words, data, timeout, **self.surroundings(server, login, command, **more))
        if result.returncode == CANNOT:
            raise Cannot(self.what_it_cannot(login, cipher, rekey, **more))
        return result


# -- tools with a command line of their own


def openssh(server, key, login, cipher, rekey, command):
    options = [f"PreferredAuthentications={login}", "NumberOfPasswordPrompts=1"]
    options += [f"Ciphers={cipher}"] if cipher else []
    options += [f"RekeyLimit={rekey}"] if rekey else []
    return clients.openssh(server, command, options=options, identity=str(key) if login == "publickey" else "none")


def converted(key, suffix, *command):
    """The key in a tool's own form, beside it."""
    made = key.with_suffix(suffix)
    if not made.exists():
        need(command[0], command[0])
        subprocess.run([*command, str(made)], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return str(made)


def dbclient(server, key, login, cipher, rekey, command):
    """(2022.83 has no AES-GCM and no aes192.)"""
    if rekey or "gcm" in cipher or "192" in cipher:
        return None
    words = ["-c", cipher] if cipher else []
    if login == "publickey":
        words += ["-i", converted(key, ".dropbear", "dropbearconvert", "openssh", "dropbear", str(key))]
    ready = clients.dbclient(server, command)
    return [ready[0], *words, *ready[1:]]


def plink(server, key, login, cipher, rekey, command):
    """(Ciphers and re-keys are settings of a saved session.)"""
    if rekey or cipher:
        return None
    words = ["-pw", "secret"] if login in ("password", "keyboard-interactive") else []
    if login == "publickey":
        words += ["-i", converted(key, ".ppk", "puttygen", str(key), "-O", "private", "-o")]
    ready = clients.plink(server, command)
    return [ready[0], *words, *ready[1:]]


def lsh(server, key, login, cipher, rekey, command_line):
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
    return [*command, host, command_line]


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


def php_ssh2():
    need(["php", "-r", "exit(extension_loaded('ssh2') ? 0 : 1);"], "php-ssh2")
    return Client("php-ssh2", ["php", str(HERE / "php_ssh2_client.php")], "php-ssh2")


def net_ssh2():
    need(["perl", "-MNet::SSH2", "-e", "1"], "libnet-ssh2-perl")
    return Client("net-ssh2", ["perl", str(HERE / "net_ssh2_client.pl")], "libnet-ssh2-perl")


def phpseclib(version, package, **more):
    need("php", "php-cli")
    need(f"/usr/share/php/{package}", f"php-{package}")
    environment = {"PHPSECLIB": package}
    return Client(
        f"phpseclib{version}", ["php", str(HERE / "phpseclib_client.php")], f"php-{package}", environment, **more
    )


def npm_packages(directory, optional=False):
    """What test/npm names, at the versions of its lock file; `optional`: russh too, which is large."""
    need("npm", "npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(NPM / name, directory)
    install = ["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(directory)]
    install += [] if optional else ["--omit=optional"]
    done = subprocess.run(install, capture_output=True, timeout=150, cwd=directory)
    if done.returncode != 0:
        raise NotInstalled("the npm packages of test/npm are not to be had")


def node(name, package, directory):
    need("node", "nodejs")
    npm_packages(directory, optional=package == "russh")
    modules = directory / "node_modules"
    need(str(modules / package), f"the npm package {package}")
    version = json.loads((modules / package / "package.json").read_text())["version"]
    return Client(
        name, ["node", str(HERE / f"{package}_client.js")], f"npm:{package}@{version}", {"NODE_PATH": str(modules)}
    )


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
    "node": lambda directory: node("node", "ssh2", directory),
    "russh": lambda directory: node("russh", "russh", directory),
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
        key="id_rsa",
    ),
    "trilead": lambda directory: java(
        "trilead",
        "Ganymed",
        "/usr/share/java/trilead-ssh2.jar",
        "libtrilead-ssh2-java",
        directory,
        "com.trilead.ssh2",
        algorithms="legacy",
        key="id_rsa",
    ),
    "jenkins": lambda directory: java(
        "jenkins",
        "Ganymed",
        "/usr/share/java/jenkins-trilead-ssh2.jar",
        "libjenkins-trilead-ssh2-java",
        directory,
        "com.trilead.ssh2",
        algorithms="legacy",
        key="id_rsa",
    ),
    "php-ssh2": lambda directory: php_ssh2(),
    "net-ssh2": lambda directory: net_ssh2(),
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
