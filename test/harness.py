"""Starts sshechod for a test, watches it from outside, and ends it.

Every server listens on port 0 in a temporary directory of its own. BUILD names the build directory (default: build, in
the checkout), SSHECHOD and SSHLOAD other programs. A server that does not end cleanly, or whose log holds a sanitizer's
report, fails its test.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rawssh

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("BUILD", "build"))
BUILD = BUILD if BUILD.is_absolute() else ROOT / BUILD
SSHECHOD = Path(os.environ.get("SSHECHOD", BUILD / "sshechod"))
SSHLOAD = Path(os.environ.get("SSHLOAD", BUILD / "sshload"))
SANITIZER_REPORT = re.compile(r"(ERROR|WARNING): (Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:")


QUARANTINE_MIB = 8  # freed memory is to be seen as freed, and touched again it is to be seen as well


def is_sanitized():
    """Whether the build under test carries ASan: some limits and figures do not apply then."""
    return b"__asan_init" in SSHECHOD.read_bytes()


def wait_until(condition, timeout=10.0, what="condition", pause=0.01):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"no {what() if callable(what) else what} within {timeout:g} s")
        time.sleep(pause)


def parse_line(line):
    """One line of the server's log, key=value or JSON, as a dict of strings."""
    if line.startswith("{"):
        return json.loads(line)
    fields = {}
    for key, quoted, bare in re.findall(r'([A-Za-z_][\w-]*)=(?:"((?:[^"\\]|\\.)*)"|(\S*))', line):
        fields[key] = quoted or bare
    return fields


def children(pid):
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(each) for each in text.split()]


def comm(pid):
    """The name of a process, as ps shows it."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def status_kib(pid, key):
    match = re.search(rf"^{key}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(match.group(1)) if match else 0


def rss_kib(pid):
    return status_kib(pid, "VmRSS")


def fd_count(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def open_files(pid):
    """What the descriptors of a process lead to. A test that may not look, skips: a container's root may not look into the
    processes of other users."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        except PermissionError:
            import pytest  # scripts use this room without it

            pytest.skip("no right to look into a process of another user")
        except OSError:
            pass  # closed meanwhile
    return found


def sockets_held(pid):
    """Connected or listening sockets of a process (pipes, epoll and the rest do not count)."""
    return sum(path.startswith("socket:") for path in open_files(pid))


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def allowed_kib(kib):
    """What a process may grow by. Under ASan all that is freed stays a while, as far as the quarantine holds it, and each
    block is wider."""
    return QUARANTINE_MIB * 1024 + 4 * kib if is_sanitized() else kib


class Peak:
    """The highest that a process has risen since now. Where the kernel lets nobody reset its high-water mark (another
    user's process), a rise that stays below an earlier one is not seen."""

    def __init__(self, pid):
        self.pid = pid
        try:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # VmHWM := VmRSS
        except OSError:
            pass
        self.resident = status_kib(pid, "VmHWM")
        self.virtual = status_kib(pid, "VmPeak")

    def grown_kib(self):
        """Resident memory, at its highest."""
        return status_kib(self.pid, "VmHWM") - self.resident if is_running(self.pid) else 0

    def claimed_kib(self):
        """Address space beyond what it ever had before."""
        return status_kib(self.pid, "VmPeak") - self.virtual


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # gone before the open, or between open and read
        return False


