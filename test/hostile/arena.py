"""Where a misbehaving peer meets the server, in front of a judge (judge.py).

A test asks for `arena`, starts its server with it, and misbehaves. At the end the arena checks that the quiet sessions on
the same worker were served as if nothing had happened, that no worker was lost, that fds and memory are back to base and
that memory never rose above what the row allows on the way. Tests of a module that want the same configuration share a
server, one after the other; one that fails takes its server with it. Each server has to end cleanly in the end.
"""

import contextlib
import json
import os
import tempfile
import time
from pathlib import Path

import harness
import rawssh
from harness import wait_until
from judge import FLOOR_MS, SANITIZED, TIMES_COUNT, QuietSessions, verdict

NICE = os.getpriority(os.PRIO_PROCESS, 0)
SHORTEST_SECONDS = 0.5  # how long the quiet sessions are looked at, at least
PEAK_MIB = 24  # what a row may cost its worker at its highest point, unless it says otherwise


def is_exposed():
    """Whether this run has the limits of profile `exposed`."""
    return "profile=exposed" in os.environ.get("SSHECHOD_OPTIONS", "").split()


def lifted(*keys, **options):
    """Options that lift limits of profile exposed, where this run has them: for a row that goes beyond them on purpose."""
    return {**({key: "off" for key in keys} if is_exposed() else {}), **options}


def give_way(wanted):
    """An attacker has a machine of its own; here it shares the processors with whom it attacks and with the judge, and
    the wait for a processor would count as the server's. So it takes what they leave, where it may return from that."""
    if TIMES_COUNT and os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, 19 if wanted else NICE)


class Pool:
    """Servers by configuration, for as long as a module's tests run."""

    def __init__(self):
        self.held = {}

    def take(self, alone=False, **arguments):
        key = repr(sorted(arguments.items(), key=str))
        if alone or key not in self.held:
            stack = contextlib.ExitStack()
            try:
                server = stack.enter_context(harness.serve(**arguments))
                self.prepare(server)
            except BaseException:
                stack.close()
                raise
            if alone:
                key = (key, id(server))
            self.held[key] = (server, stack)
        return self.held[key][0]

    @staticmethod
    def prepare(server):
        """Libraries are loaded and buffers made before anything is measured."""
        for _ in range(5):
            with rawssh.Client(server.address) as client:
                channel = client.login().shell()
                client.echo(channel, rawssh.pattern(100_000))
                channel.finish()
        wait_until(lambda: len(server.lines("close")) == 5, 5, "quiet before the test")
        server.quiet = None

    def discard(self, server):
        for key, (held, stack) in list(self.held.items()):
            if held is server:
                del self.held[key]
                server.kill()
                server.expected_exit = server.process.returncode
                with contextlib.suppress(BaseException):  # its test has failed already, and says why
                    stack.close()

    def close(self):
        with contextlib.ExitStack() as every:
            for _, stack in self.held.values():
                every.push(stack)
            self.held.clear()


class Reference:
    """A server that nobody attacks."""

    def __init__(self, stack, directory):
        self.server = stack.enter_context(harness.serve())
        self.directory = directory
        Pool.prepare(self.server)

    def load(self):
        return QuietSessions(self.server.address, self.directory, "reference")


