"""A log that cannot be written, or whose reader stalls: the server goes on, and what was lost is told."""

import contextlib
import os
import signal
import time

import pytest

import figures
import harness
from fault_helpers import FULL, begin_load, outcome, tell
from harness import wait_until
from rawssh import pattern


# ---- a log that cannot be written


@pytest.mark.parametrize("sink", ["/dev/full", "closed pipe"])
def test_log_cannot_be_written(serve, sink):
    def spoil():
        if sink == "/dev/full":
            fd = os.open(sink, os.O_WRONLY)
        else:
            reading, fd = os.pipe()
            os.close(reading)
        os.dup2(fd, 2)

    server = serve(
        workers=2, options={**figures.OPTIONS, "metrics-listen": f"127.0.0.1:{harness.free_port()}"}, limit=spoil
    )
    sessions = 50
    for number in range(sessions):
        assert harness.served(server, pattern(1000, number))
    server.signal(signal.SIGHUP)
    server.signal(signal.SIGUSR1)
    assert harness.served(server)
    assert server.process.poll() is None
    tell(f"log on {sink}: {sessions} sessions echoed exactly")


class StalledReader:
    """A fifo as stderr whose reader lives and sleeps."""

    def __init__(self, directory):
        self.path = directory / "stderr"
        os.mkfifo(self.path)
        self.fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def become_stderr(self):
        os.dup2(os.open(self.path, os.O_WRONLY), 2)

    def read(self):
        with contextlib.suppress(BlockingIOError):
            return os.read(self.fd, 1 << 20).decode()
        return ""

    def read_for(self, what, timeout=10):
        """Reads on until a line has been there."""
        text = []

        def there():
            text.append(self.read())
            return what in "".join(text)

        wait_until(there, timeout, f"{what} in the log")
        return "".join(text)


@pytest.mark.alone
def test_log_reader_stalls(serve, tmp_path):
    """Thousands of sessions, totals, a reload, a stuck worker and the end, while nobody reads stderr."""
    reader = StalledReader(tmp_path)
    server = serve(options={**figures.OPTIONS, "drain-timeout": "2s"}, limit=reader.become_stderr)
    start = reader.read_for("event=ready").splitlines()
    server.metrics = next(each["address"] for each in map(harness.parse_line, start) if each["event"] == "metrics")
    sessions = 20_000 if FULL else 3000  # a pipe holds 64 KiB and a queue 256: some 1,200 sessions
    if harness.is_sanitized():
        sessions = 1500
    process, result = begin_load(server, "-m", "connect", "-c", "8", "-n", str(sessions))
    code, answer = outcome(process, result)
    assert (code, answer["summary"]["ok"]) == (0, sessions)
    wait_until(lambda: figures.metric(server, "log_lines_lost_total") > 0, 5, "lost lines in the metric")
    server.signal(signal.SIGUSR1)
    before = server.workers()
    server.signal(signal.SIGHUP)
    wait_until(lambda: not set(server.workers()) & set(before), 10, "the workers of the reload")
    assert harness.served(server, pattern(1000))
    stuck = server.worker
    os.kill(stuck, signal.SIGSTOP)
    wait_until(lambda: server.workers() and stuck not in server.workers(), 10, "the end of the stuck worker")
    harness.wait_served(server)

    text = reader.read_for("event=log_lines_lost")
    lines = [harness.parse_line(line) for line in text.splitlines()]
    assert all(line.startswith("time=") for line in text.splitlines()), "a line was cut"
    assert int(next(line["lines"] for line in lines if line["event"] == "log_lines_lost")) > 0
    assert harness.served(server)
    reader.read_for("event=close")

    process, result = begin_load(server, "-m", "connect", "-c", "8", "-n", str(sessions // 2))
    assert outcome(process, result)[0] == 0
    begin = time.monotonic()
    assert server.process.poll() is None
    server.stop(timeout=10)  # exit status 0 though nobody reads again
    tell(
        f"a log whose reader sleeps: {sessions} sessions, reload, a stuck worker; SIGTERM obeyed after "
        f"{time.monotonic() - begin:.2f} s"
    )
