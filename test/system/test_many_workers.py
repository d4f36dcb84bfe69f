"""More workers than cores: a connection wakes one of them, they take turns, and who has little is given more."""

import os
import re
import signal

import pytest

import figures
import rawssh
from harness import wait_until
from sshload_helpers import load, start_load

WORKERS = 32


def sleeps(server):
    """How often the workers have gone to sleep in all: waking in vain inside epoll_wait is seen nowhere else."""
    count = 0
    for pid in server.workers():
        with open(f"/proc/{pid}/status") as status:
            count += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read(), re.M).group(1))
    return count


@pytest.fixture
def many(serve):
    server = serve(workers=WORKERS, options={**figures.OPTIONS})
    wait_until(lambda: len(server.workers()) == WORKERS, 20, "all workers")
    return server


def test_a_connection_wakes_one_worker_and_they_take_turns(many, tmp_path):
    load(tmp_path, "-m", "connect", "-c", 4, "-n", 2 * WORKERS, target=many)  # the first of each costs more
    before, connections = sleeps(many), 12 * WORKERS
    outcome = load(tmp_path, "-m", "connect", "-c", 1, "-n", connections, target=many)
    assert outcome.summary["ok"] == connections, outcome
    # A session puts its worker to sleep about eight times; were all woken, each connection would 31 more.
    assert sleeps(many) - before < 20 * connections
    taken = figures.by_worker(many, "connections_accepted_total")
    assert len(taken) == WORKERS
    assert sum(taken) == connections + 2 * WORKERS and min(taken) >= 6, taken


def test_a_new_worker_is_given_what_the_others_have_more(many, tmp_path):
    def held():
        return figures.by_worker(many, "connections")

    arguments = ["-m", "hold", "-c", 20 * WORKERS, "--connecting", 64, "--sample", "off", "-d", "5m"]
    started = start_load(tmp_path, *arguments, target=many)
    late = []
    try:
        wait_until(lambda: sum(held()) == 20 * WORKERS, 60, "everybody taken in")
        assert max(held()) <= 30, held()
        os.kill(many.workers()[0], signal.SIGKILL)
        wait_until(lambda: len(many.workers()) == WORKERS and held().count(0) == 1, 10, "a successor")
        for _ in range(40):
            late.append(rawssh.Client(many.address).login())
        # In turn it would have got one or two. The others leave it theirs as long as they hold eight more.
        assert min(held()) >= 5, held()
    finally:
        started[1].kill()
        started[1].communicate()
        for client in late:
            client.close()
