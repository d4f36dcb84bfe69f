"""The figures read by programs that were written for them: promtool and a real Prometheus."""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

import harness
import rawssh
from harness import wait_until
from metrics_page import get


pytestmark = pytest.mark.skipif(
    "libmicrohttpd: no" in harness.run_sshechod("--version").stdout, reason="built without libmicrohttpd"
)


def require(program):
    path = shutil.which(program)
    assert path, f"{program} is not installed (scripts/install-deps test)"
    return path


def test_names_and_units_pass_promtool(observed, dial):
    server = observed(workers=2)
    client = dial(server)
    client.echo(client.shell(), b"x")
    text = get(server, "/metrics")[1]
    result = subprocess.run(
        [require("promtool"), "check", "metrics"], input=text, text=True, capture_output=True, timeout=30
    )
    assert result.returncode == 0 and not result.stdout + result.stderr, result.stdout + result.stderr


# -- a real Prometheus

PROMETHEUS_CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs: [{{job_name: sshechod, static_configs: [{{targets: ['{target}']}}]}}]
"""


def query(port, expression):
    """The value of an expression that has one, or None."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    try:
        with opener.open(url, timeout=5) as answer:
            result = json.load(answer)["data"]["result"]
    except OSError:
        return None
    return float(result[0]["value"][1]) if result else None


@contextlib.contextmanager
def prometheus(directory, target):
    """Prometheus on a free port, scraping target."""
    config = directory / "prometheus.yml"
    config.write_text(PROMETHEUS_CONFIG.format(target=target))
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
    with open(directory / "prometheus.log", "wb") as log:
        process = subprocess.Popen(
            [
                require("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={directory}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: query(port, "vector(1)") == 1, 30, "Prometheus to answer", pause=0.1)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def test_prometheus_scrapes_it(observed, tmp_path):
    server = observed(workers=2)
    with prometheus(tmp_path, server.metrics) as port:
        wait_until(lambda: query(port, "up") == 1, 20, "a successful scrape", pause=0.1)
        with rawssh.Client(server.address) as client:
            channel = client.login().shell()
            for _ in range(10):
                client.echo(channel, rawssh.pattern(10_000))
                time.sleep(0.1)  # a rate needs samples in between
            wait_until(lambda: query(port, 'sshechod_connections{state="open"}') == 1, 10, "the session in Prometheus")
        wait_until(lambda: query(port, "sshechod_received_bytes_total") == 100_000, 10, "the bytes in Prometheus")
        assert query(port, "rate(sshechod_received_bytes_total[1m])") > 0
        assert query(port, "sum(sshechod_worker_received_bytes_total)") == 100_000
        assert query(port, "histogram_quantile(0.99, sshechod_handshake_duration_seconds_bucket)") > 0
        assert query(port, "sshechod_build_info") == 1
        server.signal(signal.SIGTERM)
        wait_until(lambda: query(port, "up") == 0, 20, "the end of the server in Prometheus", pause=0.1)
