"""What the server does where nobody sees it: memory handed back, a master that ends too soon, tokens of the rate."""

import mmap
import os
import signal
import struct
import subprocess

import pytest

import harness
import rawssh
from harness import wait_until
from rawssh import pattern


class Seen:
    """What observed_calls.so writes, and reads."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(40))
        path.chmod(0o666)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 40)

    def word(self, index):
        return struct.unpack_from("<q", self.map, 8 * index)[0]

    trims = property(lambda self: self.word(0))
    waits = property(lambda self: self.word(2))
    put_off_bytes = property(lambda self: self.word(3))
    trimmed_bytes = property(lambda self: self.word(4))

    def be_lonely(self):
        struct.pack_into("<q", self.map, 8, 1)


@pytest.fixture
def seen(tmp_path):
    if harness.is_sanitized():
        pytest.skip("a preloaded library and ASan do not go together")
    library = harness.BUILD / "test" / "observed_calls.so"
    subprocess.run(["make", "-s", f"BUILD={harness.BUILD}", str(library)], cwd=harness.ROOT, check=True)
    seen = Seen(tmp_path / "seen")
    seen.environment = {"LD_PRELOAD": str(library), "OBSERVED": str(seen.path)}
    return seen


def crowd_that_goes(server, seen, count, owed_bytes):
    """So many come, are owed so much each, and go again; how often the heap was walked meanwhile."""
    before = seen.trims
    clients = [rawssh.Client(server.address).login() for _ in range(count)]
    for client in clients:
        client.shell(window=0, auto=False).feed(pattern(owed_bytes))
        client.idle(0.01)
    client = clients.pop()
    channel = client.shell()
    for each in clients:
        each.violations.clear()
        each.close()
    wait_until(lambda: harness.sockets_held(server.worker) <= 2, 10, "the end of the others")
    client.idle(0.8)  # the worker looks four times a second
    client.echo(channel, b"x")
    client.close()
    wait_until(lambda: harness.sockets_held(server.worker) <= 1, 10, "the end of the last")
    return seen.trims - before


def test_the_heap_is_walked_for_a_crowd_only(serve, seen):
    """What a crowd used goes back to the system, once; a handful that comes and goes is not worth it."""
    server = serve(environment=seen.environment, options={"max-per-source": "off", "max-unauthenticated": "off"})
    assert crowd_that_goes(server, seen, 12, 20_000) == 0
    assert crowd_that_goes(server, seen, 60, 200_000) == 1
    assert seen.put_off_bytes == 0, "small free blocks wait to be joined, all in one go"


def test_what_a_crowd_leaves_goes_back_a_little_at_a_time(serve, seen):
    """Of its megabytes malloc_trim, which is one stop of the loop, hands back next to nothing."""
    server = serve(environment=seen.environment, options={"max-per-source": "off", "sandbox": "no"})
    before_kib = harness.pss_kib(server.worker)
    assert crowd_that_goes(server, seen, 60, 200_000) == 1
    assert seen.trimmed_bytes < 2_000_000
    assert harness.pss_kib(server.worker) < before_kib + 2_000


def test_a_worker_whose_master_is_gone_does_not_begin(serve, seen):
    """The master dies after the fork and before the worker has asked to be told of it."""
    server = serve(environment=seen.environment)
    first = server.worker
    seen.be_lonely()
    os.kill(first, signal.SIGKILL)
    child = wait_until(lambda: seen.waits, 10, "the next worker")
    server.expected_exit = -signal.SIGKILL
    os.kill(server.pid, signal.SIGKILL)
    server.wait(5)
    wait_until(lambda: not harness.is_running(child), 5, "the end of a worker that has no master")


def test_an_accept_that_finds_nobody_costs_no_token(serve):
    """Each connection wakes the loop once more than there is somebody to accept."""
    server = serve(options={"handshake-rate": "10"})
    for _ in range(9):  # what may come at once
        with rawssh.Client(server.address) as client:
            assert client.login().echo(client.shell(), b"x") == b"x"
    assert not server.lines("accept_paused")
