"""Hooks for every suite: skips are counted against a list, and the suite's children can be interrupted.

SKIPS names a file of allowed skips, one a line: a glob for the test, a tab, a glob for the reason. A skip that no line
allows fails the run; without SKIPS (a developer's machine) skips are only told. FAILURES names a file that what failed is
added to, with its trace and what its programs said: whoever keeps only the end of a long run's output finds it there.
"""

import fnmatch
import os
import signal
from pathlib import Path

import pytest

not_allowed = []

# A background job inherits SIGINT as ignored, and so would every program that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def allowed_skips():
    path = os.environ.get("SKIPS")
    if not path:
        return None
    lines = (Path(__file__).resolve().parent.parent / path).read_text().splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def is_allowed(test, reason, allowed):
    return any(fnmatch.fnmatchcase(test, name) and fnmatch.fnmatchcase(reason, why) for name, why in allowed)


def pytest_runtest_logreport(report):
    note_skip(report)
    keep_failure(report)


def pytest_collectreport(report):
    note_skip(report)
    keep_failure(report)


LINES_KEPT = 60  # of each failure: the last ones, where the assertion and the logs are


def keep_failure(report):
    path = os.environ.get("FAILURES")
    if (
        not path or not report.failed or os.environ.get("PYTEST_XDIST_WORKER")
    ):  # with workers, the one that hears them all
        return
    told = [report.longreprtext] + [f"-- {name}\n{text}" for name, text in report.sections]
    with open(path, "a") as file:
        file.write(f"---- {report.nodeid}\n" + "\n".join("\n".join(told).splitlines()[-LINES_KEPT:]) + "\n")


def note_skip(report):
    allowed = allowed_skips()
    if report.skipped and allowed is not None and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if not is_allowed(report.nodeid, reason, allowed):
            not_allowed.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session, exitstatus):
    if not_allowed and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    if not_allowed and os.environ.get("FAILURES"):
        with open(os.environ["FAILURES"], "a") as file:
            file.writelines(f"---- skipped beyond what the list allows: {each}\n" for each in not_allowed)
    if not_allowed:
        terminalreporter.section("skipped beyond what the list allows", red=True)
        for each in not_allowed:
            terminalreporter.line(each)
