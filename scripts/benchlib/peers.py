"""Echo servers on other libraries (test/peers), and tinysshd: started as those of servers.py are, where they can be had."""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from .servers import SYSTEM_PATH, HomeOfItsOwn, Server, Unavailable, free_port

SOURCES = Path(__file__).resolve().parent.parent.parent / "test" / "peers"
NODE_SSH2 = "ssh2@1.17.0"


def need(program, package):
    path = shutil.which(program, path=SYSTEM_PATH)
    if path is None:
        raise Unavailable(f"no {program} here (Debian: {package})")
    return path


class Peer(Server):
    """One of test/peers: it lets everybody in, and writes its address into a file."""

    anonymous = True
    connecting = 16

    def words(self):
        """What begins its command line; built or fetched here if need be."""
        raise NotImplementedError

    def environment(self):
        return {}

    def launch(self):
        ports = self.directory / "ports"
        with contextlib.suppress(FileNotFoundError):
            ports.unlink()
        host_key = self.bench.make_key(self.directory / "host")
        words = self.words()
        surroundings = [f"{name}={value}" for name, value in self.environment().items()]
        self.run(["env", *surroundings, *words, ports, host_key, f"{self.identity}.pub"])
        self.wait_for(ports.exists, "get ready")
        self.address = ports.read_text().strip()


class GoEcho(Peer):
    name, title = "go", "Go x/crypto echo"

    def words(self):
        program = self.bench.build / "peers" / "go_echo"
        source = SOURCES / "go_echo.go"
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            go = need("go", "golang-go")
            if not Path("/usr/share/gocode/src/golang.org/x/crypto/ssh").exists():
                raise Unavailable("no x/crypto for Go here (Debian: golang-golang-x-crypto-dev)")
            own = {"GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOCACHE": str(self.directory / "cache")}
            done = subprocess.run(
                [go, "build", "-o", str(program), str(source)],
                capture_output=True,
                text=True,
                env={**os.environ, **own},
            )
            if done.returncode != 0:
                raise Unavailable(f"{self.title} cannot be built: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        return [program]


class NodeEcho(Peer):
    name, title = "node", "Node ssh2 echo"

    def environment(self):
        places = [os.environ.get("NODE_PATH", ""), "/usr/share/nodejs", str(self._place() / "node_modules")]
        return {"NODE_PATH": ":".join(filter(None, places))}

    def _place(self):
        return self.bench.build / "peers" / "node"

    def _is_there(self, node):
        command = [node, "-e", "require('ssh2')"]
        return (
            subprocess.run(
                command, capture_output=True, env={**os.environ, **self.environment()}, timeout=30
            ).returncode
            == 0
        )

    def words(self):
        node = need("node", "nodejs")
        if not self._is_there(node):
            npm = need("npm", "npm, for the package ssh2")
            install = [npm, "install", "--silent", "--no-save", "--omit=optional", "--prefix", str(self._place())]
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run([*install, NODE_SSH2], capture_output=True, timeout=60)
            if not self._is_there(node):
                raise Unavailable(f"the npm package {NODE_SSH2} cannot be had here")
        return [node, SOURCES / "ssh2_echo.js"]


class AsyncsshEcho(Peer):
    name, title = "asyncssh", "asyncssh echo"

    def words(self):
        python = "/usr/bin/python3"  # Debian's packages belong to Debian's Python
        if subprocess.run([python, "-c", "import asyncssh"], capture_output=True).returncode != 0:
            raise Unavailable("no asyncssh here (Debian: python3-asyncssh)")
        return [python, SOURCES / "asyncssh_echo.py"]

    def load_arguments(self):
        return [*super().load_arguments(), "--user", "anyone"]

    def key_arguments(self):
        return [*super().key_arguments(), "--user", "somebody"]


class TinySshd(HomeOfItsOwn):
    """A process per connection, which socat starts and leaves the socket to; one cipher (ChaCha20-Poly1305), and cat
    for who asks for a shell."""

    name, title = "tinysshd", "tinysshd + cat"
    forks = True

    def launch(self):
        program, socat = need("tinysshd", "tinysshd"), need("socat", "socat")
        keys = self.directory / "keys"
        subprocess.run([need("tinysshd-makekey", "tinysshd"), str(keys)], check=True, capture_output=True)
        self.address = f"127.0.0.1:{free_port()}"
        host, _, port = self.address.partition(":")
        listen = f"TCP-LISTEN:{port},bind={host},reuseaddr,fork,backlog=4096"
        self.run_at_home([socat, listen, f"EXEC:{program} -e cat {keys},nofork"])

    def load_arguments(self):
        return ["--identity", str(self.identity)]
