"""A benchmark's command line and its life: temporary directory, programs built, everything stopped at the end."""

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import machine
from .report import Report
from .servers import Unavailable

ROOT = Path(__file__).resolve().parent.parent.parent


def options(description, runs, duration_s, only_names):
    """The options that every driver has; a driver adds its own and parses."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument(
        "--runs",
        type=_positive(int),
        metavar="N",
        help=f"runs of each measurement, of which the median counts " f"[default {runs}]",
    )
    parser.add_argument(
        "--duration", type=_positive(float), metavar="S", help=f"seconds of each run [default {duration_s:g}]"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="see that everything works, in less than a minute: one short run "
        "each, few sessions; the figures mean little",
    )
    if only_names:
        parser.add_argument(
            "--only",
            action="append",
            metavar="NAME",
            choices=only_names,
            default=[],
            help=f"only this part, repeatable: {', '.join(only_names)}",
        )
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured, with every command")
    parser.add_argument(
        "--markdown",
        metavar="FILE",
        help="write the tables as Markdown: - is stdout; in a page that holds the "
        "marks of this benchmark, what is between them is replaced",
    )
    parser.add_argument(
        "--server-option", action="append", default=[], metavar="ARG", help="pass this argument to sshechod, repeatable"
    )
    parser.add_argument("--no-build", action="store_true", help="take the programs as they are, without running make")
    parser.set_defaults(default_runs=runs, default_duration=duration_s)
    return parser


def _positive(kind):
    def parse(text):
        value = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError("must be above 0")
        return value

    parse.__name__ = "number"
    return parse


class Bench:
    """One benchmark. Owns the temporary directory and every process that it started."""

    def __init__(self, name, arguments, title):
        self.name, self.arguments = name, arguments
        self.quick = arguments.quick
        self.runs = arguments.runs or (1 if self.quick else arguments.default_runs)
        self.duration_s = arguments.duration or (0.5 if self.quick else arguments.default_duration)
        self.warmup_s = 0.2 if self.quick else 0.4
        self.server_options = arguments.server_option
        self.report = Report(title)
        self.records, self.warnings, self.notes = [], [], []
        self.bound = {}  # (server, part) → what its client-bound runs said
        self.running = set()
        self.stack = contextlib.ExitStack()
        self.build = ROOT / os.environ.get("BUILD", "build")
        self.files = 0
        self.began = time.monotonic()

    # -- life

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        self.make_programs()
        self.root = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="sshecho-bench-")))
        self.stack.callback(self.kill_loads)
        self.identity = self.make_key(self.root / "identity")
        self.about = machine.describe(self)
        if self.about["load_average"] > 0.5 * self.about["cpus"]:
            self.warn(f"this machine is busy (load average {self.about['load_average']:.1f}): figures will be off")
        self.report.text("Machine: " + machine.one_line(self.about) + ".")
        self.report.text(
            "Versions: "
            + "; ".join(
                str(self.about[name])
                for name in ("sshechod", "libssh", "libev", "openssh", "dropbear", "openssl")
                if self.about[name]
            )
            + "."
        )
        return self

    def __exit__(self, *_):
        # From here on a second Ctrl-C must not stop the clearing up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.stack.close()

    def make_programs(self):
        if not self.arguments.no_build:
            done = subprocess.run(
                ["make", "-s", "-j", str(os.cpu_count()), f"BUILD={self.build}", "all", "bench-tools"], cwd=ROOT
            )
            if done.returncode != 0:
                raise SystemExit(f"{self.name}: the build failed, see above (packages: scripts/install-deps bench)")
        for name in ("sshechod", "sshload", "tcp-echo", "tcp-load"):
            if not self.program(name).exists():
                raise SystemExit(f"{self.name}: {self.program(name)} is missing; run make all bench-tools")

    def kill_loads(self):
        for process in list(self.running):
            if process.poll() is None:
                process.kill()
            process.wait()

    # -- things that servers and loads need

    def program(self, name):
        return self.build / name

    def directory(self, name):
        self.files += 1
        path = self.root / f"{self.files}-{name}"
        path.mkdir()
        return path

    def new_file(self, name):
        self.files += 1
        return self.root / f"{self.files}-{name}"

    def make_key(self, path):
        if shutil.which("ssh-keygen") is None:
            raise SystemExit(f"{self.name}: ssh-keygen is missing (scripts/install-deps bench)")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
        return path

    def borrow_directory(self, path):
        """Makes a directory for the time of the benchmark, unless it is there."""
        if not path.exists():
            path.mkdir(mode=0o755)
            self.stack.callback(lambda: path.exists() and not os.listdir(path) and path.rmdir())

    def serve(self, stack, server):
        """Starts it for as long as the stack lives; None, with a note, where it cannot be."""
        try:
            return stack.enter_context(server)
        except Unavailable as reason:
            self.note(str(reason))
            return None

    # -- what to say

    def wants(self, part):
        return not self.arguments.only or part in self.arguments.only

    def progress(self, text):
        print(f"[{time.monotonic() - self.began:5.0f} s] {text}", file=sys.stderr, flush=True)

    def warn(self, text):
        if text not in self.warnings:
            self.warnings.append(text)
            print(f"{self.name}: warning: {text}", file=sys.stderr, flush=True)

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def record(self, run, label):
        self.records.append({"part": label, **run.as_json()})
        if run.failure or run.remark_but_bound:
            self.note(f"{run.server}, {label}: {run.failure or run.remark_but_bound}")
        if run.client_bound and not run.failure:
            why = f"{run.server}, {label}: {run.client_bound}"
            self.bound.setdefault((run.server, label.split()[0]), []).append(why)

    def note_bound(self):
        """A line for each server and part, not one for each run: those are in the JSON."""
        for (server, part), bound in self.bound.items():
            runs = sum(each["server"] == server and each["part"].split()[0] == part for each in self.records)
            self.note(
                f"{server}: {len(bound)} of {runs} runs of {part} were client-bound: their costs count, their rates are what "
                f"both sides did together; the first: {bound[0]}"
            )

    def finish(self):
        """Prints and writes the report."""
        self.note_bound()
        if self.notes or self.warnings:
            self.report.text("Notes:\n" + "\n".join(f"- {text}" for text in self.warnings + self.notes))
        took = time.monotonic() - self.began
        command = shlex.join([f"scripts/{self.name}", *sys.argv[1:]])
        self.report.text(
            f"Made by `{command}` in {took:.0f} s: {self.runs} run(s) of {self.duration_s:g} s, the servers taking "
            "turns; median (least–most)."
        )
        self.report.data.update(
            {
                "schema": f"{self.name}/1",
                "command": [f"scripts/{self.name}", *sys.argv[1:]],
                "machine": self.about,
                "runs": self.runs,
                "duration_s": self.duration_s,
                "quick": self.quick,
                "warnings": self.warnings,
                "notes": self.notes,
                "seconds": round(took, 1),
                "records": self.records,
            }
        )
        if self.arguments.markdown != "-":
            print(self.report.as_text())
        if self.arguments.json:
            self.report.write_json(self.arguments.json)
        if self.arguments.markdown:
            self.report.write_markdown(self.arguments.markdown, self.name)


def _interrupt(number, _):
    raise KeyboardInterrupt


def main(name, arguments, title, measure):
    """Runs measure(bench) and reports; the exit code."""
    try:
        with Bench(name, arguments, title) as bench:
            measure(bench)
            bench.finish()
        return 0
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted; everything was stopped", file=sys.stderr)
        return 130
