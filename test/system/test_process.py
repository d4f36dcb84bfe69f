"""Master and workers: signals, drain, reload, replacement, watchdog, listeners."""

import os
import signal
import socket
import time

import pytest

import clients
import harness
import rawssh
from harness import is_running, wait_until
from rawssh import pattern


@pytest.mark.alone
def test_sigterm_without_clients_ends_at_once(serve):
    server = serve(workers=2)
    start = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait(5) == 0
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drain_lets_sessions_finish(serve, dial, number):
    server = serve(options={"drain-timeout": "20s"})
    client = dial(server)
    channel = client.shell()
    assert client.echo(channel, b"before") == b"before"
    server.signal(number)
    wait_until(lambda: refuses(server.address), 5, "the listener to close")
    data = pattern(2_000_000)
    assert client.echo(channel, data) == data
    assert server.process.poll() is None
    channel.finish()
    client.close()
    assert server.wait(5) == 0


def refuses(address):
    """True once nothing listens there."""
    try:
        socket.create_connection(address, 1).close()
        return False
    except ConnectionRefusedError:
        return True
    except TimeoutError:  # a SYN that met the listener while it was closed is dropped, and sent again after a second
        return False


@pytest.mark.alone
def test_drain_deadline_disconnects_what_is_left(serve):
    server = serve(options={"drain-timeout": "1s"})
    client = rawssh.Client(server.address).login()
    channel = client.shell()
    client.echo(channel, b"x")
    start = time.monotonic()
    server.signal(signal.SIGTERM)
    assert client.wait_end(5), "closed without a disconnect message"
    assert 0.8 < time.monotonic() - start < 3
    assert server.wait(5) == 0
    assert server.lines("close")[0]["reason"] == "drain"


def test_drain_under_load_loses_no_byte_that_was_sent(serve):
    server = serve(options={"drain-timeout": "20s"})
    client = rawssh.Client(server.address).login()
    channels = [client.shell(window=100_000) for _ in range(4)]
    for seed, channel in enumerate(channels):
        channel.feed(pattern(1_500_000, seed), eof=True)
    client.wait(lambda: channels[0].received > 200_000, what="some echo")
    server.signal(signal.SIGTERM)
    client.wait(lambda: all(channel.closed for channel in channels), 30, "the end of the channels")
    for seed, channel in enumerate(channels):
        assert channel.data == pattern(1_500_000, seed)
    client.close()
    assert server.wait(5) == 0


@pytest.mark.alone
def test_second_signal_ends_now(serve):
    server = serve(workers=2, options={"drain-timeout": "60s"})
    server.expected_exit = None
    client = rawssh.Client(server.address).login()
    client.echo(client.shell(), b"x")
    pids = server.workers()
    server.signal(signal.SIGTERM)
    wait_until(lambda: refuses(server.address), 5, "the listener to close")
    start = time.monotonic()
    server.signal(signal.SIGTERM)
    code = server.wait(5)
    server.expected_exit = code
    assert code != 0
    assert time.monotonic() - start < 2
    for pid in pids:
        wait_until(lambda: not is_running(pid), 3, "the workers to end")
    client.close()


def test_worker_killed_under_load_is_replaced_and_others_live(serve):
    server = serve(workers=2)
    first = server.workers()
    held = []
    while len({worker_of(server, client) for client, _ in held}) < 2:
        client = rawssh.Client(server.address).login()
        held.append((client, client.shell()))
        assert len(held) < 100, "all connections went to one worker"
    for client, channel in held:
        client.echo(channel, pattern(100_000))
    victim = worker_of(server, held[0][0])
    survivors = [pair for pair in held if worker_of(server, pair[0]) != victim]
    casualties = [pair for pair in held if worker_of(server, pair[0]) == victim]
    for client, channel in held:
        channel.feed(pattern(500_000, 1))
        client.step()
    os.kill(victim, signal.SIGKILL)
    for client, channel in survivors:
        client.wait(lambda: channel.received == 600_000, what="a survivor's echo")
        assert channel.data == pattern(100_000) + pattern(500_000, 1)
    for client, _ in casualties:
        client.wait_end(5)
    wait_until(lambda: len(server.workers()) == 2 and victim not in server.workers(), 5, "a new worker")
    assert set(server.workers()) & set(first), "both workers were replaced"
    for _ in range(20):
        with rawssh.Client(server.address) as client:
            assert client.login().echo(client.shell(), b"x") == b"x"
    for client, _ in survivors:
        client.close()
    assert server.log().count(str(victim)), "the log does not name the dead worker"


