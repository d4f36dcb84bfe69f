"""The servers that are measured, each started on a loopback port of its own with throw-away keys.

A server knows how sshload has to be called for it (identity, request, how many handshakes it stands at once) and which
control group its processes are in.
"""

import contextlib
import getpass
import os
import pwd
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from . import meter

SYSTEM_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


class Unavailable(Exception):
    """This server cannot be measured here; the text says why."""


class Server:
    """name: key in JSON; title: in tables. forks: a process per connection, of which a machine holds fewer."""

    name = title = None
    ssh = True
    forks = False
    connecting = 16  # handshakes in progress at once
    anonymous = False  # lets a client in without authentication

    def __init__(self, bench):
        self.bench = bench
        self.directory = bench.directory(self.name)
        self.log_path = self.directory / "log"
        self.group = self.process = self.address = None
        self.identity = bench.identity
        self.command = []

    # -- life

    def __enter__(self):
        self.group = meter.ControlGroup.create() or meter.ProcessTree()
        if not self.group.exact:
            self.bench.warn(
                "no control group can be made here (root can): CPU is summed from /proc, which loses the time "
                "of children that nobody waits for; figures of forking servers are too low"
            )
        try:
            self.launch()
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.group.pids()  # while their parent still ties them together
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        if self.group is not None:
            self.group.close()
        if self.process is not None:
            self.process.wait()

    def run(self, command):
        self.command = [str(each) for each in command]
        with open(self.log_path, "wb") as log:
            self.process = self.group.start(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )  # a Ctrl-C is ours to pass on
        self.group.adopt(self.process)

    def launch(self):
        raise NotImplementedError

    def wait_ready(self):
        self.wait_for(self.answers, "answer")

    def wait_for(self, condition, what):
        end = time.monotonic() + 15
        while not condition():
            if self.process is not None and self.process.poll() is not None:
                raise Unavailable(f"{self.title} ended at once: {self.last_words()}")
            if time.monotonic() > end:
                raise Unavailable(f"{self.title} does not {what}: {self.last_words()}")
            time.sleep(0.02)

    def last_words(self):
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return text.strip().splitlines()[-1] if text.strip() else "(no log)"

    def answers(self):
        host, _, port = self.address.rpartition(":")
        with contextlib.suppress(OSError):
            with socket.create_connection((host.strip("[]"), int(port)), 1) as connection:
                connection.settimeout(2)
                return connection.recv(4) == b"SSH-"
        return False

    # -- what is asked of it

    def load_arguments(self):
        """What sshload needs besides the scenario."""
        return ["--identity", str(self.identity), "--request", "exec:cat"]

    def key_arguments(self):
        """What makes it log in by its key, where it could without."""
        return ["--auth", "publickey"]

    def pss_kib(self):
        kib = meter.pss_kib(self.group.pids())
        if kib is None:
            self.bench.warn(f"the memory of {self.title} cannot be read by this user")
        return kib

    def settled_pss_kib(self, patience_s=10.0):
        """Memory once it no longer falls: a server may still be reaping or trimming."""
        last, end = self.pss_kib(), time.monotonic() + patience_s
        while last is not None and time.monotonic() < end:
            time.sleep(0.5)
            now = self.pss_kib()
            if now is None or now >= last * 0.995:
                return now
            last = now
        return last

    def describe(self):
        return {"title": self.title, "command": self.command}


class Sshechod(Server):
    name, title = "sshechod", "sshechod"
    anonymous = True
    connecting = 32
    more_options = []

    def __init__(self, bench, workers=1):
        self.workers = workers
        if workers != 1:
            self.name, self.title = f"sshechod-{workers}", f"sshechod, {workers} workers"
        super().__init__(bench)

    def launch(self):
        ports = self.directory / "ports"
        with contextlib.suppress(FileNotFoundError):
            ports.unlink()
        self.run(
            [
                self.bench.program("sshechod"),
                "--config",
                "/dev/null",
                "--listen",
                self.address or "127.0.0.1:0",  # when it comes back, where it was
                "--port-file",
                ports,
                "--workers",
                self.workers,
                "--drain-timeout",
                "1s",
                *self.more_options,
                *self.bench.server_options,
            ]
        )
        self.wait_for(ports.exists, "get ready")
        self.address = ports.read_text().split()[0]


class CountedSshechod(Sshechod):
    """Tells how many connections each worker took in."""

    more_options = ["--metrics-listen", "127.0.0.1:0"]

    def accepted_by_worker(self):
        log = self.log_path.read_text(errors="replace")
        address = re.search(r"event=metrics address=(\S+)", log).group(1)
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            page = answer.read().decode()
        name = "sshechod_worker_connections_accepted_total"
        return [int(count) for count in re.findall(rf'^{name}{{worker="\d+"}} (\d+)$', page, re.MULTILINE)]


