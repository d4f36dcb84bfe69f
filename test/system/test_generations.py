"""What the master promises beyond one reload: it always ends, nobody is judged wrongly, what is shared is counted right."""

import contextlib
import os
import signal
import socket
import time

import harness
import rawssh
from harness import is_running, wait_until
from rawssh import pattern


def alive(server):
    """A whole session by a new client."""
    with rawssh.Client(server.address) as client:
        return client.login().echo(client.shell(), b"x") == b"x"


# -- watching


def test_a_frozen_tree_loses_no_worker(serve, dial):
    """A container that was paused, a laptop that slept: the master wakes first and must not blame its workers."""
    server = serve(workers=2)
    client = dial(server)
    channel = client.shell()
    before = sorted(server.workers())
    for pid in [server.pid, *before]:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(3)  # longer than the watchdog's 2 s
    os.kill(server.pid, signal.SIGCONT)
    time.sleep(0.3)
    for pid in before:
        os.kill(pid, signal.SIGCONT)
    assert client.echo(channel, b"still here") == b"still here"
    assert float(server.wait_line("master_late")["late_s"]) > 2.5
    assert sorted(server.workers()) == before
    assert not server.lines("worker_stuck") and not server.lines("worker_lost")
    os.kill(before[0], signal.SIGSTOP)  # and it still judges who does stand still
    server.wait_line("worker_stuck", 6, worker_pid=before[0])


def test_killed_at_the_drain_deadline_is_not_called_stuck(serve):
    server = serve(options={"drain-timeout": "500ms", "watchdog": "off"})
    worker = server.worker
    os.kill(worker, signal.SIGSTOP)
    server.signal(signal.SIGTERM)
    assert server.wait(10) == 0
    assert "drain deadline" in server.wait_line("worker_lost", worker_pid=worker)["why"]


# -- entry


def test_pauses_of_accepting_do_not_flood_the_log(serve):
    server = serve(options={"handshake-rate": "20"})
    end = time.monotonic() + 3
    with contextlib.ExitStack() as stack:
        while time.monotonic() < end:
            stack.enter_context(socket.create_connection(server.address, 5))
            time.sleep(0.02)
    assert 1 <= len(server.lines("accept_paused")) <= 2


def test_a_source_that_was_not_counted_is_not_discounted(serve):
    """More sources than a worker can count; one of them comes uncounted, comes again counted, and goes twice."""
    sources = 4096
    server = serve(options={"max-per-source": "2", "max-unauthenticated": "off", "backlog": "65535"})

    def come(source):
        made = socket.socket()
        made.bind((source, 0))
        made.connect(server.address)
        return made

    def here(count):
        def counted():
            return harness.sockets_held(server.worker) - listening == count

        wait_until(counted, 10, f"{count} connections")

    listening = harness.sockets_held(server.worker)
    crowd = []
    with contextlib.ExitStack() as stack:
        for i in range(sources):
            crowd.append(stack.enter_context(come(f"127.1.{i // 250}.{i % 250 + 1}")))
        here(sources)
        uncounted = stack.enter_context(come("127.2.0.1"))
        here(sources + 1)
        crowd[0].close()
        here(sources)
        counted = stack.enter_context(come("127.2.0.1"))
        here(sources + 1)
        uncounted.close()
        here(sources)
        counted.close()
        here(sources - 1)
        stack.enter_context(come("127.2.0.1"))
        here(sources)
        assert not server.lines("refuse")


# -- listening sockets


def test_two_free_ports_stay_two_through_a_reload(serve):
    server = serve(listen=["127.0.0.1:0", "127.0.0.1:0"], config="# nothing\n")
    before = list(server.addresses)
    assert before[0] != before[1]
    for turn in range(3):
        server.signal(signal.SIGHUP)
        server.wait_line("ready", count=turn + 2)
        wait_until(lambda: len(server.workers()) == 1, 5, "the old worker to leave")
    server.read_ports()
    assert server.addresses == before
    for address in before:
        with rawssh.Client(address) as client:
            assert client.login().echo(client.shell(), b"x") == b"x"
