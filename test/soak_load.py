"""The mixed load of scripts/soak: sessions that stay, come, go and re-key, clients that misbehave, OpenSSH beside them.

Owns the processes and threads that it starts, counts what they did and collects what went wrong; judges no memory.
"""

import contextlib
import hashlib
import json
import random
import subprocess
import threading
import time
from pathlib import Path

import clients
import harness
import rawssh
from rawssh.wire import IGNORE, byte, string

GAP_SECONDS = 3  # between two rounds of the hand-made load


class Load:
    """Everything that talks to the server. Counts what it did; collects what went wrong."""

    def __init__(self, server, scale, seconds, directory):
        self.server, self.scale, self.seconds = server, scale, seconds
        self.directory = Path(directory)
        self.random = random.Random(1)
        self.done, self.peak = {}, 0
        self.failures = []
        self.running = []
        self.stop = threading.Event()
        self.threads = [
            threading.Thread(target=self.guard, args=(each,), daemon=True)
            for each in (self.slow_readers, self.floods, self.openssh_rekeys)
        ]

    def count(self, what, times=1):
        self.done[what] = self.done.get(what, 0) + times

    def fail(self, what):
        self.failures.append(f"{time.strftime('%H:%M:%S')} {what}")

    def sshload(self, name, *arguments):
        result = self.directory / f"{name}.json"
        command = [
            str(harness.SSHLOAD),
            "-q",
            "--json",
            str(result),
            "--no-progress",
            "-d",
            f"{self.seconds}s",
            *arguments,
            f"soak@{self.server.address[0]}:{self.server.port}",
        ]
        with open(self.directory / f"{name}.log", "w") as log:
            self.running.append(
                (name, result, subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
            )

    def start(self):
        rate = lambda n: str(max(1, round(n * self.scale)))  # noqa: E731
        self.sshload("stay", "-m", "ping", "-c", "20", "-C", "2", "-s", "exp:2K", "-r", rate(100))
        self.sshload("churn", "-m", "ping", "-c", "10", "-s", "1K", "-r", rate(60), "--reconnect-after", "20")
        self.sshload("connect", "-m", "connect", "-c", "2", "-r", rate(5))
        self.sshload("rekey", "-m", "ping", "-c", "2", "-s", "32K", "-r", rate(10), "--rekey-bytes", "1M")
        for thread in self.threads:
            thread.start()

    def guard(self, job):
        while not self.stop.is_set():
            try:
                job()
            except Exception as error:  # shown in the verdict
                self.fail(f"{job.__name__}: {type(error).__name__}: {error}"[:500])
            self.stop.wait(GAP_SECONDS / max(self.scale, 0.1))

    def slow_readers(self):
        """Readers that stop for a while, take a byte at a time, then everything; every byte has to come."""
        data = rawssh.pattern(60_000, self.random.random())
        with rawssh.Client(self.server.address) as client:
            client.login()
            channel = client.shell(window=0, auto=False)
            channel.feed(data)
            client.idle(1)
            for _ in range(20):
                channel.adjust(1)
                client.step(0.01)
            client.reading = False
            channel.adjust(30_000)
            client.flush()
            self.stop.wait(2)
            client.reading = True
            channel.adjust(1 << 20)
            client.wait(lambda: len(channel.data) >= len(data), 30, "echo to a slow reader")
            if bytes(channel.data) != data:
                self.fail("slow_readers: the echo differs")
            channel.finish()
            self.count("slow readers")
            self.count("bytes compared", len(data))

    def floods(self):
        job = self.random.choice(
            [
                self.flood_of_connections,
                self.flood_of_garbage,
                self.flood_of_ignores,
                self.flood_of_channels,
                self.flood_of_resets,
            ]
        )
        job()
        self.count(job.__name__.replace("_", " "))

    def flood_of_connections(self):
        crowd = [rawssh.connect(self.server.address) for _ in range(100)]
        for sock in crowd:
            sock.close()

    def flood_of_garbage(self):
        for _ in range(10):
            with contextlib.suppress(OSError), rawssh.connect(self.server.address) as sock:
                sock.settimeout(5)
                sock.sendall(b"SSH-2.0-x\r\n" * self.random.randrange(2) + self.random.randbytes(2000))
                while sock.recv(4096):
                    pass

    def flood_of_ignores(self):
        with rawssh.Client(self.server.address) as client:
            client.login()
            channel = client.shell()
            for _ in range(2000):
                client.send(byte(IGNORE) + string(b"x" * 50))
            if client.echo(channel, b"still here") != b"still here":
                self.fail("flood of ignores: the echo differs")
            channel.finish()

    def flood_of_channels(self):
        with rawssh.Client(self.server.address) as client:
            client.login()
            channels = [client.open(wait=False) for _ in range(200)]
            client.wait(lambda: all(each.opened or each.open_failure for each in channels), what="answers to opens")
            for channel in channels:
                if channel.opened:
                    channel.send_close()
            client.wait(lambda: all(each.closed or not each.opened for each in channels), what="closes")

    def flood_of_resets(self):
        for _ in range(10):
            client = rawssh.Client(self.server.address).login()
            channel = client.shell()
            channel.feed(rawssh.pattern(30_000))
            for _ in range(self.random.randrange(8)):
                client.step(0.002)
            client.violations.clear()
            client.reset()

    def openssh_rekeys(self):
        """An independent client: OpenSSH, a re-key each megabyte."""
        data = rawssh.pattern(3_000_000, self.random.random())
        result = clients.run(self.server, clients.openssh(self.server, options=["RekeyLimit=1M"]), data)
        if result.returncode != 0 or hashlib.sha256(result.stdout).digest() != hashlib.sha256(data).digest():
            self.fail(
                f"openssh: exit {result.returncode}, {len(result.stdout)} of {len(data)} bytes {result.stderr[-200:]}"
            )
        self.count("OpenSSH runs with re-keys")
        self.count("bytes compared", len(result.stdout))
        self.stop.wait(10)

    def finish(self):
        """Ends everything; returns the results of sshload by name."""
        results = {}
        for name, path, process in self.running:
            try:
                code = process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                code = "hung"
            log = (self.directory / f"{name}.log").read_text()[-300:]
            if not path.exists():
                self.fail(f"sshload {name}: exit {code}, no result: {log}")
                continue
            results[name] = json.loads(path.read_text())
            summary = results[name]["summary"]
            bad = summary["failed"] + summary["timed_out"] + summary["unfinished"]
            if code != 0 or bad or summary["started"] != summary["ok"] + bad:
                errors = {each: entry["count"] for each, entry in results[name]["errors"].items()}
                self.fail(
                    f"sshload {name}: exit {code}, {errors}, started {summary['started']} ok {summary['ok']}: {log}"
                )
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
            if thread.is_alive():
                self.fail("a client of the soak hangs")
        return results

    def kill(self):
        self.stop.set()
        for _, _, process in self.running:
            if process.poll() is None:
                process.kill()
                process.wait()