class Arena:
    def __init__(self, pool, reference, name):
        self.pool = pool
        self.reference = reference
        self.name = name
        self.server = None
        self.loads = None  # the quiet sessions, and the reference's
        self.worker_survives = True  # a test that brings down its worker on purpose says otherwise
        self.returns_to_base = True
        self.peak_mib = PEAK_MIB
        self.peaks = {}

    def start(self, judged=True, lift=(), **arguments):
        """The server, quiet sessions on it. lift: limits of profile exposed that the row goes beyond on purpose."""
        give_way(False)  # a server that is started now has its place among the others
        arguments["options"] = {**lifted(*lift), **arguments.get("options", {})}
        self.server = server = self.pool.take(**arguments)
        server.mark()
        self.workers = server.workers()
        self.idle_fds = {pid: harness.fd_count(pid) for pid in self.workers}
        if judged:
            if server.quiet is None and TIMES_COUNT:
                self.measure_quiet(server)
            self.loads = self.begin()
        self.base_rss = {pid: harness.rss_kib(pid) for pid in self.workers}
        self.peaks = {pid: harness.Peak(pid) for pid in self.workers}
        self.base_cpu = sum(harness.cpu_seconds(pid) for pid in self.workers)
        self.began = time.monotonic()
        give_way(judged)
        return server

    # -- the judge

    def begin(self):
        loads = [QuietSessions(self.server.address, self.server.directory, "quiet")]
        if TIMES_COUNT:
            loads.append(self.reference.load())
        try:
            for each in loads:
                each.wait_up()
        except BaseException:
            for each in loads:
                each.kill()
            raise
        return loads

    @staticmethod
    def end(loads):
        for each in loads:
            each.ask()
        return [each.figures() for each in loads]

    def measure_quiet(self, server):
        """A second of quiet; another one if the machine was not."""
        for _ in range(3):
            loads = self.begin()
            time.sleep(1)
            quiet = self.end(loads)[0]
            assert not quiet.wrong, quiet.wrong
            if server.quiet is None or quiet.p99 < server.quiet.p99:
                server.quiet = quiet
            if server.quiet.p99 < FLOOR_MS:
                break
        self.wait_idle()
        server.mark()

    def judge(self):
        """The verdict on what happened since start()."""
        left = self.began + SHORTEST_SECONDS - time.monotonic()
        if left > 0:
            time.sleep(left)
        during, meanwhile = (self.end(self.loads) + [None])[:2]
        self.loads = None
        if not meanwhile:
            return verdict(during, None, None)
        self.record(during, meanwhile)
        tolerance = SANITIZED if harness.is_sanitized() else 1.0
        return verdict(during, self.server.quiet, meanwhile, tolerance)

    def record(self, during, meanwhile):
        """HOSTILE_FIGURES names a file that gets a line of JSON for each test."""
        path = os.environ.get("HOSTILE_FIGURES")
        if not path:
            return
        line = {
            "test": self.name,
            "p99_ms": during.p99,
            "longest_ms": during.longest,
            "quiet_p99_ms": self.server.quiet.p99,
            "reference_p99_ms": meanwhile.p99,
            "reference_longest_ms": meanwhile.longest,
            "peak_kib": max((peak.grown_kib() for peak in self.peaks.values()), default=0),
        }
        with open(path, "a") as out:
            out.write(json.dumps(line) + "\n")

    def check(self):
        give_way(False)
        server = self.server
        if self.loads:
            guilty = self.judge() if self.worker_survives else self.end(self.loads) and None
            if guilty:
                raise guilty
        if self.worker_survives:
            assert server.workers() == self.workers, "a worker was lost"
            self.check_peak()
            if self.returns_to_base:
                self.wait_idle()
                self.check_memory()
        assert harness.served(server), "no service afterwards"

    def wait_idle(self):
        """Every connection is gone, and what it held open."""
        for pid, base in self.idle_fds.items():
            wait_until(
                lambda: harness.fd_count(pid) <= base,
                10,
                lambda: f"return to {base} fds in worker {pid}, which has {harness.fd_count(pid)}",
            )

    def check_memory(self):
        slack = 64 * 1024 if harness.is_sanitized() else 2048
        for pid, base in self.base_rss.items():
            wait_until(
                lambda: harness.rss_kib(pid) <= base * 1.05 + slack,
                5,
                lambda: f"return to {base} KiB in worker {pid}, which has {harness.rss_kib(pid)}",
            )

    def check_peak(self):
        allowed = self.peak_mib * 1024 * (4 if harness.is_sanitized() else 1)
        for pid, peak in self.peaks.items():
            grown = peak.grown_kib()
            assert grown <= allowed, f"worker {pid} rose by {grown} KiB at its peak, {allowed} are allowed"

    # -- for the rows

    def cpu_seconds(self):
        """CPU time of the workers since start(), what the quiet sessions cost included."""
        return sum(harness.cpu_seconds(pid) for pid in self.workers) - self.base_cpu

    def reasons(self):
        """The reasons for which connections of this test were closed so far, but those of the quiet sessions."""
        return [line["reason"] for line in self.server.lines("close") if line.get("user") != "quiet"]

    def reason(self, expected, timeout=10, count=1):
        """Waits for count connections to be closed for a reason (one of several, separated by |)."""
        wanted = expected.split("|")
        wait_until(
            lambda: len([each for each in self.reasons() if each in wanted]) >= count,
            timeout,
            lambda: f"{count} CLOSE lines with reason {expected}; there are {self.reasons()}",
        )

    def again(self):
        """Forgets a first try."""
        for each in self.loads or ():
            each.kill()
        self.loads = None
        if self.server and not self.worker_survives:
            self.pool.discard(self.server)
        self.__init__(self.pool, self.reference, self.name)

    def finish(self, failed):
        give_way(False)
        for each in self.loads or ():
            each.kill()
        if self.server and (failed or not self.worker_survives):
            if failed:
                self.server.dump()
            self.pool.discard(self.server)


@contextlib.contextmanager
def reference_server():
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory(prefix="reference-") as directory:
        yield Reference(stack, Path(directory))


def hand_made(server, **options):
    """A client that has sent nothing, and whose KEXINIT and key exchange are the test's to send."""
    client = rawssh.Client(server.address, handshake=False, **options)

    def keep(payload):
        client.peer_kexinit = payload

    client.take_kexinit = keep
    return client


def exchanged_kexinit(server, **options):
    """As hand_made, banners and KEXINITs exchanged."""
    client = hand_made(server, **options)
    client.send_banner()
    client.start_kex()
    client.wait(lambda: client.peer_kexinit, what="the server's KEXINIT")
    return client


def login(server, **options):
    return rawssh.Client(server.address, **options).login()


def discard(client):
    """Closes a connection whose violations are the point of the test."""
    client.violations.clear()
    client.close()


def assert_ended(client, timeout=10):
    """The server ends the connection; returns its disconnect (reason, text) or None. What it says under keys that the
    client does not have is passed over."""
    client.reading = True
    end = time.monotonic() + timeout
    try:
        while True:
            try:
                return client.wait_end(max(0.1, end - time.monotonic()))
            except rawssh.PacketError:
                client.inbuf.clear()
    finally:
        client.violations.clear()
        client.close()
