"""What the threads of sshload share: the gate, the cap on connecting, the live counters, the end. `make check-tsan` runs
these with a sshload that ThreadSanitizer watches."""

import signal
import time
import urllib.request

import pytest

import harness

from sshload_helpers import finish_load, load, start_load


def test_a_closed_loop_by_count_with_progress(server, tmp_path):
    outcome = load(tmp_path, "-n", 2000, "-c", 8, "-C", 2, "-t", 4, "--pipeline", 4, "-i", "20ms", target=server)
    assert outcome.code == 0 and outcome.summary["ok"] == 2000, outcome


def test_a_rate_with_retry_beside_a_dead_target(server, tmp_path):
    options = ["-r", 400, "-n", 200, "-c", 6, "-t", 3, "--retry", "20ms", "-i", "20ms"]
    outcome = load(tmp_path, *options, target=[server.address, ("127.0.0.1", harness.free_port())], timeout=60)
    assert outcome.code == 1 and outcome.summary["started"] == 200, outcome


@pytest.mark.parametrize("connections, threads", [(24, 8), (64, 16), (64, 16), (64, 16)])
def test_more_threads_than_may_connect(server, tmp_path, connections, threads):
    """Each that waits is told when one may: also when it was another's turn who no longer wanted."""
    options = ["-c", connections, "-t", threads, "--connecting", 2, "-d", "100ms", "-i", "20ms"]
    outcome = load(tmp_path, *options, target=server)
    assert outcome.code == 0 and outcome.summary["connects_up"] == connections, outcome


@pytest.mark.parametrize("mode", ["stream", "connect", "hold"])
def test_other_modes(server, tmp_path, mode):
    options = ["-m", mode, "-c", 6, "-t", 3, "-d", "500ms", "--sample-interval", "50ms", "-i", "20ms"]
    outcome = load(tmp_path, *options, target=server)
    assert outcome.summary["ok"] > 0 and outcome.summary["failed"] == 0, outcome


def test_an_interrupt_in_the_ramp_and_under_load(server, tmp_path):
    for options in (["--ramp", "60s"], []):
        started = start_load(tmp_path, "-c", 8, "-t", 4, "-d", "60s", "-i", "20ms", *options, target=server)
        next(line for line in started[1].stdout if ("ramp" if options else "load") in line)
        time.sleep(0.1)
        started[1].send_signal(signal.SIGINT)
        assert finish_load(started, 30).result["interrupted"]


def test_intervals_of_many_threads_add_up(server, tmp_path):
    """What a sampler hands over and the main thread takes, as often as can be, into every file that is made of it."""
    files = ["--hlog", tmp_path / "run.hlog", "--csv", tmp_path / "run.csv"]
    outcome = load(tmp_path, "-c", 8, "-t", 4, "-d", "700ms", "-w", "100ms", "-i", "2ms", *files, target=server)
    assert outcome.code == 0, outcome
    assert len(outcome.result["intervals"]["rows"]) > 100  # finish_load looks at their sum


def test_a_look_before_the_first_thread_runs(server, tmp_path):
    """Whoever knows the port asks again and again until there is an answer: the first is of the run's first moments."""
    port = harness.free_port()
    for _ in range(4):
        options = ["-c", 4, "-t", 8, "-d", "100ms", "--metrics-listen", f"127.0.0.1:{port}"]
        started = start_load(tmp_path, *options, target=server)
        harness.wait_until(lambda: first_page(port) or started[1].poll() is not None, 10, "a page", pause=0)
        assert finish_load(started, 30).code == 0


def first_page(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            return page.read()
    except OSError:
        return None
