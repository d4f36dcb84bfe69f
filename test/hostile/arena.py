"""Where a misbehaving peer meets the server: a control session echoes all the while, from a process of its own.

A test asks for `arena`, starts its server with it, and misbehaves. At the end the arena checks that the control session
lost nothing and was not held up, that fds and memory are back to base, and that the server ends cleanly.

Latency is judged as a ratio within the run: against the same session before, and against a reference session that
echoes at the same time on a server that nobody attacks, which shows what the machine itself does to everyone.
"""

import contextlib
import multiprocessing
import os
import time

import harness
import rawssh
from harness import wait_until

PING_BYTES = 64
PAUSE_SECONDS = 0.004
NOISE_FLOOR_SECONDS = 0.030  # a p99 below this says nothing on a machine that does other work
RATIO = 2.0
OUTLIERS = 2  # echoes that may be later, however few there were: a short test has no p99
EXCESS_SECONDS = 0.3  # but all the lateness together is not more than this


def ping(address, pipe):
    """Echoes a message every few milliseconds; answers "phase" with the times since the last one, "stop" likewise."""
    try:
        client = rawssh.Client(address).login()
        channel = client.shell()
        times, number = [], 0
        pipe.send("up")
        while True:
            message = rawssh.pattern(PING_BYTES, number)
            number += 1
            start = time.monotonic()
            got = client.echo(channel, message, 30)
            times.append(time.monotonic() - start)
            if got != message:
                raise AssertionError(f"echo {number} of the control session came back wrong")
            if pipe.poll(PAUSE_SECONDS):
                order = pipe.recv()
                pipe.send(times)
                times = []
                if order == "stop":
                    channel.finish()
                    client.close()
                    return
    except BaseException as error:
        with contextlib.suppress(OSError):
            pipe.send(f"control session: {type(error).__name__}: {error}")


def p99(times):
    return sorted(times)[int(len(times) * 0.99)] if times else 0.0


class Control:
    def __init__(self, address):
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=ping, args=(address, theirs), daemon=True)
        self.process.start()
        theirs.close()
        assert self.receive() == "up"

    def receive(self, timeout=40):
        assert self.pipe.poll(timeout), "the control session hangs"
        answer = self.pipe.recv()
        assert not isinstance(answer, str) or answer == "up", answer
        return answer

    def phase(self, order="phase"):
        """Ends a phase; returns its echo times in seconds."""
        self.pipe.send(order)
        return self.receive()

    def kill(self):
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Arena:
    def __init__(self, serve, reference):
        self.serve = serve
        self.reference = reference
        self.server = None
        self.control = None
        self.control_survives = True  # a test that brings down its worker on purpose says otherwise
        self.returns_to_base = True
        self.before = []
        self.floor_seconds = NOISE_FLOOR_SECONDS

    def start(self, control=True, **arguments):
        self.server = self.serve(**arguments)
        for _ in range(5):  # libraries are loaded and buffers made before anything is measured
            with rawssh.Client(self.server.address) as client:
                channel = client.login().shell()
                client.echo(channel, rawssh.pattern(100_000))
                channel.finish()
        workers = self.server.workers()
        wait_until(lambda: len(self.server.lines("close")) == 5, 5, "quiet before the test")
        if control:
            self.control = Control(self.server.address)
            time.sleep(0.4)
            self.before = self.control.phase()
            self.reference.phase()
        self.base_fds = {pid: harness.fd_count(pid) for pid in workers}
        self.base_rss = {pid: harness.rss_kib(pid) for pid in workers}
        return self.server

    def check(self):
        server = self.server
        if self.control and self.control_survives:
            self.check_latency(self.control.phase(), self.reference.phase())
            if self.returns_to_base:
                self.check_base()
            self.control.phase("stop")
            self.control.process.join(10)
        with rawssh.Client(server.address) as client:
            channel = client.login().shell()
            assert client.echo(channel, b"afterwards") == b"afterwards"

    def check_latency(self, during, reference):
        busy = max(1.0, os.getloadavg()[0] / os.cpu_count())  # others want the processors, too
        floor = self.floor_seconds * (5 if harness.is_sanitized() else 1) * busy
        allowed = max(RATIO * p99(self.before), RATIO * p99(reference), floor)

        def lateness(times):
            late = [each for each in times if each > allowed]
            return len(late), sum(late) - allowed * len(late)

        late, excess = lateness(during)
        reference_late, reference_excess = lateness(reference)
        assert (
            late <= max(OUTLIERS, len(during) * 0.01) + RATIO * reference_late
            and excess <= EXCESS_SECONDS * busy + allowed + RATIO * reference_excess
        ), (
            f"{late} of {len(during)} echoes of the control session took more than {allowed * 1000:.1f} ms, the "
            f"slowest {max(during) * 1000:.1f} ms; p99 was {p99(self.before) * 1000:.1f} ms before, and meanwhile, on a "
            f"server that nobody attacks, p99 {p99(reference) * 1000:.1f} ms, slowest {max(reference) * 1000:.1f} ms"
        )

    def check_base(self):
        for pid, base in self.base_fds.items():
            wait_until(
                lambda: harness.fd_count(pid) <= base,
                10,
                lambda: f"return to {base} fds in worker {pid}, which has {harness.fd_count(pid)}",
            )
        slack = 64 * 1024 if harness.is_sanitized() else 2048
        for pid, base in self.base_rss.items():
            wait_until(
                lambda: harness.rss_kib(pid) <= base * 1.05 + slack,
                5,
                lambda: f"return to {base} KiB in worker {pid}, which has {harness.rss_kib(pid)}",
            )

    def reason(self, expected, timeout=10):
        """Waits for a connection to be closed for a reason (one of several, separated by |)."""
        wanted = expected.split("|")

        def found():
            return [line for line in self.server.lines("close") if line["reason"] in wanted]

        wait_until(
            found,
            timeout,
            lambda: f"a CLOSE line with reason {expected}; there are "
            f"{[line['reason'] for line in self.server.lines('close')]}",
        )

    def finish(self):
        if self.control:
            self.control.kill()


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
