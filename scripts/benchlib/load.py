"""One run of sshload against a server (of tcp-load against the floor), with the server's CPU over the measured time."""

import contextlib
import json
import signal
import subprocess
import threading
import time
from datetime import datetime

from .meter import Sampler
from .verdict import client_bound

NEEDS = {"ms_per_handshake": ("handshakes", 1e3), "us_per_echo": ("echoes", 1e6), "cpu_s_per_gb": ("bytes", 1e9)}


class Run:
    """A finished run. The figures are None where they were not or could not be measured."""

    def __init__(self, server, command, result, code, complaints, cpu_s):
        self.server, self.command, self.result = server.name, command, result
        self.cpu_s = cpu_s
        self.failure = None  # why the figures do not count
        self.remark = None  # they count, but this has to be said
        errors = dict(result.get("errors", {})) if result else {}
        late = errors.pop("not-issued", None)
        if late and not errors:
            self.remark = f"{late['count']} operations of the plan were never begun: the rate was not reached"
        elif result is None:
            self.failure = (complaints.strip().splitlines() or [f"exit {code}, no result"])[-1]
        elif code != 0 and result["summary"].get("errors", 0) > 0:
            count = result["summary"]["errors"]
            first = next((f"{name}: {each['first']}" for name, each in result.get("errors", {}).items()), "")
            self.failure = f"{count} error{'s' if count != 1 else ''}, first {first}".strip()
        elif code != 0 and not self._sustained():
            self.remark = self._said("not sustained")
        elif code != 0:
            amiss = [
                f"{result['summary'][name]} {name.replace('_', ' ')}"
                for name in ("failed", "timed_out", "unfinished")
                if result["summary"].get(name)
            ]
            none = ["nothing was finished in time"] if not result["summary"].get("started") else []
            self.failure = ", ".join(amiss or none) or (complaints.strip().splitlines() or [f"exit {code}"])[-1]

        self.client_bound = client_bound(result)
        self.remark_but_bound = self.remark
        if self.client_bound and not self.failure:
            self.remark = f"{self.remark}; {self.client_bound}" if self.remark else self.client_bound

    def _sustained(self):
        return (self.result.get("offered") or {}).get("sustained", True)

    def _said(self, what):
        """The first remark of sshload that begins so."""
        remarks = self.result.get("generator", {}).get("remarks", []) if self.result else []
        return next((remark for remark in remarks if remark.startswith(what)), None)

    @property
    def summary(self):
        return self.result["summary"] if self.result else {}

    def figure(self, name):
        """cpu_s_per_gb, us_per_echo, ms_per_handshake; p50 … mean (us); a name of the summary; slip_p99, sent_p99."""
        if self.failure or not self.result:
            return None
        if name in NEEDS:
            return self._cost(*NEEDS[name])
        for prefix, block in (
            ("slip_", "schedule_slip_us"),
            ("sent_", "latency_uncorrected_us"),
            ("handshake_", "handshake_us"),
            ("", "latency_us"),
        ):
            if name.startswith(prefix) and name[len(prefix) :] in self.result.get(block, {}):
                return self.result[block][name[len(prefix) :]]
        return self.summary.get(name)

    def _cost(self, what, unit):
        summary = self.summary
        count = summary.get(what)
        if count is None and "handshakes_per_s" in summary and what == "handshakes":
            count = self._handshakes()
        return self.cpu_s * unit / count if count and self.cpu_s is not None else None

    def _handshakes(self):
        """Only where sessions come and go: elsewhere they came up before the measured time."""
        return (
            self.summary["handshakes_per_s"] * self.summary["seconds"] if self.result.get("mode") == "connect" else None
        )

    def as_json(self):
        names = [
            "cpu_s_per_gb",
            "us_per_echo",
            "ms_per_handshake",
            "p50",
            "p99",
            "slip_p99",
            "mb_per_s",
            "echoes_per_s",
            "handshakes_per_s",
            "sessions_up",
        ]
        figures = {name: self.figure(name) for name in names}
        return {
            "server": self.server,
            "command": self.command,
            "failure": self.failure,
            "client_bound": self.client_bound,
            "server_cpu_s": self.cpu_s,
            **({"negotiated": self.result["negotiated"]} if self.result and "negotiated" in self.result else {}),
            **{name: value for name, value in figures.items() if value is not None},
        }


