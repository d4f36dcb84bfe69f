"""What scripts/clients has each client do, and how it is judged: by what comes back and by the server's own report.

Each task takes the testbed and a client. It returns when all was right, raises interop.Cannot where the client has no way
to do it, and anything else where it failed.
"""

import contextlib
import os
import re
import subprocess
import threading
import time

import clients
import harness
import interop
import reports
from interop import Cannot
from passwords import hashed
from rawssh import pattern

MEBIBYTE = pattern(1 << 20)
EVERY_BYTE = b"".join(bytes((first, second)) for first in range(256) for second in range(256))
SMALL = pattern(3000)
CHANNELS = 20
AT_ONCE = 10
KILLS_AFTER_BYTES = 200_000
HOST_KEYS = {"ssh-ed25519": "ed25519", "ecdsa-sha2-nistp256": "ecdsa", "rsa-sha2-512": "rsa", "rsa-sha2-256": "rsa"}
HOST_KEYS |= {"ssh-rsa": "rsa"}
CIPHERS = [*interop.CIPHERS, "aes128-cbc", "aes256-cbc", "3des-cbc"]
OFFER = {"cipher": "cipher_client_to_server", "host key": "host_key"}


def make_host_keys(directory):
    """One of each type, for all servers."""
    made = [directory / f"host_{kind}" for kind in sorted(set(HOST_KEYS.values()))]
    for path in made:
        make = ["ssh-keygen", "-q", "-t", path.name[5:], "-m", "PEM", "-N", "", "-f", str(path)]
        subprocess.run(make, check=True, stdin=subprocess.DEVNULL)
    return made


class Testbed:
    """Servers by their options, started when first wanted; the keys that let clients in."""

    def __init__(self, directory, host_keys, connections):
        self.directory, self.host_keys, self.many_connections = directory, host_keys, connections
        self.keys = interop.make_keys(directory)
        (directory / "passwords").write_text(f"tester:{hashed('secret')}\n")
        self.stack = contextlib.ExitStack()
        self.servers = {}
        self.offered = {}  # by client
        self.provoked = set()  # connections whose remarks are this script's doing

    def server(self, client, login="none", algorithms="", **options):
        """One for this login method, with the algorithms that the client needs."""
        options |= {"auth-methods": login, "algorithms": algorithms or client.algorithms}
        options |= {"host-key": self.host_keys, "workers": 1, "report-file": "reports"}
        options |= {"password-file": self.directory / "passwords", "authorized-keys": self.keys / "authorized_keys"}
        options |= {"banner_timeout": "2m", "kex_timeout": "2m", "login_timeout": "2m"}  # the machine may be busy
        which = tuple(sorted((key, str(value)) for key, value in options.items()))
        if which not in self.servers:
            keyed = {key.replace("_", "-"): value for key, value in options.items()}
            self.servers[which] = self.stack.enter_context(harness.serve(options=keyed))
        return self.servers[which]

    def connections(self):
        """All of them so far."""
        servers = self.servers.values()
        return {(server.port, number) for server in servers for number in range(1, told(server) + 1)}

    def close(self):
        self.stack.close()


def told(server):
    """How many connections there have been, once each is over and has its report."""

    def settled():
        return len(reports.lines(server)) == len(server.lines("accept"))

    harness.wait_until(settled, 20, "a report on each connection")
    return len(reports.lines(server))


def last_report(server, before):
    """The report on the one connection since there were so many."""
    assert told(server) == before + 1, f"{told(server) - before} connections instead of one"
    return reports.lines(server)[before]


def echoed(testbed, client, server, data, **more):
    """An exact echo, and the report on it."""
    before = told(server)
    clients.assert_echo(client.run(server, data, testbed.keys, **more), data)
    return last_report(server, before)


# -- tasks


def exact(testbed, client):
    """1 MiB comes back as it was sent."""
    return echoed(testbed, client, testbed.server(client), MEBIBYTE)


def every_byte(testbed, client):
    """All pairs of bytes do."""
    return echoed(testbed, client, testbed.server(client), EVERY_BYTE)


