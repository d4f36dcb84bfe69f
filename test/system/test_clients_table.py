"""scripts/clients, on two clients: the shape of its tables, and that a failure is told and names whose it is."""

import json
import subprocess
import sys

import pytest

import client_tables
import client_tasks
import harness
import interop
import reports

sys.path.append(str(harness.ROOT / "scripts"))
from benchlib.report import Report  # noqa: E402

PAGE = """by hand
<!-- clients-tasks: begin -->
old
<!-- clients-tasks: end -->
kept
<!-- clients-figures: begin -->
<!-- clients-figures: end -->
"""


def rows(page, heading):
    """The table under this heading, as dicts."""
    lines = page.partition(f"**{heading}**")[2].strip().splitlines()
    table = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines if line.startswith("|")]
    count = next((at for at, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return [dict(zip(table[0], row, strict=True)) for row in table[2:count]]


@pytest.mark.skipif(not reports.SEES_OFFERS, reason="libssh does its own I/O: nobody reads along")
def test_two_clients(tmp_path):
    page, result = tmp_path / "page.md", tmp_path / "clients.json"
    page.write_text(PAGE)
    only = ["--quick", "--only", "openssh,libssh", "--markdown", str(page)]
    command = [str(harness.ROOT / "scripts/clients"), *only, "--json", str(result)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    text = page.read_text()
    assert text.startswith("by hand\n") and "\nkept\n" in text and "\nold\n" not in text
    assert f"`scripts/clients {' '.join(only)}`" in text, "the command that made it"
    for heading in (
        "Who they are",
        "Tasks",
        "Logins, one method allowed",
        "Remarks of the server's reports",
        "Figures",
    ):
        assert [row["client"] for row in rows(text, heading)] == ["openssh", "libssh"], heading
    for row in rows(text, "Tasks"):
        assert list(row) == ["client", *client_tasks.TASKS] and set(list(row.values())[1:]) == {"yes"}, row
    openssh, libssh = rows(text, "Ciphers, one allowed")
    tried = client_tasks.CIPHERS[::4]
    assert list(openssh) == list(libssh) == ["client", *tried]
    assert {openssh[name] for name in tried} == {"yes", "–"}, openssh  # it offers no CBC by itself
    who = rows(text, "Who they are")[0]
    assert who["version line"].startswith("`SSH-2.0-OpenSSH_") and len(who["HASSH"]) == 34
    openssh = json.loads(result.read_text())["clients"][0]
    assert (
        openssh["figures"]["mb_per_s"] > 0 and openssh["round_trip_us"] > 0 and openssh["figures"]["cpu_s_per_gb"] > 0
    )
    assert "weak-algorithms" in openssh["remarks"] and "cut-without-close" not in openssh["remarks"]


def outcome(result, why=None):
    return {"result": result, "why": why}


def test_what_fails_is_told_and_whose_it_is(monkeypatch):
    chosen = dict.fromkeys(("kex", "cipher_client_to_server", "host_key"), "x")
    client = {
        "name": "one",
        "package": "npm:one@1",
        "version": "1",
        "who": {"version_line": "SSH-2.0-one", "hassh": "0" * 32, "chosen": chosen},
        "tasks": {"1 MiB": outcome("FAILS", "3 of 4 bytes"), "SIGKILL": outcome("-", "it cannot")},
        "login": {},
        "cipher": {},
        "host key": {},
        "remarks": {},
    }
    found, missing = [client, {"name": "two", "broken": "does not compile"}], {"three": "three is not installed"}
    assert client_tables.unexplained(found) == ["two", ("one", "1 MiB")]

    def written():
        report = Report("")
        client_tables.write_tasks(report, found, missing, "about")
        return report.as_markdown()

    assert "one, 1 MiB: whose it is has not been found out (3 of 4 bytes)" in written()
    assert "three: three is not installed" in written() and "two: broken: does not compile" in written()
    assert "one, SIGKILL: it cannot" in written()
    monkeypatch.setitem(interop.WHOSE, ("one", "1 MiB"), "its fault: loses a byte")
    assert client_tables.unexplained(found) == ["two"]
    assert "one, 1 MiB: its fault: loses a byte (3 of 4 bytes)" in written()


def test_a_client_that_brings_back_something_else_fails(tmp_path):
    """The judge itself: a client that loses a byte, one that never ends its input, one that has no status."""
    testbed = client_tasks.Testbed(tmp_path, client_tasks.make_host_keys(tmp_path), connections=2)
    try:
        ssh = interop.KINDS["openssh"](tmp_path)
        program = ssh.program
        ssh.program = lambda *arguments: ["sh", "-c", '"$@" | head -c 1000', "sh", *program(*arguments)]
        for task in (client_tasks.exact, client_tasks.every_byte, client_tasks.fifty_connections):
            with pytest.raises(AssertionError, match="1000 of"):
                task(testbed, ssh)
        ssh.program = lambda *arguments: ["sh", "-c", '"$@"; exit 0', "sh", *program(*arguments)]
        with pytest.raises(interop.Cannot, match="exit status"):
            client_tasks.exit_status(testbed, ssh)
        ssh.program = lambda *arguments: ["sh", "-c", '(cat; sleep 2) | "$@"', "sh", *program(*arguments)]
        with pytest.raises(interop.Cannot, match="no more input"):
            client_tasks.half_close(testbed, ssh)
        ssh.program = lambda *arguments: ["true"]
        with pytest.raises(AssertionError, match="by itself"):
            client_tasks.killed(testbed, ssh)
    finally:
        testbed.close()
