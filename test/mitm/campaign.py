#!/usr/bin/python3
"""Real clients talk to a server through proxy.py; a control session talks to it directly.

    test/mitm/campaign.py [--seconds N | --cases N] [--seed S] [--case N]

Each case ends in one of two ways: everything came back exactly, or the client saw that the connection failed. Wrong
bytes in a client's hands, a client or server that hangs, a worker that dies, fds or connections left over, a
sanitizer's report or a control session that is disturbed are failures. A case is run again with --seed S --case N.
"""

import argparse
import contextlib
import json
import sys
import threading
import time
from pathlib import Path

sys.path[:0] = [
    str(Path(__file__).resolve().parent),
    str(Path(__file__).resolve().parent.parent),
    str(Path(__file__).resolve().parent.parent / "hostile"),
    str(Path(__file__).resolve().parent.parent / "system"),
]

import clients  # noqa: E402
import figures  # noqa: E402
import harness  # noqa: E402
import rawssh  # noqa: E402
import sshload_helpers  # noqa: E402
from control import Control  # noqa: E402
from proxy import Plan, Proxy  # noqa: E402

LANES = 6  # cases at the same time: most of a case is waiting
CLIENT_SECONDS = 60  # a client that is not done by then hangs
SERVER_GIVES_UP = 30  # by then each deadline of OPTIONS has come
# Short, so that a connection whose length field was flipped is given up soon; long enough for a slow machine.
OPTIONS = {
    "banner-timeout": "4s",
    "kex-timeout": "6s",
    "login-timeout": "8s",
    "no-progress-timeout": "5s",
    "idle-timeout": "6s",
    **figures.OPTIONS,
}


class Broken(Exception):
    """What must not happen."""