def worker_of(server, client):
    """The pid of the worker that holds a client's connection, by its socket's inode."""
    local = client.sock.getsockname()
    needle = "{:02X}{:02X}{:02X}{:02X}:{:04X}".format(*reversed([int(part) for part in local[0].split(".")]), local[1])
    here = f":{server.port:04X}"
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table]
    inode = next(row[9] for row in rows if row[2] == needle and row[1].endswith(here) and row[3] == "01")
    for pid in server.workers():
        if f"socket:[{inode}]" in harness.open_files(pid):
            return pid
    raise AssertionError("no worker holds the connection")


@pytest.mark.alone
def test_worker_that_stands_still_is_replaced(serve):
    server = serve()
    victim = server.worker
    os.kill(victim, signal.SIGSTOP)
    start = time.monotonic()
    wait_until(lambda: server.workers() and victim not in server.workers(), 6, "a new worker")
    assert time.monotonic() - start < 4
    with rawssh.Client(server.address) as client:
        assert client.login().echo(client.shell(), b"x") == b"x"


def test_connection_in_the_queue_survives_the_loss_of_the_worker(serve):
    server = serve()
    victim = server.worker
    os.kill(victim, signal.SIGSTOP)
    client = rawssh.Client(server.address, handshake=False)  # waits in the accept queue
    client.handshake(10)
    assert client.login().echo(client.shell(), b"x") == b"x"
    client.close()
    assert victim not in server.workers()


@pytest.mark.alone
def test_worker_that_dies_again_and_again_is_restarted_with_back_off(serve):
    server = serve()
    deaths = []
    end = time.monotonic() + 6
    while time.monotonic() < end and len(deaths) < 6:
        pids = server.workers()
        if pids:
            os.kill(pids[0], signal.SIGKILL)
            deaths.append(time.monotonic())
            wait_until(lambda: pids[0] not in server.workers(), 5, "the end of the worker")
        time.sleep(0.005)
    gaps = [later - sooner for sooner, later in zip(deaths, deaths[1:])]
    assert max(gaps) > 0.2, f"no back-off between restarts: {gaps}"
    wait_until(lambda: server.workers(), 10, "a worker in the end")
    with rawssh.Client(server.address) as client:
        assert client.login().echo(client.shell(), b"x") == b"x"


def test_workers_end_with_their_master(serve):
    server = serve(workers=2)
    pids = server.workers()
    assert len(pids) == 2
    server.process.kill()
    server.expected_exit = -signal.SIGKILL
    for pid in pids:
        wait_until(lambda: not is_running(pid), 10, f"end of worker {pid} without its master")


# -- reload


def test_reload_with_a_good_file(serve, dial):
    server = serve(config="channels-per-connection = 1\n", options={"drain-timeout": "20s"})
    old = dial(server)
    channel = old.shell()
    assert old.open().open_failure, "the first configuration is not in force"
    before = server.worker
    server.config_path.write_text("channels-per-connection = 2\n")
    server.signal(signal.SIGHUP)
    wait_until(lambda: before not in server.workers() or len(server.workers()) == 2, 5, "new workers")

    def new_limit():
        with rawssh.Client(server.address) as client:
            client.login().shell()
            return client.open().opened

    wait_until(new_limit, 5, "the second configuration in force")
    data = pattern(1_000_000)
    assert old.echo(channel, data) == data, "a session from before the reload was disturbed"
    channel.finish()
    old.close()
    wait_until(lambda: before not in server.workers(), 5, "the old worker to end")
    assert len(server.workers()) == 1


def test_draining_worker_is_not_disturbed_by_its_successors_clients(serve, dial):
    """The listening socket that the old worker has closed lives on in the new one, and wakes them both."""
    server = serve(config="channels-per-connection = 1\n", options={"drain-timeout": "20s"})
    old = dial(server)
    channel = old.shell()
    before = server.worker
    server.signal(signal.SIGHUP)
    wait_until(lambda: len(server.lines("ready")) == 2, 5, "the new worker")
    for _ in range(20):
        with rawssh.Client(server.address) as client:
            client.login().shell()
    data = pattern(200_000)
    assert old.echo(channel, data) == data, "the old worker's session was disturbed"
    assert before in server.workers()
    assert not server.lines("worker_lost")
    channel.finish()
    old.close()
    wait_until(lambda: before not in server.workers(), 5, "the old worker to end")


