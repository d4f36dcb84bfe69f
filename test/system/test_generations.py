"""What the master promises beyond one reload: it always ends, nobody is judged wrongly, what is shared is counted right."""

import contextlib
import os
import resource
import signal
import socket
import time

import pytest

import harness
import rawssh
from harness import wait_until
from rawssh import pattern


def alive(server):
    """A whole session by a new client."""
    with rawssh.Client(server.address) as client:
        return client.login().echo(client.shell(), b"x") == b"x"


# -- watching


@pytest.mark.alone
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


# None of thousands may be ended because the machine takes its time.
MANY_SOURCES = {"max-per-source": "2", "max-unauthenticated": "off", "backlog": "65535", "login-timeout": "90s"}
MANY_SOURCES.update({"banner-timeout": "90s", "kex-timeout": "90s"})


def test_a_source_that_was_not_counted_is_not_discounted(serve):
    """More sources than a worker can count; one of them comes uncounted, comes again counted, and goes twice."""
    sources = 4096
    server = serve(options=MANY_SOURCES)

    def come(source):
        made = socket.socket()
        made.bind((source, 0))
        made.connect(server.address)
        return made

    def here(count):
        def counted():
            return harness.sockets_held(server.worker) - listening == count

        wait_until(counted, 30, f"{count} connections", pause=0.05)

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


def test_an_end_that_was_not_counted_makes_no_room(serve):
    """The same the other way round: who was not counted does not make room for one more than max-per-source."""
    sources = 4096
    server = serve(options=MANY_SOURCES)
    with contextlib.ExitStack() as stack:

        def come(source):
            made = stack.enter_context(socket.socket())
            made.bind((source, 0))
            made.connect(server.address)
            assert made.recv(1), "refused"
            return made

        crowd = [come(f"127.1.{i // 250}.{i % 250 + 1}") for i in range(sources)]
        uncounted = come("127.2.0.1")
        held = harness.sockets_held(server.worker)
        crowd[0].close()
        wait_until(lambda: harness.sockets_held(server.worker) == held - 1, 30, "the end of one", pause=0.05)
        come("127.2.0.1")
        uncounted.close()
        wait_until(lambda: harness.sockets_held(server.worker) == held - 1, 30, "the end of the uncounted", pause=0.05)
        come("127.2.0.1")
        with pytest.raises((AssertionError, ConnectionError)):
            come("127.2.0.1")
        server.wait_line("refuse", reason="source")


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


# -- reloads that always end


@pytest.mark.alone
def test_reload_at_the_largest_number_of_workers(serve, dial):
    """Slots are there for two whole generations, whatever number is configured."""
    server = serve(workers=140, config="# nothing\n", options={"watchdog": "30s", "drain-timeout": "1s"})
    client = dial(server)
    client.shell()
    before = set(server.workers())
    assert len(before) == 140
    server.signal(signal.SIGHUP)
    server.wait_line("ready", 40, count=2)
    wait_until(lambda: len(server.workers()) == 140, 20, "the old workers to leave")
    assert not before & set(server.workers())
    assert alive(server)
    client.close()


# No worker can get ready with it once its master may have less (forbid_4t): a limit cannot be raised again.
CANNOT_START = "address-space 4096G\n"


def forbid_4t(server):
    resource.prlimit(server.pid, resource.RLIMIT_AS, (1 << 40, 1 << 40))


def test_a_generation_that_cannot_get_ready_is_rolled_back(serve, dial):
    server = serve(config="channels-per-connection 1\n", options={"ready-timeout": "2s"})
    client = dial(server)
    channel = client.shell()
    before = server.worker
    port_file = server.port_file.read_text()
    forbid_4t(server)
    server.config_path.write_text("channels-per-connection 2\n" + CANNOT_START)
    server.signal(signal.SIGHUP)
    failed = server.wait_line("reload_failed", 10)
    assert "ready-timeout" in failed["why"] and "goes on" in failed["note"]
    assert client.echo(channel, pattern(100_000)) == pattern(100_000)
    wait_until(lambda: server.workers() == [before], 5, "only the worker from before")
    assert server.port_file.read_text() == port_file
    with rawssh.Client(server.address) as other:
        other.login().shell()
        assert other.open().open_failure, "the configuration that failed is in force"
    # and the next one, which is good, is taken
    server.config_path.write_text("channels-per-connection 2\n")
    server.signal(signal.SIGHUP)
    server.wait_line("ready", count=2)
    with rawssh.Client(server.address) as other:
        other.login().shell()
        assert other.open().opened
    channel.finish()
    client.close()


