"""The server's own figures, read over HTTP, and what /proc says about its processes: base lines for tests of faults."""

import re
import urllib.request

OPTIONS = {"metrics-listen": "127.0.0.1:0"}  # for a server whose metrics are to be read


def address(server):
    return getattr(server, "metrics", None) or server.wait_line("metrics")["address"]


def metric(server, name, **labels):
    """Sum over all samples of a metric that carry these labels; 0 where there is none."""
    with urllib.request.urlopen(f"http://{address(server)}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    total, known = 0.0, False
    for found, value in re.findall(rf"^sshechod_{name}(?:\{{(.*)\}})? (\S+)$", text, re.M):
        known = True
        if all(f'{key}="{wanted}"' in found for key, wanted in labels.items()):
            total += float(value)
    assert known, f"no metric sshechod_{name}"
    return total


def by_worker(server, name):
    """The values of worker_`name`, one a worker."""
    with urllib.request.urlopen(f"http://{address(server)}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return [int(value) for value in re.findall(rf"^sshechod_worker_{name}{{worker=\"\d+\"}} (\d+)$", text, re.M)]
