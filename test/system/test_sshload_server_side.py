"""What a run costs the server: read from its processes, its control group, its page of figures."""

import contextlib
import csv
import http.server
import json
import os
import subprocess
import sys
import threading
import time

import pytest

import harness
from sshload_helpers import load, run_tool

HZ = os.sysconf("SC_CLK_TCK")

# A process whose children each work for a tenth of a second and are waited for: most are gone when somebody looks.
# Told to end, it waits for the last one and lives on: from then on its own count holds all of them.
BUSY_PARENT = """
import os, signal, sys, time
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(True))
print("ready", flush=True)
while not told:
    if os.fork() == 0:
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass
        os._exit(0)
    os.wait()
    time.sleep(0.1)
print("all waited for", flush=True)
signal.pause()
"""


def ticks_of(pid):
    """CPU time of a process and of the children that it has waited for."""
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / HZ


@contextlib.contextmanager
def page(text_of, status=200):
    """An HTTP server on loopback whose every page is what text_of() says."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = text_of().encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}/metrics"
        httpd.shutdown()
        thread.join()


def test_the_cost_of_an_echo_is_what_the_kernel_counts(server, tmp_path):
    before = sum(ticks_of(pid) for pid in [server.pid, *server.workers()])
    outcome = load(tmp_path, "-c", 20, "-d", "1s", "--server-pid", server.pid, target=server)
    used = sum(ticks_of(pid) for pid in [server.pid, *server.workers()]) - before
    seen = outcome.result["server"]
    assert outcome.code == 0 and seen["source"] == f"process {server.pid}" and seen["complaint"] is None, outcome
    assert seen["cpu_s"] == pytest.approx(used, abs=0.15) and 0 < seen["cpu_s"] <= used + 2 / HZ, (seen, used)
    assert seen["cpu_us_per_echo"] == pytest.approx(seen["cpu_s"] * 1e6 / outcome.summary["echoes"], rel=0.01)
    assert seen["cpu_s_per_gb"] is None
    assert "us an echo" in outcome.report and f"(process {server.pid})" in outcome.report


def test_memory_of_a_session(server, tmp_path):
    """Of all processes together; that of idle sessions is 20 KiB, as docs/performance.md measures by other means."""
    options = ["-m", "hold", "-c", 200, "-d", "1s", "--server-pid", server.pid, "-q"]
    seen = load(tmp_path, *options, target=server).result["server"]
    assert seen["bytes"] > seen["bytes_before"] > 0
    assert seen["kib_per_session"] == pytest.approx((seen["bytes"] - seen["bytes_before"]) / 1024 / 200, rel=0.01)
    if not harness.is_sanitized():
        assert 5 < seen["kib_per_session"] < 60, seen


def test_intervals_hold_the_servers_side(server, tmp_path):
    rows = tmp_path / "rows.csv"
    options = ["-d", "2500ms", "-i", "200ms", "--csv", rows, "--server-pid", server.pid, "-q"]  # memory: once a second
    outcome = load(tmp_path, *options, target=server)
    with open(rows) as file:
        read = list(csv.DictReader(file))
    kept = outcome.result["intervals"]["rows"]
    assert [float(row["server_cpu_s"]) for row in read] == [row["server_cpu_s"] for row in kept]
    whole = outcome.result["server"]["cpu_s"]
    assert sum(row["server_cpu_s"] for row in kept) == pytest.approx(whole, abs=0.1 * whole + 2 / HZ)
    assert any(row["server_bytes"] for row in kept)


def test_children_that_come_and_go_count(server, tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", BUSY_PARENT], stdout=subprocess.PIPE, text=True)
    try:
        parent.stdout.readline()
        before, began = ticks_of(parent.pid), time.monotonic()
        outcome = load(tmp_path, "-c", 2, "-r", 50, "-d", "2s", "--server-pid", parent.pid, target=server)
        parent.terminate()
        assert parent.stdout.readline() == "all waited for\n"
        used, took = ticks_of(parent.pid) - before, time.monotonic() - began
    finally:
        parent.kill()
        parent.communicate()
    seen = outcome.result["server"]
    assert used > 0.3
    # It was measured for a part of the time that the kernel's count is of, and a busy machine does not give it evenly.
    share = outcome.summary["seconds"] / took
    assert 0.5 * used * share <= seen["cpu_s"] <= used + 2 / HZ, (seen, used, took)


def test_a_server_that_ends_is_told(server, tmp_path):
    brief = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"])
    reaper = threading.Thread(target=brief.wait)
    reaper.start()
    outcome = load(tmp_path, "-c", 2, "-r", 50, "-d", "3500ms", "--server-pid", brief.pid, target=server)
    reaper.join()
    assert outcome.code == 0 and outcome.result["server"]["cpu_s"] is None, outcome
    assert "has ended" in outcome.result["server"]["complaint"]
    assert f"not known: process {brief.pid} has ended" in outcome.report


def metrics_text(cpu, memory):
    lines = [f'sshechod_worker_cpu_seconds_total{{worker="{i}"}} {value:.6f}' for i, value in enumerate(cpu)]
    lines += [f'sshechod_worker_resident_memory_bytes{{worker="{i}"}} {value}' for i, value in enumerate(memory)]
    return "# TYPE sshechod_worker_cpu_seconds_total counter\n" + "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def curl():
    if "libcurl: yes" not in run_tool("--version").stdout:
        pytest.skip("built without libcurl")


def test_a_page_of_figures(curl, server, tmp_path):
    """Of two workers, one of which is replaced after a while: what it had used stays used."""
    began = time.monotonic()

    def text():
        age = time.monotonic() - began
        return metrics_text([age * 0.3, (age if age < 1.0 else age - 1.0) * 0.2], [3000000, 1000000])

    with page(text) as url:
        outcome = load(tmp_path, "-c", 4, "-r", 100, "-d", "2s", "--server-metrics", url, target=server)
    seen = outcome.result["server"]
    assert seen["source"] == url and seen["bytes"] == 4000000, seen
    assert seen["cpu_s"] == pytest.approx(0.5 * outcome.summary["seconds"], rel=0.1)


def test_any_servers_page(curl, server, tmp_path):
    began = time.monotonic()
    with page(lambda: f"process_cpu_seconds_total {time.monotonic() - began}\n") as url:
        outcome = load(tmp_path, "-c", 2, "-r", 100, "-d", "1s", "--server-metrics", url, target=server)
    seen = outcome.result["server"]
    assert seen["cpu_s"] == pytest.approx(outcome.summary["seconds"], rel=0.1) and seen["bytes"] is None


def test_our_own_page_says_what_the_processes_say(curl, serve, tmp_path):
    server = serve(options={"metrics-listen": "127.0.0.1:0"})
    url = f"http://{server.wait_line('metrics')['address']}/metrics"
    pid = server.worker
    before = ticks_of(pid)
    seen = load(tmp_path, "-c", 20, "-d", "2s", "--server-metrics", url, target=server).result["server"]
    assert seen["cpu_s"] == pytest.approx(ticks_of(pid) - before, rel=0.3)
    assert seen["bytes"] > 1e6


@pytest.mark.parametrize("version", [1, 2])
def test_control_group(server, tmp_path, version):
    """Files as the kernel writes them; the group uses half a core."""
    group = tmp_path / "group"
    (group / "inner").mkdir(parents=True)
    (group / "cgroup.procs").write_text("")
    (group / "inner" / "cgroup.procs").write_text(f"{os.getpid()}\n")
    over = threading.Event()

    def write():
        began = time.monotonic()
        while True:
            used = 7 + (time.monotonic() - began) / 2
            name, text = (
                ("cpuacct.usage", f"{used * 1e9:.0f}\n")
                if version == 1
                else ("cpu.stat", f"nr_periods 0\nusage_usec {used * 1e6:.0f}\nuser_usec 1\n")
            )
            (group / f"{name}.new").write_text(text)
            (group / f"{name}.new").rename(group / name)
            if over.wait(0.01):
                return

    thread = threading.Thread(target=write)
    thread.start()
    try:
        harness.wait_until(lambda: any(group.glob("cpu*t")) or any(group.glob("cpuacct.usage")), 5, "the first figures")
        outcome = load(tmp_path, "-c", 2, "-r", 50, "-d", "1s", "--server-cgroup", group, target=server)
    finally:
        over.set()
        thread.join()
    seen = outcome.result["server"]
    assert seen["cpu_s"] == pytest.approx(0.5 * outcome.summary["seconds"], rel=0.1)
    assert seen["bytes"] == pytest.approx(harness.pss_kib(os.getpid()) * 1024, rel=0.2)


@pytest.mark.parametrize(
    "options, says",
    [
        (["--server-pid", 2**31 - 1], "process 2147483647 does not exist"),
        (["--server-cgroup", "/tmp"], "no control group that counts CPU time"),
        (["--server-pid", 1, "--server-cgroup", "/tmp"], "exclude each other"),
        (["--server-pid", "many"], "is not a count"),
    ],
)
def test_what_cannot_be_observed_is_said_before_anything_starts(server, options, says):
    done = run_tool("-c", 1, *options, f"127.0.0.1:{server.port}")
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1, done


@pytest.mark.parametrize("bad", ["status", "nothing", "nobody", "scheme"])
def test_a_page_that_is_none(curl, server, bad):
    with page(lambda: "up 1\n", status=404 if bad == "status" else 200) as url:
        url = {"nobody": "http://127.0.0.1:1/", "scheme": "file:///etc/passwd"}.get(bad, url)
        done = run_tool("-c", 1, "--server-metrics", url, f"127.0.0.1:{server.port}")
    assert done.returncode == 2 and url in done.stderr and done.stderr.count("\n") == 1, done
    assert bad != "nothing" or "names no sshechod_worker_cpu_seconds_total" in done.stderr


def test_comparisons_and_finds_say_it(server, tmp_path):
    for name in ("a", "b", "without"):
        observed = [] if name == "without" else ["--server-pid", server.pid]
        load(tmp_path, "-d", "300ms", "-q", *observed, target=server, json_name=f"{name}.json")
    file = tmp_path / "compare.json"
    done = run_tool("compare", "--force", tmp_path / "a.json", tmp_path / "b.json", "--json", file)
    figures = {figure["figure"]: figure for figure in json.loads(file.read_text())["figures"]}
    cost = json.loads((tmp_path / "a.json").read_text())["server"]["cpu_us_per_echo"]
    assert figures["server CPU us/echo"]["a"] == pytest.approx(cost, abs=0.001), done
    done = run_tool("compare", "--force", tmp_path / "a.json", tmp_path / "without.json")
    assert done.returncode in (0, 99) and "server" not in done.stdout, done  # one side alone is no comparison
    found = tmp_path / "find.json"
    options = ["--from", 50, "--to", 50, "-d", "300ms", "--server-pid", server.pid, "--json", found]
    done = run_tool("find", *options, f"127.0.0.1:{server.port}")
    assert done.returncode == 0 and "server CPU us/echo" in done.stdout, done
    assert json.loads(found.read_text())["steps"][0]["result"]["server"]["cpu_s"] >= 0


def test_a_damaged_server_is_refused(server, tmp_path):
    outcome = load(tmp_path, "-d", "200ms", "-q", "--server-pid", server.pid, target=server)
    for damage in ({"cpu_s": -1}, {"source": 7}, {"bytes": "much"}, {"source": ""}):
        path = tmp_path / "bad.json"
        path.write_text(json.dumps({**outcome.result, "server": {**outcome.result["server"], **damage}}))
        done = run_tool("merge", path)
        assert done.returncode == 2 and "server: is not what sshload writes" in done.stderr, (damage, done)
