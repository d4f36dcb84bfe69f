"""Load beside a fault, and how its figures are told. FAULTS=full, as scripts/faults sets it, does more of everything."""

import os
import time

from sshload_helpers import finish_load, start_load, target_of


FULL = os.environ.get("FAULTS") == "full"


def tell(text):
    print(f"\nfaults: {text}")


def begin_load(server, *arguments):
    """(the process, what outcome() takes) of a load that runs."""
    started = start_load(
        server.directory,
        "-q",
        "--no-progress",
        *arguments,
        target=f"tester@{target_of(server)}",
        json_name=f"load-{time.monotonic_ns()}.json",
    )
    return started[1], started


def outcome(process, started, timeout=60):
    """(exit code, the JSON result) of a finished load."""
    try:
        done = finish_load(started, timeout)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert done.result is not None, f"sshload left no result: {done}"
    return done.code, done.result