class Load:
    """A running load. Give it a with block, or start() and finish()."""

    def __init__(self, bench, server, mode, connections, duration_s=None, warmup_s=0.0, extra=(), size=None, nice=0):
        self.bench, self.server = bench, server
        self.json_path = bench.new_file("load.json")
        self.command = (self._sshload if server.ssh else self._tcp_load)(
            mode, connections, duration_s, warmup_s, size, extra
        )
        if nice:
            self.command = ["nice", "-n", str(nice), *self.command]
        self.in_traffic = threading.Event()
        self.process = None
        self.complaints = ""

    def _sshload(self, mode, connections, duration_s, warmup_s, size, extra):
        extra = [str(each) for each in extra]
        command = [
            str(self.bench.program("sshload")),
            "--quiet",
            "--insecure",
            "--interval",
            "50ms",
            "-m",
            mode,
            "-c",
            str(connections),
            "-d",
            f"{duration_s or 3600:g}s",
            "-w",
            f"{warmup_s:g}s",
            "--json",
            str(self.json_path),
        ]
        if "--connecting" not in extra:
            command += ["--connecting", str(self.server.connecting)]
        if size is not None:
            command += ["-s", str(size)]
        return [*command, *self.server.load_arguments(), *extra, self.server.address]

    def _tcp_load(self, mode, connections, duration_s, warmup_s, size, _):
        command = [
            str(self.bench.program("tcp-load")),
            "-m",
            mode,
            "-c",
            str(connections),
            "-d",
            f"{duration_s or 3600:g}",
            "-w",
            f"{warmup_s:g}",
            "-J",
            str(self.json_path),
        ]
        return [*command, *(["-s", str(size)] if size is not None else []), self.server.address]

    def start(self):
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.bench.running.add(self.process)
        self.readers = [
            threading.Thread(target=self._watch, daemon=True),
            threading.Thread(target=self._listen, daemon=True),
        ]
        for reader in self.readers:
            reader.start()
        return self

    def _watch(self):
        for line in self.process.stdout:
            if not self.in_traffic.is_set() and "load" in line.split("sessions=")[0].split():
                self.in_traffic.set()
        self.in_traffic.set()

    def _listen(self):
        self.complaints = self.process.stderr.read()

    def wait_traffic(self, timeout_s=180):
        """Until every session is up (or the load has ended)."""
        self.in_traffic.wait(timeout_s)
        return self.process.poll() is None

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()

    def finish(self, timeout_s):
        """Waits for the end and returns (result or None, exit code)."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self.process.wait()
            self.complaints += f"\nstill ran after {timeout_s:.0f} s"
        for reader in self.readers:
            reader.join(5)
        self.bench.running.discard(self.process)
        return result_of(self.json_path), code

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()
        self.finish(10)


def measure(
    bench, server, mode, connections, duration_s, warmup_s=0.3, extra=(), size=None, label=None, patience_s=120
):
    """Runs the load to its end. The server's CPU is that of the measured time alone: no ramp, no warm-up, no drain."""
    if label and server.ssh:
        extra = [*extra, "--label", label]
    if server.ssh and server.group is not None:  # sshload looks at the server itself
        extra = [*extra, *server.group.load_arguments()]
    load = Load(bench, server, mode, connections, duration_s, warmup_s, extra, size)
    with contextlib.ExitStack() as stack:
        floor = server.group is not None and not server.ssh  # tcp-load does not
        sampler = stack.enter_context(Sampler(server.group)) if floor else None
        load.start()
        result, code = load.finish(duration_s + warmup_s + patience_s)
    cpu_s = (result or {}).get("server", {}).get("cpu_s")
    if sampler is not None and result is not None:
        begin = start_of_traffic(result) + result["phases"]["warmup_s"]
        cpu_s = sampler.cpu_between(begin, begin + result["summary"]["seconds"])
    run = Run(server, load.command, result, code, load.complaints, cpu_s)
    run.json_path = load.json_path
    bench.record(run, label)
    return run


def measure_openssh(bench, server, gigabytes, cipher, label):
    """The real OpenSSH client as the load: zeroes through `ssh HOST cat`, counted at the other end. The server's CPU is that
    of the whole session, login included."""
    host, _, port = server.address.rpartition(":")
    size = int(gigabytes * 1e9)
    options = "BatchMode=yes StrictHostKeyChecking=no UserKnownHostsFile=/dev/null LogLevel=ERROR IdentitiesOnly=yes"
    command = ["ssh", "-F", "none", "-T", *(word for option in options.split() for word in ("-o", option))]
    command += ["-i", str(server.identity), "-c", cipher, "-p", port, host.strip("[]"), "cat"]
    before, began = server.group.cpu_s(), time.time()
    stages = []
    try:
        for each in (["head", "-c", str(size), "/dev/zero"], command, ["wc", "-c"]):
            stages.append(
                subprocess.Popen(
                    each,
                    stdin=stages[-1].stdout if stages else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            )
            bench.running.add(stages[-1])
        for stage in stages[:-1]:
            stage.stdout.close()  # now only the next stage reads it
        counted = int(stages[-1].stdout.read() or 0)
        complaints = stages[1].stderr.read().decode(errors="replace")
        code = [stage.wait() for stage in stages][1]
    finally:
        for stage in stages:
            if stage.poll() is None:
                stage.kill()
            stage.wait()
            for pipe in (stage.stdout, stage.stderr):
                pipe.close()
            bench.running.discard(stage)
    seconds, cpu_s = time.time() - began, server.group.cpu_s() - before
    result = None
    if code == 0 and counted == size:
        result = {"summary": {"bytes": size, "seconds": seconds, "mb_per_s": size / 1e6 / seconds, "errors": 0}}
    run = Run(server, command, result, code, complaints or f"{counted} of {size} bytes came back, exit {code}", cpu_s)
    bench.record(run, label)
    return run


def result_of(path):
    """What a run has left; None: nothing of use."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads(path.read_text())
    return None


def start_of_traffic(result):
    """Seconds since 1970."""
    if "started_at_s" in result:
        return result["started_at_s"]
    text = result["started_at"].replace("Z", "+00:00")
    return datetime.fromisoformat(text).timestamp()


@contextlib.contextmanager
def holding(bench, server, connections, extra=(), size=None, nice=0, patience_s=180):
    """Sessions that are up and idle in the with block, each after one echo (of size bytes). Yields the load, whose
    `sessions` says how many there are."""
    load = Load(
        bench, server, "hold", connections, None, 0.0, (["--sample", "0", *extra] if server.ssh else extra), size, nice
    )
    with load:
        load.wait_traffic(patience_s)
        yield load
        load.stop()
        result, code = load.finish(30)
        load.sessions = result["summary"]["sessions_up"] if result else 0
        run = Run(server, load.command, result, code, load.complaints, None)
        load.failure = run.failure if load.sessions < connections else None
        if run.client_bound:
            bench.note(f"{server.name}, {connections} sessions held: {run.client_bound}")