def half_close(testbed, client):
    """Its end of input goes out while all of the echo is still to come, and all of it comes."""
    before = told(testbed.server(client))
    clients.assert_echo(client.run(testbed.server(client), SMALL, testbed.keys, command="echo delay=400ms"), SMALL)
    when = last_report(testbed.server(client), before)["when_us"]
    if when["eof"] is None or when["close"] is None or when["close"] - when["eof"] < 200_000:
        raise Cannot("it reads all of the echo before it says that it has no more input, or never says so")


def exit_status(testbed, client):
    result = client.run(testbed.server(client), SMALL, testbed.keys, command="exit status=7")
    assert result.stdout == SMALL, f"{len(result.stdout)} of {len(SMALL)} bytes"
    if result.returncode == 0:
        raise Cannot("it tells nobody the exit status")
    assert result.returncode == 7, f"exit status {result.returncode} instead of 7: {result.stderr[-300:]}"


def twenty_channels(testbed, client):
    server = testbed.server(client)
    if client.name == "openssh":
        return openssh_channels(testbed, client, server)
    before = told(server)
    result = client.run(server, SMALL, testbed.keys, channels=CHANNELS)
    clients.assert_echo(result, SMALL * CHANNELS)
    assert last_report(server, before)["channels_opened"] == CHANNELS


def openssh_channels(testbed, client, server):
    """Many of its processes over the connection of one."""
    before = told(server)
    control = testbed.directory / "control"
    words = client.words(server, testbed.keys)
    master = [words[0], "-N", "-M", "-S", str(control), *words[1:-1]]
    running = subprocess.Popen(master, env=client.surroundings(server), stdin=subprocess.DEVNULL)
    try:
        harness.wait_until(control.exists, 20, "the control socket")
        command = [words[0], "-S", str(control), *words[1:]]
        for result in clients.run_many(server, [(command, SMALL)] * CHANNELS):
            clients.assert_echo(result, SMALL)
    finally:
        subprocess.run([words[0], "-S", str(control), "-O", "exit", "x"], capture_output=True, timeout=20)
        running.wait(20)
    assert last_report(server, before)["channels_opened"] == CHANNELS


