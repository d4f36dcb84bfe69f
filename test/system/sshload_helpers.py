"""Runs sshload for a test and checks every result; runs OpenSSH and Dropbear for it. bad_servers has the others."""

import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import jsonschema

import harness


SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")
DROPBEAR = shutil.which("dropbear", path="/usr/sbin:/usr/bin:/sbin")


class Outcome:
    """A finished sshload: exit code, report, complaints, and the JSON result if there is one."""

    def __init__(self, command, process, json_path):
        self.command = command
        self.code = process.returncode
        self.report = process.stdout
        self.complaints = process.stderr
        self.json_path = Path(json_path)
        self.result = json.loads(self.json_path.read_text()) if self.json_path.exists() else None

    @property
    def summary(self):
        return self.result["summary"]

    @property
    def errors(self):
        return {name: entry["count"] for name, entry in self.result["errors"].items()}

    def first(self, name):
        return self.result["errors"][name]["first"]

    def __repr__(self):
        return f"{' '.join(self.command)}\nexit {self.code}\n{self.report}\n{self.complaints}"


def target_of(server):
    host, port = server if isinstance(server, tuple) else server.address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def start_load(directory, *arguments, target, json_name="result.json", **more):
    """A running sshload; the caller waits for it. One whose arguments hold --json=- leaves its result on stdout."""
    json_path = Path(directory) / json_name
    ours = [] if "--json=-" in arguments else ["--json", str(json_path)]
    command = [str(harness.SSHLOAD), *ours, *map(str, arguments)]
    command += [
        each if isinstance(each, str) else target_of(each)
        for each in (target if isinstance(target, list) else [target])
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )
    return command, process, json_path


def finish_load(started, timeout=60):
    command, process, json_path = started
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AssertionError(f"sshload still runs after {timeout} s: {' '.join(command)}") from None
    process.stdout, process.stderr = out, err
    if "--json=-" in command and out:
        json_path.write_text(out)
    outcome = Outcome(command, process, json_path)
    print(outcome)  # shown where a test fails; in the assertion itself pytest cuts it
    report = harness.SANITIZER_REPORT.search(err)
    assert not report, f"sanitizer report:\n{err}"
    if outcome.result is not None:
        check_result(outcome.result)
    return outcome


def load(directory, *arguments, target, timeout=60, **more):
    return finish_load(start_load(directory, *arguments, target=target, **more), timeout)


