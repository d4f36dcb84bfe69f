"""What is seen of a run while it goes on: the view on a terminal, the page for Prometheus, the dashboard over it."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import harness
from bad_servers import listener
from sshload_helpers import finish_load, run_tool, start_load, target_of
from terminals import Screen, Viewed


DASHBOARD = harness.ROOT / "conf/deploy/grafana/sshecho.json"


def test_the_view_and_what_is_left_of_it(server):
    view = Viewed("--live", "-q", "-c", 4, "-d", "2s", "-i", "300ms", target_of(server))
    assert view.finish() == 0, view.text
    for pattern in (
        r"sshload ping  127\.0\.0\.1:\d+  \d+\.\d s, measured \d\.\d of 2\.0 s",
        r"rate       [1-9]\d* echoes/s",
        r"sessions   4 of 4",
        r"latency    p50 [\d.]+ \ws  p99 [\d.]+ \ws  max",
        r"errors     0",
        r"generator  [1-9]\d* % of a core, 1 thread",
    ):
        assert re.search(pattern, view.text), (pattern, view.text)
    assert "\x1b[?" not in view.text  # no mode of the terminal is changed, so none is left changed
    assert Screen().feed(view.text).shown == "", view.text


@pytest.mark.parametrize("times", [1, 2])
def test_interrupted_by_its_terminal(server, times):
    """By one Ctrl-C the run ends and reports; by two at once. The view is gone in both."""
    slow = ["--timeout", "60s", "--drain-timeout", "60s", "--request", "exec:echo delay=40s"] if times == 2 else []
    slow += ["--handshake-timeout", "60s"] if times == 2 else []
    view = Viewed("--live", "-q", "-c", 2, "-d", "60s", *slow, target_of(server))
    view.until(r"sessions   2 of 2" if times == 1 else r"setting up sessions")
    for i in range(times):
        os.write(view.fd, b"\x03")
        if i + 1 < times:
            time.sleep(0.2)
    code = view.finish()
    assert code == (0 if times == 1 else 130), view.text
    left = Screen().feed(view.text).shown
    assert "generator" not in left and "latency" not in left, (left, view.text)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_told_to_end(server, tmp_path, number):
    """SIGHUP comes twice where a terminal is closed, from the kernel and from the shell: that is not "now"."""
    path = tmp_path / "result.json"
    view = Viewed("--live", "-q", "-c", 2, "-d", "60s", "--json", path, target_of(server))
    view.until(r"sessions   2 of 2")
    for _ in range(2 if number == signal.SIGHUP else 1):
        os.kill(view.pid, number)
    assert view.finish() == 0, view.text
    assert Screen().feed(view.text).shown == "", view.text
    assert json.loads(path.read_text())["interrupted"]


def test_a_terminal_that_goes_away(server, tmp_path):
    """The kernel tells the run, which writes down what it has found."""
    path = tmp_path / "result.json"
    view = Viewed("--live", "-q", "-c", 2, "-d", "60s", "--json", path, target_of(server))
    view.until(r"sessions   2 of 2")
    os.close(view.fd)
    harness.wait_until(lambda: os.waitpid(view.pid, os.WNOHANG)[0], 20, "its end")
    result = json.loads(path.read_text())
    assert result["interrupted"] and result["summary"]["failed"] == 0, result["summary"]


def test_nohup_is_heeded(server, tmp_path):
    started = start_load(
        tmp_path,
        "-c1",
        "-d60s",
        "-i50ms",
        target=server,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    try:
        assert started[1].stdout.readline()
        started[1].send_signal(signal.SIGHUP)
        for _ in range(6):
            assert started[1].stdout.readline(), "it has ended"
        started[1].send_signal(signal.SIGTERM)
    finally:
        assert finish_load(started).result["interrupted"]


def test_errors_by_class_on_a_narrow_terminal():
    with listener(lambda connection: None) as bad:
        view = Viewed("--live", "-q", "-c", 2, "-d", "800ms", "--retry", "100ms", target_of(bad), columns=30)
        assert view.finish() == 1
    assert re.search(r"errors     [1-9]\d*  closed \d", view.text), view.text
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[\d*[A-Z]", "", view.text))
    assert max(map(len, lines)) < 30, lines
    assert Screen().feed(view.text).shown == "", view.text


def test_without_a_terminal_it_says_so():
    done = run_tool("--live", "127.0.0.1:1")
    assert done.returncode == 2 and "--live: needs a terminal" in done.stderr, done


# -- for Prometheus


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def values(text):
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")}


def exported(directory, *options, target):
    """A run, and where its page is."""
    started = start_load(directory, *options, "--metrics-listen", "127.0.0.1:0", target=target)
    line = started[1].stderr.readline()
    return started, re.fullmatch(r"sshload: metrics at (http://127\.0\.0\.1:\d+/metrics)\n", line)[1]


@pytest.fixture
def exporting():
    if "libmicrohttpd: yes" not in run_tool("--version").stdout:
        pytest.skip("built without libmicrohttpd")


def test_the_page_says_what_the_run_does(exporting, server, tmp_path):
    options = ["-c", 4, "-r", 200, "-d", "3s", "-i", "200ms", "--label", 'a "b" \\', "-q"]
    started, url = exported(tmp_path, *options, target=server)
    harness.wait_until(lambda: values(get(url))["sshload_latency_seconds_count"] > 100, 20, "measured latencies")
    text = get(url)
    page = values(text)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(url + "/none")
    with pytest.raises(urllib.error.HTTPError, match="405") as refused:
        urllib.request.urlopen(url, b"something", timeout=10)
    assert refused.value.headers["Allow"] == "GET, HEAD"
    outcome = finish_load(started)
    assert outcome.code == 0, outcome
    assert page["sshload_sessions"] == page["sshload_connections_wanted"] == page["sshload_handshakes_total"] == 4
    assert page["sshload_measuring"] == 1 and page["sshload_threads"] == 1
    count = page["sshload_latency_seconds_count"]
    assert 100 < count <= page["sshload_echoes_total"] <= outcome.summary["started"]
    echoed = page["sshload_echoed_bytes_total"] / 64  # greetings among them, which are no messages of the run
    assert page["sshload_echoes_total"] <= echoed <= page["sshload_echoes_total"] + 8
    buckets = [value for name, value in page.items() if name.startswith("sshload_latency_seconds_bucket")]
    assert buckets == sorted(buckets) and buckets[-1] == count
    assert page["sshload_latency_seconds_sum"] > 0 and page["sshload_cpu_seconds_total"] > 0
    assert all(value == 0 for name, value in page.items() if name.startswith("sshload_errors_total"))
    assert f'label="a \\"b\\" \\\\",target="{target_of(server)}"}} 1' in text
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, timeout=30)
        assert done.returncode == 0, done


def test_the_page_counts_errors_by_class(exporting, tmp_path):
    with listener(lambda connection: None) as bad:
        started, url = exported(tmp_path, "-c", 2, "-d", "2s", "--retry", "50ms", "-q", target=bad)
        harness.wait_until(lambda: values(get(url))['sshload_errors_total{class="closed"}'] > 3, 20, "errors")
        outcome = finish_load(started)
    assert outcome.errors["closed"] > 3


def test_an_address_that_is_taken(exporting, server):
    with listener(lambda connection: None) as taken:
        done = run_tool("-c", 1, "-d", "1s", "--metrics-listen", f"127.0.0.1:{taken[1]}", target_of(server))
    assert done.returncode != 0 and "--metrics-listen: 127.0.0.1:" in done.stderr and "in use" in done.stderr, done


# -- the dashboard


@pytest.fixture(scope="module")
def queries():
    dashboard = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    found += [each["query"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    assert len(found) > 25
    return found


def test_every_query_names_series_that_exist(exporting, serve, tmp_path, queries):
    server = serve(options={"metrics-listen": "127.0.0.1:0"})
    started, url = exported(tmp_path, "-c", 1, "-d", "1s", "-q", target=server)
    pages = get(url) + get(f"http://{server.wait_line('metrics')['address']}/metrics")
    finish_load(started)
    series = {}
    for line in pages.splitlines():
        if line[0] != "#":
            name, _, labels = re.match(r"([a-z_]+)(\{(.*)\})? ", line).groups()
            series.setdefault(name, set()).update(re.findall(r"(\w+)=", labels or ""))
    for query in queries:
        names = re.findall(r"\bssh(?:load|echod)_[a-z_]+", query)
        assert names, query
        for name in names:
            assert name in series, f"{query}: there is no {name}"
        for label in [each for group in re.findall(r"by \(([^)]*)\)", query) for each in group.split(", ")]:
            assert label in {"instance", "job"} or any(label in series[name] for name in names), (query, label)


def test_prometheus_reads_every_query(tmp_path, queries):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    rules = []
    for i, query in enumerate(queries):
        if not query.startswith("label_values"):
            rules.append({"record": f"query:{i}", "expr": query.replace("$__rate_interval", "1m")})
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done