def fifty_connections(testbed, client):
    """A process each, ten at a time."""
    server = testbed.server(client)
    words, environment = client.words(server, testbed.keys), client.surroundings(server)
    failures, left = [], list(range(testbed.many_connections))

    def some():
        while left and not failures:
            with contextlib.suppress(IndexError):  # another took the last one
                left.pop()
                try:
                    done = subprocess.run(words, input=SMALL, capture_output=True, timeout=60, env=environment)
                    clients.assert_echo(done, SMALL)
                except (AssertionError, subprocess.TimeoutExpired) as error:
                    failures.append(error)

    threads = [threading.Thread(target=some) for _ in range(AT_ONCE)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failures:
        raise failures[0]


def rekey_by_server(testbed, client):
    data = MEBIBYTE * (4 if client.name in interop.WAITED_FOR else 1)
    report = echoed(testbed, client, testbed.server(client, rekey_bytes="200K"), data)
    assert report["keys"]["re_exchanges"] > report["keys"]["by_client"], "the server has started none"


def rekey_by_client(testbed, client):
    report = echoed(testbed, client, testbed.server(client), MEBIBYTE, rekey=300_000)
    if report["keys"]["by_client"] == 0:
        raise Cannot("it has started none")


def killed(testbed, client):
    """SIGKILL while it is sent to without end: the server sees it go, and serves the next one."""
    server = testbed.server(client)
    before = told(server)
    words = client.words(server, testbed.keys, command="chargen")
    environment = client.surroundings(server, command="chargen")
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        sent = harness.wait_until(lambda: chargen_sent(server) or process.poll() is not None, 20, "bulk")
        assert sent and process.poll() is None, f"it ended by itself with {process.returncode}"
    finally:
        process.kill()
        process.wait()
    report = last_report(server, before)
    assert report["end"]["how"] in ("fin", "reset"), report["end"]
    assert report["channels"][0]["sent"]["bytes"] >= KILLS_AFTER_BYTES, report["channels"][0]["sent"]
    echoed(testbed, client, server, SMALL)


def chargen_sent(server):
    """A client of this server has been sent so much, as the kernel counts."""
    listing = ["ss", "-Htin", "state", "established", f"sport = :{server.port}"]
    told = subprocess.run(listing, capture_output=True, text=True).stdout
    return any(int(count) >= KILLS_AFTER_BYTES for count in re.findall(r"bytes_acked:(\d+)", told))


TASKS = {
    "1 MiB": exact,
    "every byte": every_byte,
    "half-close": half_close,
    "exit status": exit_status,
    "20 channels": twenty_channels,
    "50 connections": fifty_connections,
    "re-key by the server": rekey_by_server,
    "re-key by the client": rekey_by_client,
    "SIGKILL": killed,
}
PROVOKING = {"re-key by the client", "SIGKILL"}


def logs_in(testbed, client, login):
    report = echoed(testbed, client, testbed.server(client, login), SMALL, login=login)
    if report["login"]["method"] != login:
        raise Cannot(f"it logged in by {report['login']['method']}")


def with_one(testbed, client, kind, name):
    """A server that has nothing but this cipher or host key algorithm, where the client offers it."""
    if name not in testbed.offered[client.name][OFFER[kind]]:
        raise Cannot(f"it does not offer {name}")
    one = {"ciphers": name} if kind == "cipher" else {"host_key_algorithms": name}
    report = echoed(testbed, client, testbed.server(client, algorithms="legacy", **one), SMALL)
    chosen = report["who"]["chosen"]
    assert name in chosen.values(), chosen


# -- figures


def process_figures(words, data, environment):
    """Runs to the end with this input: its output, and the CPU seconds that it took."""
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    began, first, output = time.monotonic(), None, []

    def feed():
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(data)
            process.stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    while piece := process.stdout.read1(1 << 16):
        first = first or time.monotonic() - began
        output.append(piece)
    feeder.join()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return b"".join(output), first, usage.ru_utime + usage.ru_stime


def bulk(testbed, client, size):
    """Echo of so many bytes, beside one of next to nothing: what starting costs, the least of three, since it moves by more
    than a megabyte costs."""
    server = testbed.server(client)
    words, environment = client.words(server, testbed.keys), client.surroundings(server)
    data = pattern(size)
    starts = [process_figures(words, b"x", environment) for _ in range(3)]
    first, idle_cpu_s = starts[0][1], min(cpu_s for _, _, cpu_s in starts)
    before = told(server)
    output, _, cpu_s = process_figures(words, data, environment)
    assert output == data, f"{len(output)} of {size} bytes"
    report = last_report(server, before)
    channel = report["channels"][0]
    when_us = report["when_us"]
    took_s = ((when_us["close"] or when_us["end"]) - when_us["first_data"]) / 1e6  # some just leave
    return {
        "first_byte_ms": 1e3 * first,
        "login_ms": report["when_us"]["login"] / 1e3,
        "mb_per_s": size / 1e6 / took_s,
        "cpu_s_per_gb": (cpu_s - idle_cpu_s) / (size / 1e9),
        "cipher": report["who"]["chosen"]["cipher_client_to_server"],
        "window": channel["window"],
        "received": channel["received"],
        "sent": channel["sent"],
    }


def round_trip_us(testbed, client, trips):
    """Of 64 bytes: by the client's own clock; a tool is written to and read from through pipes."""
    server = testbed.server(client)
    if not client.is_tool:
        return int(client.run(server, b"", testbed.keys, ping=trips).stdout) / trips
    words, environment = client.words(server, testbed.keys), client.surroundings(server)
    process = subprocess.Popen(
        words, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    began = None
    try:
        for _ in range(trips + 1):  # the first one logs in as well
            process.stdin.write(b"x" * 64)
            left = 64
            while left:
                left -= len(process.stdout.read(left))
            began = began or time.monotonic()
        return 1e6 * (time.monotonic() - began) / trips
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