def test_new_addresses_of_a_failed_reload_are_closed_again(serve):
    server = serve(listen=[], config="listen 127.0.0.1:0\n", options={"ready-timeout": "1s"})
    sockets = harness.sockets_held(server.pid)
    forbid_4t(server)
    server.config_path.write_text("listen 127.0.0.1:0\nlisten 127.0.0.2:0\n" + CANNOT_START)
    server.signal(signal.SIGHUP)
    server.wait_line("reload_failed", 10)
    wait_until(lambda: harness.sockets_held(server.pid) == sockets, 5, "the sockets of before")
    assert alive(server)


def test_a_reload_asked_for_meanwhile_is_done_afterwards(serve, dial):
    server = serve(config="channels-per-connection 1\n", options={"drain-timeout": "20s"})
    client = dial(server)
    channel = client.shell()
    server.signal(signal.SIGHUP)
    server.wait_line("ready", count=2)  # the first worker still has a session
    server.config_path.write_text("channels-per-connection 2\n")
    server.signal(signal.SIGHUP)
    server.wait_line("reload_deferred")
    assert len(server.lines("ready")) == 2
    channel.finish()
    client.close()
    server.wait_line("ready", count=3)
    wait_until(lambda: len(server.workers()) == 1, 10, "the worker before to be gone: it may accept until then")
    with rawssh.Client(server.address) as other:
        other.login().shell()
        assert other.open().opened, "the configuration of the deferred reload is not in force"


# -- the process of the metrics


def test_metrics_are_served_by_a_process_that_can_do_nothing(serve):
    server = serve(options={"metrics-listen": "127.0.0.1:0"})
    host, _, port = server.lines("metrics")[0]["address"].rpartition(":")

    def ask():
        with socket.create_connection((host, int(port)), 5) as scraper:
            scraper.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            return scraper.recv(100)

    assert b"200" in ask()
    pid = server.metrics_process()
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"
    if not harness.is_sanitized() and "libseccomp: no" not in harness.run_sshechod("--version").stdout:
        assert status["Seccomp"] == "2"
    assert harness.sockets_held(pid) == 1, "more than its listening socket"
    files = harness.open_files(pid)
    assert not [
        name for name in files if name.startswith("/") and not name.startswith(("/dev/", str(server.directory)))
    ]
    board = [line for line in open(f"/proc/{pid}/maps") if "sshechod-scoreboard" in line]
    assert board and not [line for line in board if line.split()[1].startswith("rw")], board
    os.kill(pid, signal.SIGKILL)  # and it is made anew when it dies
    server.wait_line("metrics_lost")
    wait_until(lambda: server.metrics_process() not in (None, pid), 5, "another one")
    assert b"200" in ask()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):  # signals are the master's
        os.kill(server.metrics_process(), number)
    assert b"200" in ask()


def test_neither_master_nor_worker_answers_http(serve):
    server = serve(options={"metrics-listen": "127.0.0.1:0"})
    host, _, port = server.lines("metrics")[0]["address"].rpartition(":")
    for pid in server.workers():
        assert harness.sockets_held(pid) == 1
    os.kill(server.metrics_process(), signal.SIGSTOP)
    with socket.create_connection((host, int(port)), 5) as scraper:
        scraper.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        scraper.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            raise AssertionError(f"somebody else answered: {scraper.recv(100)}")
    os.kill(server.metrics_process(), signal.SIGCONT)