@pytest.mark.parametrize(
    "text, hint",
    [
        ("channels-per-connection = 0\n", "channels-per-connection"),
        ("\nnonsense = 1\n", "nonsense"),
        ("login-timeout = {\n", "sshechod.conf:1"),
    ],
)
def test_reload_with_a_bad_file_changes_nothing(serve, dial, text, hint):
    server = serve(config="channels-per-connection = 1\n")
    old = dial(server)
    channel = old.shell()
    before = server.workers()
    server.config_path.write_text(text)
    server.signal(signal.SIGHUP)
    wait_until(lambda: hint in server.log(), 5, "the error in the log")
    line = next(line for line in server.log().splitlines() if hint in line)
    assert f"sshechod.conf:{text.count(chr(10), 0, text.index(text.strip()[0])) + 1}" in line, line
    assert server.workers() == before
    assert old.echo(channel, b"x") == b"x"
    with rawssh.Client(server.address) as client:
        client.login().shell()
        assert client.open().open_failure, "the limit has changed"


def test_reloads_in_a_storm(serve, dial):
    server = serve(workers=2, config="# nothing\n", options={"drain-timeout": "3s"})
    client = dial(server)
    channel = client.shell()
    for turn in range(10):
        server.signal(signal.SIGHUP)
        assert client.echo(channel, pattern(1000, turn)) == pattern(1000, turn)
        time.sleep(0.02)
    client.close()
    wait_until(lambda: len(server.workers()) == 2, 10, "two workers again")
    with rawssh.Client(server.address) as client:
        assert client.login().echo(client.shell(), b"x") == b"x"


def test_reload_keeps_the_throw_away_key_and_the_ports(serve):
    server = serve(config="# nothing\n")
    before = clients.fingerprint(server)
    worker = server.worker
    server.signal(signal.SIGHUP)
    wait_until(lambda: server.workers() and worker not in server.workers(), 5, "a new worker")
    assert clients.fingerprint(server) == before


def test_reload_under_load_refuses_no_connection(serve):
    server = serve(workers=2, config="# nothing\n")
    for turn in range(40):
        if turn % 8 == 3:
            server.signal(signal.SIGHUP)
        with rawssh.Client(server.address) as client:
            assert client.login().echo(client.shell(), b"x") == b"x"


def test_totals_on_sigusr1(serve, dial):
    server = serve(workers=2)
    for _ in range(3):
        client = dial(server)
        channel = client.shell()
        client.echo(channel, pattern(10_000))
        channel.finish()
        client.close()
    wait_until(lambda: len(server.lines("close")) == 3, what="three CLOSE lines")
    server.signal(signal.SIGUSR1)
    line = wait_until(
        lambda: next(
            iter([each for each in server.lines() if "total" in each["event"] or "stat" in each["event"]]), None
        ),
        5,
        "the totals",
    )
    assert line["accepted"] == "3"
    assert line["bytes_in"] == line["bytes_out"] == "30000"
    assert line["connections"] == "0"


# -- listeners


def test_ipv6(serve, dial):
    server = serve(listen=["[::1]:0"])
    assert server.address[0] == "::1"
    client = dial(server)
    assert client.echo(client.shell(), b"six") == b"six"
    assert "::1" in server.wait_line("accept")["peer"]


def test_several_listeners(serve):
    server = serve(listen=["127.0.0.1:0", "[::1]:0", "127.0.0.2:0"], workers=2)
    assert len(server.addresses) == 3 and all(port > 0 for _, port in server.addresses)
    for address in server.addresses:
        with rawssh.Client(address) as client:
            assert client.login().echo(client.shell(), b"x") == b"x"


def test_port_in_use():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        result = harness.run_sshechod("--listen", f"127.0.0.1:{port}")
        assert result.returncode in (1, 2)
        assert str(port) in result.stderr and result.stderr.count("\n") == 1


def test_port_file_appears_only_when_connections_are_answered(serve):
    for _ in range(5):
        server = serve()
        with rawssh.Client(server.address) as client:  # no retry: ready means ready
            client.login()


def test_port_file_that_cannot_be_written(tmp_path):
    result = harness.run_sshechod("--listen", "127.0.0.1:0", "--port-file", tmp_path / "no" / "such" / "directory")
    assert result.returncode in (1, 2)
    assert "no/such/directory" in result.stderr and result.stderr.count("\n") == 1


def test_no_files_or_processes_are_left_behind(serve):
    server = serve(workers=2)
    pids = [server.pid, *server.workers()]
    server.stop()
    assert not [pid for pid in pids if is_running(pid)]
    assert sorted(path.name for path in server.directory.iterdir()) in (["sshechod.log"], ["ports", "sshechod.log"])