def run_sshechod(*arguments, timeout=20, **more):
    """sshechod run to its end (a check, a refusal): the finished process with text output."""
    return subprocess.run(
        [str(SSHECHOD), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        **more,
    )


def libssh_version():
    """(major, minor) of the one that sshechod runs with."""
    return tuple(map(int, re.search(r"libssh.* (\d+)\.(\d+)\S* running", run_sshechod("--version").stdout).groups()))


class Server:
    """One sshechod. options become -o key=value (lists become one -o each)."""

    def __init__(
        self,
        directory,
        options=None,
        config=None,
        arguments=(),
        listen=("127.0.0.1:0",),
        workers=1,
        limit=None,
        environment=None,
        program=None,
    ):
        self.directory = Path(directory)
        self.log_path = self.directory / "sshechod.log"
        self.port_file = self.directory / "ports"
        self.expected_exit = 0
        self.command = [str(program or SSHECHOD), "--port-file", str(self.port_file)]
        for address in listen:
            self.command += ["--listen", address]
        if workers:
            self.command += ["--workers", str(workers)]
        self.config_path = None
        if config is not None:
            self.config_path = self.directory / "sshechod.conf"
            self.config_path.write_text(config)
            self.command += ["--config", str(self.config_path)]
        for word in os.environ.get("SSHECHOD_OPTIONS", "").split():  # the same suite with, say, batch-io=no
            self.command += ["-o", word]
        chosen = {"algorithms", "host-key-types", "host-key"} & set(options or {})
        if config is None and not chosen:  # an RSA key takes 0.2 s to make, and these tests start hundreds of servers
            self.command += ["-o", "host-key-types=ed25519"]
        for key, value in (options or {}).items():
            for each in value if isinstance(value, (list, tuple)) else [value]:
                self.command += ["-o", f"{key}={each}"]
        self.command += [str(each) for each in arguments]
        self.environment = {**os.environ, **(environment or {})}
        self.environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
        self.environment.setdefault("ASAN_OPTIONS", f"quarantine_size_mb={QUARANTINE_MIB}")
        self.limit = limit
        self.process = None
        self.addresses = []
        self.log_from = 0  # lines() passes over what is before

    # -- life

    def start(self, timeout=20):
        log = open(self.log_path, "ab")
        with log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=self.environment,
                preexec_fn=self.limit,
            )
        try:
            wait_until(lambda: self.port_file.exists() or self.process.poll() is not None, timeout, "port file")
            assert self.process.poll() is None, f"sshechod ended with {self.process.returncode} at start"
            self.read_ports()
        except BaseException:
            self.dump()
            self.kill()
            raise
        return self

    def read_ports(self):
        self.addresses = []
        for line in self.port_file.read_text().split():
            host, _, port = line.rpartition(":")
            self.addresses.append((host.strip("[]"), int(port)))

    @property
    def address(self):
        return self.addresses[0]

    @property
    def port(self):
        return self.addresses[0][1]

    @property
    def pid(self):
        return self.process.pid

    def workers(self):
        return [pid for pid in children(self.pid) if is_running(pid) and comm(pid) != "sshechod-http"]

    def metrics_process(self):
        """The process that serves the metrics, or None."""
        return next((pid for pid in children(self.pid) if is_running(pid) and comm(pid) == "sshechod-http"), None)

    @property
    def worker(self):
        pids = self.workers()
        assert len(pids) == 1, f"expected one worker, found {pids}"
        return pids[0]

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=15):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"sshechod still runs after {timeout} s") from None

    def kill(self):
        """Ends master and workers at once; for a server that does not obey."""
        if self.process and self.process.poll() is None:
            pids = children(self.pid)
            self.process.kill()
            self.process.wait()
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def stop(self, timeout=15):
        """SIGTERM, and the checks that every server has to pass."""
        try:
            left = []
            if self.process.poll() is None:
                left = children(self.pid)
                self.signal(signal.SIGTERM)
            code = self.wait(timeout)
            assert code == self.expected_exit, f"sshechod ended with {code}, expected {self.expected_exit}"
            for pid in left:
                wait_until(lambda: not is_running(pid), 5, f"end of worker {pid}")
            self.check_sanitizer()
        finally:
            self.kill()

    def check_sanitizer(self):
        report = SANITIZER_REPORT.search(self.log())
        assert not report, f"sanitizer report in the log: {report.group(0)}"

    # -- the log

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def mark(self):
        """What the log holds so far is another test's."""
        self.log_from = len(self.log())

    def lines(self, event=None, **match):
        """The log's lines of an event as dicts, those whose fields equal match (compared as text)."""
        found = []
        for text in self.log()[self.log_from :].splitlines():
            if "event" not in text:
                continue
            try:
                fields = parse_line(text)
            except ValueError:
                continue  # the last line may be half-written
            if event is not None and fields.get("event") != event:
                continue
            if all(str(fields.get(key)) == str(value) for key, value in match.items()):
                found.append(fields)
        return found

    def wait_line(self, event, timeout=10, count=1, **match):
        """Waits for the count-th such line and returns it."""
        wait_until(lambda: len(self.lines(event, **match)) >= count, timeout, f"event={event} {match} in the log")
        return self.lines(event, **match)[count - 1]

    def dump(self):
        text = self.log()
        print(f"---- {' '.join(self.command)}\n{text[-12000:]}\n---- end of log", file=sys.stderr)


@contextlib.contextmanager
def running(server):
    """For a with block: started, stopped, checked; its log on stderr if anything fails."""
    server.start()
    try:
        yield server
        server.stop()
    except BaseException:
        server.dump()
        raise
    finally:
        server.kill()


@contextlib.contextmanager
def serve(**arguments):
    """A running server in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="sshechod-") as directory, running(
        Server(directory, **arguments)
    ) as server:
        yield server


def served(server, data=b"served"):
    """Whether a new client is let in and gets its echo."""
    try:
        with rawssh.Client(server.address) as client:
            return client.login().echo(client.shell(), data) == data
    except (AssertionError, OSError, rawssh.PacketError):
        return False


def wait_served(server, timeout=15, what="service"):
    """Seconds until a session works."""
    start = time.monotonic()
    wait_until(lambda: served(server), timeout, what)
    return time.monotonic() - start


def free_port():
    """A TCP port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pss_kib(pid):
    """Proportional share of the memory of a process."""
    match = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    return int(match.group(1))
