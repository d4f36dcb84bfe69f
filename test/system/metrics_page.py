"""The page of figures as a client reads it. The fixture `observed` starts a server that has one."""

import urllib.error
import urllib.parse
import urllib.request


SERVED = {"metrics-listen": "127.0.0.1:0"}


def get(server, path, method="GET", data=None):
    """Status and text."""
    request = urllib.request.Request(f"http://{server.metrics}{path}", data, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def figures(server):
    """{'sshechod_connections{state="open"}': 1.0, ...}"""
    status, text = get(server, "/metrics")
    assert status == 200
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if not line.startswith("#")
    }


def figure(server, name):
    return figures(server)["sshechod_" + name]
