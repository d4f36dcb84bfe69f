"""CPU time and memory of a server: of all its processes, also those that have come and gone.

A server that forks per connection hides its cost from /proc: the time of a child that nobody waits for is lost. A control
group counts every process that was ever in it, so that is what is used wherever one can be made.
"""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path


def _hierarchies():
    """The directories in which groups of our own may be made, with the name of the file that counts CPU time."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            own[name] = path
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    for _, mount, kind, options, *_ in mounts:
        if kind == "cgroup" and "cpuacct" in options.split(","):
            yield from _existing(mount, own.get("cpuacct", "/"), "cpuacct.usage")
    for _, mount, kind, *_ in mounts:
        if kind == "cgroup2":
            yield from _existing(mount, own.get("", "/"), "cpu.stat")


def _existing(mount, path, counter):
    """Our own group first; inside a container its path may be one of the host's and mean nothing here."""
    for directory in (Path(mount + path), Path(mount)):
        if (directory / counter).exists() or directory == Path(mount):
            yield directory, counter


class ControlGroup:
    """A control group for one server. Whoever is in it is the server's, and is ended with it."""

    exact = True
    _number = 0

    def __init__(self, directory, counter):
        self.directory = directory
        self.counter = directory / counter

    @classmethod
    def create(cls):
        """A new group, or None where none can be made (not root, and nothing delegated to us)."""
        cls._number += 1
        for parent, counter in _hierarchies():
            directory = parent / f"sshecho-bench-{os.getpid()}-{cls._number}"
            try:
                directory.mkdir()
            except OSError:
                continue
            group = cls(directory, counter)
            if group._works():
                return group
            directory.rmdir()
        return None

    def _works(self):
        try:
            self.start(["/bin/true"]).wait(10)
            return self.cpu_s() > 0
        except (OSError, ValueError):
            return False

    def start(self, command, **more):
        """Popen, in the group before the command runs its first instruction."""
        join = 'echo $$ >"$0" && exec "$@"'
        return subprocess.Popen(["/bin/sh", "-c", join, str(self.directory / "cgroup.procs"), *command], **more)

    def adopt(self, process):
        pass

    def load_arguments(self):
        """For an sshload that is to observe it."""
        return ["--server-cgroup", self.directory]

    def cpu_s(self):
        text = self.counter.read_text()
        if self.counter.name == "cpuacct.usage":
            return int(text) / 1e9
        return int(re.search(r"^usage_usec (\d+)", text, re.M).group(1)) / 1e6

    def pids(self):
        try:
            return [int(each) for each in (self.directory / "cgroup.procs").read_text().split()]
        except OSError:
            return []

    def close(self):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            for pid in self.pids():
                _kill(pid)
            try:
                self.directory.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.02)  # not all of them have been reaped
        print(f"bench: {self.directory} could not be removed", flush=True)


class ProcessTree:
    """Without a control group: the process and its descendants, from /proc. Loses children that come and go unwaited."""

    exact = False

    def __init__(self, root=None):
        self.root = root
        self.last = {}  # pid → CPU ticks (its own, and of the children it waited for)
        self.seen = {}  # pid → when it started, which tells it from a later one with the same number

    def start(self, command, **more):
        return subprocess.Popen(command, **more)

    def adopt(self, process):
        self.root = process.pid

    def load_arguments(self):
        return ["--server-pid", self.root]

    def pids(self):
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                fields = _stat(entry)
                if fields:
                    parents.setdefault(int(fields[1]), []).append(int(entry))
        found, todo = [], [self.root]
        while todo:
            pid = todo.pop()
            fields = _stat(pid)
            if fields:
                found.append(pid)
                self.seen[pid] = fields[19]
                todo += parents.get(pid, [])
        return found

    def cpu_s(self):
        for pid in self.pids():
            fields = _stat(pid)
            if fields:
                own, waited = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
                self.last[pid] = (own, waited if pid == self.root else 0)
        return sum(own + waited for own, waited in self.last.values()) / os.sysconf("SC_CLK_TCK")

    def close(self):
        """Also those whose parent has ended before them."""
        self.pids()
        for pid, started in self.seen.items():
            fields = _stat(pid)
            if fields and fields[19] == started:
                _kill(pid)


def _stat(pid):
    """Fields of /proc/PID/stat from the state on; None when there is no such process any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def pss_kib(pids):
    """Proportional set size of these processes together, in KiB; shared pages count once in all."""
    total = 0
    for pid in pids:
        try:
            total += int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1))
        except PermissionError:
            return None
        except (OSError, AttributeError):
            continue  # it has ended
    return total


class Sampler:
    """Reads a server's CPU counter all through a run of tcp-load, so that it can be asked for the measured part
    afterwards. sshload does this itself (--server-cgroup, --server-pid)."""

    INTERVAL_S = 0.02

    def __init__(self, group):
        self.group = group
        self.samples = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self._sample()

    def _sample(self):
        self.samples.append((time.time(), self.group.cpu_s()))

    def _run(self):
        interval = self.INTERVAL_S if self.group.exact else 0.2  # walking /proc is not free
        while True:
            self._sample()
            if self.over.wait(interval):
                return

    def cpu_between(self, begin, end):
        """CPU seconds between two instants (seconds since 1970)."""
        return self._at(end) - self._at(begin)

    def _at(self, instant):
        before = self.samples[0]
        for sample in self.samples:
            if sample[0] >= instant:
                span = sample[0] - before[0]
                part = (instant - before[0]) / span if span > 0 else 1.0
                return before[1] + (sample[1] - before[1]) * part
            before = sample
        return before[1]
