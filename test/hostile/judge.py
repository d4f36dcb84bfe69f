"""The judge: quiet sessions on the attacked worker, and the rule by which their echo times convict it.

SESSIONS sessions echo RATE messages of 64 bytes a second in all, by a fixed plan (sshload, open loop, latency from the
moment an echo was due). In a quiet second before the attack they set their own reference. While the attack runs,

  * all but one in a hundred echoes take at most twice that reference's p99, or 5 ms, whichever is more;
  * no echo takes more than 50 ms.

The same load on a server that nobody attacks shows at the same time what the machine does to everyone. Its p99 counts as
a reference, and a pause is forgiven by as much as the other load was late in the same second, no more: the part that the
attacked server adds is always its own. A busy machine can still hand out its processors unevenly for a second: a row that
is guilty by the first rule alone, or by the second in a second in which the other server was late as well, is tried once
more, and fails if it is guilty again.

JUDGE=harm leaves the times out, for runs in which rows stand side by side and disturb each other: a few quiet sessions
still have to get every byte back, and none may be lost.
"""

import datetime
import json
import os
import signal
import subprocess
from dataclasses import dataclass, field

import harness
from harness import wait_until

TIMES_COUNT = os.environ.get("JUDGE", "times") != "harm"
SESSIONS, RATE, BYTES = (20, 200, 64) if TIMES_COUNT else (4, 40, 64)
RATIO = 2.0
FLOOR_MS = 5.0
LONGEST_MS = 50.0
DISTURBED_MS = 15.0  # what no quiet machine does to the server that nobody attacks
OUTLIERS = 2  # a phase of less than 200 echoes has no p99: as many may be late
SANITIZED = 3.0  # what ASan and UBSan cost the attacked server, the load and the reference alike


@dataclass
class Figures:
    """What a load saw: echo times in ms (each with its count), and for each wall-clock second the latest echo."""

    echoes: list = field(default_factory=list)  # (ms, count), ascending
    latest: dict = field(default_factory=dict)  # second -> ms
    wrong: str = ""  # what went wrong other than time

    @property
    def count(self):
        return sum(count for _, count in self.echoes)

    @property
    def p99(self):
        left = int(self.count * 0.99)
        for ms, count in self.echoes:
            left -= count
            if left < 0:
                return ms
        return 0.0

    @property
    def longest(self):
        return max((ms for ms, _ in self.echoes), default=0.0)

    def above(self, limit_ms):
        return sum(count for ms, count in self.echoes if ms > limit_ms)

    @classmethod
    def read(cls, path):
        result = json.loads(path.read_text())
        start = datetime.datetime.fromisoformat(result["started_at"].rstrip("Z")).timestamp()
        summary = result["summary"]
        # What was due when the load was told to end, and not sent yet, is nobody's fault.
        cut = result["errors"].get("not-issued", {"count": 0})["count"]
        problems = {key: summary[key] - cut for key in ("failed", "errors")}
        problems |= {key: summary[key] for key in ("timed_out", "unfinished", "sessions_lost")}
        problems = {key: count for key, count in problems.items() if count}
        return cls(
            [(us / 1000, count) for us, count in result["histograms"]["latency_us"]["buckets"]],
            {int(start + each["second"]): each["latency_max_us"] / 1000 for each in result["series"]},
            f"{problems} {result['errors']}" if problems else "",
        )


class Late(AssertionError):
    """Guilty, but perhaps by the machine's fault: to be tried once more."""


def verdict(during, quiet, reference, tolerance=1.0):
    """None, or why the attacked server is guilty: an AssertionError to raise."""
    if during.wrong:  # with rows side by side, one of the short deadlines of a row may be missed by the machine's fault
        kind = Late if reference is None and "took too long" in during.wrong else AssertionError
        return kind(f"the quiet sessions were harmed: {during.wrong}")
    if during.count == 0:
        return AssertionError("not one echo came back to the quiet sessions")
    if reference is None:
        return None
    allowed = tolerance * max(FLOOR_MS, RATIO * quiet.p99, RATIO * reference.p99)
    late = during.above(allowed)
    figures = (
        f"{during.count} echoes: p99 {during.p99:.1f} ms, longest {during.longest:.1f} ms; quiet p99 was "
        f"{quiet.p99:.1f} ms; meanwhile on a server that nobody attacks: p99 {reference.p99:.1f} ms, longest "
        f"{reference.longest:.1f} ms"
    )
    for second, ms in during.latest.items():
        machine = max((reference.latest.get(second + near, 0.0) for near in (-1, 0, 1)), default=0.0)
        if ms - machine > tolerance * LONGEST_MS:
            kind = Late if machine > DISTURBED_MS else AssertionError
            return kind(f"an echo took {ms:.1f} ms, on the other server {machine:.1f} ms at most ({figures})")
    if late > max(OUTLIERS, during.count * 0.01):
        return Late(f"{late} echoes took more than {allowed:.1f} ms ({figures})")
    return None


class QuietSessions:
    """The load, from its first echo until it is asked for its figures."""

    def __init__(self, address, directory, name):
        self.json = directory / f"{name}.json"
        self.text = directory / f"{name}.out"
        self.json.unlink(missing_ok=True)
        host, port = address
        command = [harness.SSHLOAD, "-m", "ping", "-c", SESSIONS, "-r", RATE, "-s", BYTES, "-d", "1h", "-l", "quiet"]
        command += ["--interval", "50ms", "--json", self.json, f"{host}:{port}"]
        with open(self.text, "wb") as out:
            self.process = subprocess.Popen(
                [str(each) for each in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    def wait_up(self):
        def up():
            assert self.process.poll() is None, f"the quiet sessions ended: {self.text.read_text()}"
            return "  load  " in self.text.read_text()

        wait_until(up, 20, "load of quiet sessions")

    def ask(self):
        """Tells the load to end."""
        self.process.send_signal(signal.SIGTERM)  # SIGINT may be ignored, as it is in a background job

    def figures(self):
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            return Figures(wrong="they hang")
        if not self.json.exists():
            return Figures(wrong=self.text.read_text()[-2000:])
        return Figures.read(self.json)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