def run_tool(*arguments, timeout=30, **more):
    """sshload compare, merge or plot, or an sshload that is not meant to connect."""
    return subprocess.run(
        [str(harness.SSHLOAD), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        **more,
    )


# -- what every result has to keep

SCHEMA = jsonschema.Draft7Validator(json.loads((harness.ROOT / "test/schema/sshload-1.json").read_text()))
FIGURES = {"count", "p50", "p90", "p99", "p99_9", "max", "mean"}


def check_figures(figures, name):
    assert FIGURES <= set(figures), name
    values = [figures[key] for key in ("p50", "p90", "p99", "p99_9", "max")]
    if figures["count"] == 0:
        assert values == [None] * 5, name
    else:
        assert values == sorted(values), f"{name}: percentiles fall: {values}"


def check_result(result):
    """The promises of the schema that a JSON schema cannot word: sums, orders, agreement of figures and buckets."""
    SCHEMA.validate(result)
    summary = result["summary"]
    assert summary["started"] == summary["ok"] + summary["failed"] + summary["timed_out"] + summary["unfinished"]
    assert summary["errors"] == sum(entry["count"] for entry in result["errors"].values())
    for name in ("latency_us", "latency_uncorrected_us", "schedule_slip_us", "handshake_us"):
        check_figures(result[name], name)
        histogram = result["histograms"][name]
        assert histogram["total"] == result[name]["count"] == sum(count for _, count in histogram["buckets"])
    for name, figures in result["handshake_us"]["phases"].items():
        check_figures(figures, name)
    if "intervals" in result:
        rows = result["intervals"]["rows"]
        assert sum(row["count"] for row in rows) == result["latency_us"]["count"]
        assert max((row["max"] or 0 for row in rows), default=0) == (result["latency_us"]["max"] or 0)
        assert sum(row["errors"] for row in rows) <= summary["errors"]
    if summary["seconds"] > 0:
        assert abs(summary["echoes_per_s"] - summary["echoes"] / summary["seconds"]) < 0.01
        assert abs(summary["mb_per_s"] - summary["bytes"] / 1e6 / summary["seconds"]) < 0.01


# -- how a run ended

HASTE = ["--connect-timeout", "1s", "--handshake-timeout", "2s", "--timeout", "1s", "--drain-timeout", "1s"]


def expect(outcome, *classes):
    """The run failed, for these reasons and no other."""
    assert outcome.code == 1, outcome
    assert set(outcome.errors) and set(outcome.errors) <= set(classes), outcome
    assert outcome.errors.get(classes[0]), outcome
    for name in outcome.errors:
        assert name in outcome.report and outcome.first(name) in outcome.report
    return outcome


def clean(outcome):
    assert outcome.code == 0, outcome
    assert outcome.errors == {}, outcome
    summary = outcome.summary
    assert summary["ok"] == summary["started"] > 0, outcome
    return outcome


# -- other servers


# Debian's bash reads ~/.bashrc when an SSH server starts it, unless it believes to be the second shell: what people keep
# there may take a second, or speak.
SECOND_SHELL = {"SHLVL": "1"}


class Daemon:
    """Somebody else's SSH server in the foreground, on a port of its own, with keys of its own."""

    def __init__(self, directory, name, command, port, identity):
        self.name = name
        self.address = ("127.0.0.1", port)
        self.identity = identity
        self.log_path = Path(directory) / f"{name}.log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **SECOND_SHELL}
            )

    def wait_ready(self):
        def answers():
            assert self.process.poll() is None, f"{self.name} ended:\n{self.log_path.read_text()}"
            with contextlib.suppress(OSError):
                with socket.create_connection(self.address, 1) as connection:
                    return connection.recv(4) == b"SSH-"
            return False

        harness.wait_until(answers, 10, f"{self.name} to answer")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def make_key(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@contextlib.contextmanager
def openssh(directory, *options):
    """sshd that lets the present user in by key."""
    directory = Path(directory)
    host_key = make_key(directory / "host")
    identity = make_key(directory / "identity")
    port = harness.free_port()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    command = [
        SSHD,
        "-D",
        "-e",
        "-f",
        "/dev/null",
        "-p",
        str(port),
        "-h",
        str(host_key),
        "-o",
        "ListenAddress=127.0.0.1",
        "-o",
        "PidFile=none",
        "-o",
        "SetEnv=SHLVL=1",
        "-o",
        "StrictModes=no",
        "-o",
        "UsePAM=no",
        "-o",
        "PermitRootLogin=yes",
        "-o",
        f"AuthorizedKeysFile={identity}.pub",
        "-o",
        "MaxStartups=100:30:200",
    ]
    for option in options:
        command += ["-o", option]
    daemon = Daemon(directory, "sshd", command, port, identity)
    try:
        daemon.wait_ready()
        yield daemon
    finally:
        daemon.stop()


@contextlib.contextmanager
def dropbear(directory):
    """Dropbear that lets the present user in by key. It reads ~/.ssh only, so it gets a home of its own."""
    directory = Path(directory)
    host_key = directory / "dropbear_host"
    subprocess.run(["dropbearkey", "-t", "ed25519", "-f", str(host_key)], check=True, capture_output=True)
    identity = make_key(directory / "identity")
    port = harness.free_port()
    command = [DROPBEAR, "-F", "-E", "-e", "-p", f"127.0.0.1:{port}", "-r", str(host_key), "-P", str(directory / "pid")]
    home = Path(os.path.expanduser(f"~{getpass.getuser()}")) / ".ssh"
    home.mkdir(mode=0o700, exist_ok=True)
    keys = home / "authorized_keys"
    before = keys.read_bytes() if keys.exists() else None
    keys.write_bytes((before or b"") + Path(f"{identity}.pub").read_bytes())
    keys.chmod(0o600)
    daemon = Daemon(directory, "dropbear", command, port, identity)
    try:
        daemon.wait_ready()
        yield daemon
    finally:
        daemon.stop()
        if before is None:
            keys.unlink()
        else:
            keys.write_bytes(before)