class OpenSsh(Server):
    name, title = "sshd", "OpenSSH sshd + cat"
    forks = True

    def launch(self):
        program = shutil.which("sshd", path=SYSTEM_PATH)
        if program is None:
            raise Unavailable("no sshd here (Debian: openssh-server)")
        if os.geteuid() == 0:
            self.bench.borrow_directory(Path("/run/sshd"))  # where sshd confines itself
        host_key = self.bench.make_key(self.directory / "host")
        self.address = f"127.0.0.1:{free_port()}"
        # Debian's bash reads ~/.bashrc when sshd starts it, unless it believes to be the second shell: what people keep
        # there is no cost of sshd's.
        options = {
            "SetEnv": "SHLVL=1",
            "ListenAddress": self.address,
            "HostKey": host_key,
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PermitRootLogin": "yes",
            "AuthorizedKeysFile": f"{self.identity}.pub",
            "MaxStartups": 10000,
            "MaxSessions": 10000,
            "UseDNS": "no",
            "PrintMotd": "no",
            "PrintLastLog": "no",
        }
        command = [program, "-D", "-e", "-f", "/dev/null"]
        for key, value in options.items():
            command += ["-o", f"{key}={value}"]
        self.run(command)


class HomeOfItsOwn(Server):
    """One that reads keys from the home directory alone, and so gets one of its own in a mount namespace."""

    def run_at_home(self, command):
        if os.geteuid() != 0:
            raise Unavailable(
                f"{self.title} is measured as root only: it reads keys from the home directory alone, and needs one "
                "of its own"
            )
        # A temporary directory lies over the home: the real one is not touched.
        home = self.directory / "home"
        keys = home / ".ssh"
        keys.mkdir(parents=True, mode=0o700)
        home.chmod(0o700)
        shutil.copy(f"{self.identity}.pub", keys / "authorized_keys")
        (keys / "authorized_keys").chmod(0o600)
        own = pwd.getpwnam(getpass.getuser()).pw_dir
        script = 'mount --bind "$0" "$1" && shift && exec "$@"'
        self.run(["unshare", "--mount", "sh", "-c", script, home, own, *command])


class Dropbear(HomeOfItsOwn):
    name, title = "dropbear", "Dropbear + cat"
    forks = True
    connecting = 4  # it serves five logins of one address at once and drops the rest

    def launch(self):
        program = shutil.which("dropbear", path=SYSTEM_PATH)
        if program is None:
            raise Unavailable("no dropbear here (Debian: dropbear-bin)")
        host_key = self.directory / "host"
        subprocess.run(["dropbearkey", "-t", "ed25519", "-f", str(host_key)], check=True, capture_output=True)
        self.address = f"127.0.0.1:{free_port()}"
        self.run_at_home([program, "-F", "-E", "-p", self.address, "-r", host_key, "-P", self.directory / "pid"])


class TcpFloor(Server):
    """No SSH at all: what loopback and the loop cost."""

    name, title = "tcp", "floor: TCP echo"
    ssh = False
    anonymous = True
    connecting = 64

    def launch(self):
        ports = self.directory / "ports"
        with contextlib.suppress(FileNotFoundError):
            ports.unlink()
        self.run([self.bench.program("tcp-echo"), ports])
        self.wait_for(ports.exists, "get ready")
        self.address = ports.read_text().strip()

    def wait_ready(self):
        pass


class Elsewhere(Server):
    """A server that somebody else started: NAME=HOST:PORT or NAME=HOST:PORT/PID. Without the PID its CPU and memory are
    unknown, and only what the client sees is reported."""

    def __init__(self, bench, text):
        name, _, rest = text.partition("=")
        address, _, pid = rest.partition("/")
        if not name or ":" not in address or (pid and not pid.isdigit()):
            raise Unavailable(f"--address {text}: must be NAME=HOST:PORT or NAME=HOST:PORT/PID")
        self.name = self.title = name
        super().__init__(bench)
        self.anonymous = True  # for all that we know; its key, if it needs one, is given
        self.address = address
        self.pid = int(pid) if pid else None

    def __enter__(self):
        if self.pid is not None:
            self.group = meter.ProcessTree(self.pid)
        if not self.answers():
            raise Unavailable(f"{self.name}: nothing that speaks SSH answers at {self.address}")
        return self

    def __exit__(self, *_):
        pass

    def load_arguments(self):
        given = self.bench.arguments
        return [
            "--request",
            given.request,
            *(["--identity", given.identity] if given.identity else []),
            *(["--user", given.user] if given.user else []),
        ]

    def pss_kib(self):
        return super().pss_kib() if self.group is not None else None

    def describe(self):
        return {"title": self.title, "address": self.address, "pid": self.pid}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