def with_rawssh(server, address, plan, data):
    """None when all came back, else what the client saw. What comes back is compared even when the connection fails."""
    client = channel = None
    try:
        client = rawssh.Client(address, ciphers=(plan.cipher,), handshake=False)
        client.handshake(SERVER_GIVES_UP)
        client.login()
        channel = client.shell()
        client.echo(channel, data[: len(data) // 2], SERVER_GIVES_UP)
        client.rekey(timeout=SERVER_GIVES_UP)
        client.echo(channel, data[len(data) // 2 :], SERVER_GIVES_UP)
        channel.finish(SERVER_GIVES_UP)
        return None
    except AssertionError as error:
        if " within " in str(error):
            raise Broken(f"left hanging: {error}") from None
        return str(error)
    except Exception as error:  # whatever the client trips over, it has seen that the connection is no good
        return f"{type(error).__name__}: {error}"
    finally:
        if channel is not None and bytes(channel.data) != data[: len(channel.data)]:
            raise Broken("wrong bytes were accepted")
        if client is not None:
            client.violations.clear()
            client.close()


def with_openssh(server, address, plan, data):
    command = clients.openssh(
        server,
        address=address,
        options=[f"Ciphers={plan.cipher}", "RekeyLimit=16K", "ConnectTimeout=10", "ServerAliveInterval=5"],
    )
    result = clients.run(server, command, data, timeout=CLIENT_SECONDS)
    if result.stdout != data[: len(result.stdout)]:
        raise Broken(f"wrong bytes were accepted: {clients.first_difference(result.stdout, data)}")
    if result.returncode == 0 and result.stdout != data:
        raise Broken(f"exit 0 with {len(result.stdout)} of {len(data)} bytes")
    return f"exit {result.returncode}: {result.stderr[-300:]}" if result.returncode else None


def with_sshload(server, address, plan, data):
    out = server.directory / f"case-{plan.number}.json"
    command = [
        str(harness.SSHLOAD),
        "-q",
        "--no-progress",
        "-m",
        "ping",
        "-c",
        "1",
        "-n",
        "20",
        "-s",
        str(max(1, len(data) // 20)),
        "--ciphers",
        plan.cipher,
        "-T",
        "5s",
        "--handshake-timeout",
        "8s",
        "--drain-timeout",
        "2s",
        "--json",
        str(out),
        f"tester@{address[0]}:{address[1]}",
    ]
    result = clients.run(server, command, timeout=CLIENT_SECONDS)
    if result.returncode not in (0, 1):
        raise Broken(f"sshload ended with {result.returncode}: {result.stderr[-500:]}")
    whole = json.loads(out.read_text()) if out.exists() else None
    if whole:
        sshload_helpers.check_result(whole)
    errors = whole["errors"] if whole else {}
    out.unlink(missing_ok=True)
    if "mismatch" in errors:
        raise Broken(f"wrong bytes reached sshload: {errors}")
    return f"exit {result.returncode}: {errors} {result.stderr[-300:]}" if result.returncode else None


class Campaign:
    def __init__(self, server, seed):
        self.server, self.seed = server, seed
        self.lock = threading.Lock()
        self.next_number = 0
        self.total = self.succeeded = self.detected = 0
        self.applied = {}
        self.failures = []

    def run_case(self, plan):
        data = rawssh.pattern(plan.size, plan.data_seed)
        proxy = Proxy(self.server.address, plan)
        try:
            failure = globals()[f"with_{plan.client}"](self.server, proxy.address, plan, data)
        finally:
            proxy.close()
        if plan.is_harmless and failure:
            raise Broken(f"nothing was tampered with, and the client failed: {failure}")
        with self.lock:
            self.total += 1
            self.succeeded += failure is None
            self.detected += failure is not None
            for action in proxy.applied:
                self.applied[action.kind] = self.applied.get(action.kind, 0) + 1

    def lane(self, more):
        while not self.failures:
            with self.lock:
                number = self.next_number
                if not more(number):
                    return
                self.next_number += 1
            plan = Plan(self.seed, number)
            try:
                self.run_case(plan)
            except Exception as error:  # told with the verdict
                self.failures.append(
                    f"{plan}\n  {type(error).__name__}: {error}\n  again: test/mitm/campaign.py "
                    f"--seed {self.seed} --case {number}"
                )

    def run(self, more):
        lanes = [threading.Thread(target=self.lane, args=(more,)) for _ in range(LANES)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()


def run(seconds=None, cases=None, seed=1, only=None, say=print):
    """Runs a campaign; returns it. Raises what the harness finds, and AssertionError for a failure."""
    began = time.monotonic()

    def more(number):
        return number < cases if cases else time.monotonic() - began < seconds

    with harness.serve(workers=2, options=OPTIONS) as server:
        workers = server.workers()
        with rawssh.Client(server.address) as client:
            client.login().echo(client.shell(), b"x")
        harness.wait_until(lambda: figures.metric(server, "connections") == 0, 10, "quiet before the first case")
        fds = {pid: harness.fd_count(pid) for pid in workers}
        control = Control(server.address)
        campaign = Campaign(server, seed)
        try:
            if only is not None:
                campaign.run_case(Plan(seed, only))
            else:
                campaign.run(more)
            assert not campaign.failures, "\n".join(campaign.failures)
            harness.wait_until(lambda: figures.metric(server, "connections") == 1, 20, "the control session alone")
            echoes = len(control.phase("stop"))
            control.process.join(10)
            harness.wait_until(
                lambda: {pid: harness.fd_count(pid) for pid in workers} == fds,
                10,
                lambda: f"return to {fds} fds, {[(pid, harness.fd_count(pid)) for pid in workers]}",
            )
            assert server.workers() == workers, f"workers {workers} became {server.workers()}"
            assert figures.metric(server, "held_bytes") == figures.metric(server, "pending_bytes") == 0
        finally:
            control.kill()
    say(
        f"mitm: seed {seed}: {campaign.total} cases in {time.monotonic() - began:.0f} s "
        f"({'with' if harness.is_sanitized() else 'without'} sanitizers), {campaign.succeeded} echoed exactly, "
        f"{campaign.detected} failures seen by the client, 0 wrong bytes; control session {echoes} echoes exact; done: "
        + ", ".join(f"{kind} {count}" for kind, count in sorted(campaign.applied.items()))
    )
    return campaign


def main():
    parser = argparse.ArgumentParser(description="Clients through a man in the middle.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--cases", type=int, help="so many instead of a time")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--case", type=int, help="this one alone")
    options = parser.parse_args()
    with contextlib.suppress(BrokenPipeError):
        print(f"mitm: seed {options.seed}", flush=True)
    if options.case is not None:
        print(Plan(options.seed, options.case))
    try:
        run(options.seconds, options.cases, options.seed, options.case)
    except AssertionError as error:
        print(f"mitm: FAIL: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
