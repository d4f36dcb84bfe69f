"""A thousand at once, and where they go."""

import asyncio
import multiprocessing
import os
import time
import warnings

import pytest

import clients
import harness
import rawssh
from harness import wait_until
from rawssh import pattern

pytestmark = pytest.mark.alone

SESSIONS = 1000
PROCESSES = 2


def hold_sessions(address, count, rounds, ready, go, results):
    """In a process of its own: opens count sessions, waits for go, echoes rounds messages on all of them at once."""
    try:
        held = []
        for number in range(count):
            client = rawssh.Client(address).login()
            held.append((client, client.shell(), number))
        ready.release()
        assert go.wait(60)
        for turn in range(rounds):
            for client, channel, number in held:
                channel.feed(pattern(3000, number * 1000 + turn))
                client.step()
            for client, channel, number in held:
                client.wait(lambda: channel.received == 3000 * (turn + 1), 40, "a session's echo")
        for client, channel, number in held:
            expected = b"".join(pattern(3000, number * 1000 + turn) for turn in range(rounds))
            assert channel.data == expected, f"session {number} got other bytes back"
            channel.finish()
            assert channel.exit_status == 0
            client.close()
        results.put("ok")
    except BaseException as error:
        ready.release()
        results.put(f"{type(error).__name__}: {error}")


def test_a_thousand_sessions_at_once_spread_over_two_workers(serve):
    server = serve(workers=2)
    context = multiprocessing.get_context("fork")
    ready, go, results = context.Semaphore(0), context.Event(), context.Queue()
    base = {pid: harness.sockets_held(pid) for pid in server.workers()}
    processes = [
        context.Process(target=hold_sessions, args=(server.address, SESSIONS // PROCESSES, 3, ready, go, results))
        for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    try:
        for _ in processes:
            assert ready.acquire(timeout=60), "the sessions are not up after 60 s"
        held = {pid: harness.sockets_held(pid) - base[pid] for pid in server.workers()}
        go.set()
        outcome = [results.get(timeout=60) for _ in processes]
        assert outcome == ["ok"] * PROCESSES
        assert sum(held.values()) == SESSIONS
        assert max(held.values()) <= SESSIONS * 0.65, f"uneven spread: {held}"
    finally:
        for process in processes:
            process.join(10)
            process.kill()
    wait_until(
        lambda: {pid: harness.sockets_held(pid) for pid in server.workers()} == base, 10, "the sockets to be closed"
    )
    wait_until(lambda: len(server.lines("close")) == SESSIONS, 10, "a CLOSE line for each")


def test_a_burst_of_connections_spreads(serve):
    """All connections wait in the accept queue at once; neither worker takes them all."""
    server = serve(workers=2)
    burst = [rawssh.Client(server.address, handshake=False) for _ in range(200)]
    for client in burst:
        client.send_banner()
        client.start_kex()
        client.step()
    for client in burst:
        client.wait(lambda: client.kex_count == 1, 30, "key exchange in a burst")
        client.login()
    held = [harness.sockets_held(pid) for pid in server.workers()]
    assert max(held) / sum(held) < 0.75, held
    for client in burst:
        client.close()


def test_openssh_forty_at_once(serve):
    server = serve(workers=2)
    jobs = [(clients.openssh(server, *(["cat"] if seed % 2 else [])), pattern(200_000, seed)) for seed in range(40)]
    for result, (_, data) in zip(clients.run_many(server, jobs), jobs):
        clients.assert_echo(result, data)


def test_asyncssh_hundred_connections(serve):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import asyncssh
    server = serve(workers=2)
    host, port = server.address

    async def one(seed):
        data = pattern(20_000, seed)
        async with asyncssh.connect(
            host, port, known_hosts=None, username="tester", client_keys=None, agent_path=None, config=[]
        ) as connection:
            process = await connection.create_process(encoding=None)
            process.stdin.write(data)
            process.stdin.write_eof()
            return await process.stdout.read() == data

    async def main():
        return await asyncio.wait_for(asyncio.gather(*(one(seed) for seed in range(100))), 60)

    assert asyncio.run(main()) == [True] * 100


def test_quiet_session_beside_bulk_is_not_starved(server, dial):
    """A turn budget: with bulk streams at full speed, an echo takes a few turns, not a stream's length."""
    quiet = dial(server)
    channel = quiet.shell()
    quiet.echo(channel, b"warm")
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    bulk = [context.Process(target=stream_until, args=(server.address, stop)) for _ in range(2)]
    for process in bulk:
        process.start()
    try:
        wait_until(lambda: len(server.lines("accept")) == 3, 10, "the bulk connections")
        slowest, count, end = 0.0, 0, time.monotonic() + 2
        while time.monotonic() < end:
            start = time.monotonic()
            quiet.echo(channel, b"ping")
            slowest = max(slowest, time.monotonic() - start)
            count += 1
        assert count > 20, f"only {count} echoes in 2 s beside bulk streams, slowest {slowest * 1000:.0f} ms"
    finally:
        stop.set()
        for process in bulk:
            process.join(20)
            process.kill()
    assert all(process.exitcode == 0 for process in bulk)


def stream_until(address, stop):
    client = rawssh.Client(address).login()
    channel = client.shell()
    channel.keep = False
    block, sent = pattern(1 << 20), 0
    while not stop.is_set():
        channel.feed(block)
        sent += len(block)
        client.wait(lambda: channel.received > sent - len(block) * 2, 20, "the stream's echo")
    client.close()
    os._exit(0)


@pytest.mark.parametrize("rounds", [2])
def test_memory_and_fds_return_to_base(serve, dial, rounds):
    server = serve()
    worker = server.worker

    def load():
        held = [dial(server) for _ in range(60)]
        for client in held:
            channel = client.shell()
            channel.feed(pattern(200_000), eof=True)
            client.wait(lambda: channel.closed, 20, "the end of a session")
        for client in held:
            client.close()
        wait_until(lambda: harness.sockets_held(worker) == base, 10, "the sockets to be closed")
        return harness.rss_kib(worker)

    base = harness.sockets_held(worker)
    after = [load() for _ in range(rounds + 1)]
    assert after[-1] <= after[0] * 1.05 + (50_000 if harness.is_sanitized() else 1024), f"RSS grows: {after} KiB"
