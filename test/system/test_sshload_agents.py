"""sshload --agents: one run on several machines, here three sshds on loopback, each with keys of its own."""

import contextlib
import getpass
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import harness
from metrics_page import figure
from sshload_helpers import SSHD, check_result, finish_load, load, openssh, run_tool, start_load, target_of
from terminals import Screen, Viewed

pytestmark = pytest.mark.skipif(SSHD is None, reason="no sshd here")

HOST = """Host {name}
HostName 127.0.0.1
Port {port}
User {user}
IdentityFile {identity}
IdentitiesOnly yes
StrictHostKeyChecking no
UserKnownHostsFile {known_hosts}
LogLevel ERROR
"""
NAMES = ["one", "two", "three"]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """Words of a command line that reach three agents: an ssh_config, and sshload by its path."""
    directory = tmp_path_factory.mktemp("agents")
    with contextlib.ExitStack() as stack:
        blocks = []
        for name in NAMES:
            (directory / name).mkdir()
            daemon = stack.enter_context(openssh(directory / name))
            blocks.append(
                HOST.format(
                    name=name,
                    port=daemon.address[1],
                    user=getpass.getuser(),
                    identity=daemon.identity,
                    known_hosts=directory / "known_hosts",
                )
            )
        config = directory / "config"
        config.write_text("".join(blocks))
        yield [f"--agent-ssh=ssh -F {config}", f"--agent-command={harness.SSHLOAD}"]


def ssh_processes(parent):
    """The ssh of each agent in its run, by its name."""
    found = {}
    for pid in harness.children(parent):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().decode().split("\0")
            if "sshload-agent" in " ".join(words):
                found[words[words.index("--") - 1]] = pid
    return found


def remote_runs(server):
    """The sshloads of the agents, by their shard."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = entry.read_bytes().decode(errors="replace").split("\0")
            if words[0] == str(harness.SSHLOAD) and target_of(server) in words and "--shard" in words:
                found[words[words.index("--shard") + 1]] = int(entry.parent.name)
    return found


def sessions(server):
    return figure(server, 'connections{state="open"}')


def test_three_agents_are_one_run(hosts, observed, tmp_path):
    server = observed()
    done = load(
        tmp_path,
        *hosts,
        "--agents=one,two,three",
        "-c7",
        "-d1s",
        "-i500ms",
        "--ramp=300ms",
        "--label",
        "it's one",
        target=server,
    )
    assert done.code == 0, done
    result = done.result
    assert [part["shard"] for part in result["about"]["parts"]] == [1, 2, 3], done
    assert result["label"] == "it's one" and result["shard"]["merged"] == 3, done
    assert result["summary"]["ok"] > 10 and abs(result["start_skew_us"]) < 1e6, done
    first_echoes = 7  # of each session one, which is part of its handshake
    assert figure(server, "echoes_total") == result["summary"]["started"] + first_echoes, done
    for name in NAMES:
        assert f"agent {name}: clock " in done.complaints, done
    check_progress(done, result)


UNITS = {"us": 1, "ms": 1e3, "s": 1e6}


def check_progress(done, result):
    """While it lasted there were lines about all of them: those of the measurement say what the result says later."""
    lines = re.findall(r"^ +[\d.]+s  (ramp|load)  agents=(\d)/3  (.*)  errors=0$", done.report, re.M)
    assert [phase for phase, _, _ in lines] == sorted((phase for phase, _, _ in lines), reverse=True), done
    assert lines[0][0] == "ramp", done
    rows = result["intervals"]["rows"]
    assert not [words for phase, _, words in lines if phase == "ramp" and "p99=" in words], done  # told by nobody
    told = [words for phase, agents, words in lines if phase == "load" and agents == "3"]
    assert len(told) >= 2 and "sessions=7" in told[0] and "p99=" in told[0], done
    for words, row in zip(told[:2], rows):
        found = dict(word.split("=") for word in words.split("  "))
        assert float(found["echoes/s"]) == pytest.approx(row["echoes"] * 1e6 / row["covered_us"], abs=1), (done, row)
        for name in ("p50", "p99", "max", "mean"):
            if name in found:  # an agent that has ended tells its last interval without latencies
                value, unit = found[name].split()
                assert float(value) * UNITS[unit] == pytest.approx(row[name], rel=0.006), (name, done, row)
    assert "sshload-progress" not in done.report + done.complaints, done


def test_an_agent_that_is_lost_fails_the_run(hosts, observed, tmp_path):
    """Two ends: its sshload is killed, its ssh is. The third stops, and nothing goes on at any of the hosts."""
    server = observed()
    started = start_load(
        tmp_path, *hosts, "--agents", "one,two,three", "-c", "3", "-d", "1h", "--timeout=1s", target=server
    )
    try:
        harness.wait_until(lambda: sessions(server) == 3, 60, "the sessions of all agents")
        os.kill(remote_runs(server)["3/3"], signal.SIGKILL)
        os.kill(ssh_processes(started[1].pid)["two"], signal.SIGKILL)
    finally:
        done = finish_load(started, 30)
    assert done.code == 1, done
    two, three = (line for line in done.complaints.splitlines() if "lost" in line)
    assert two == "sshload: agent two is lost (ssh was ended by a signal): it said nothing", done
    assert three.startswith("sshload: agent three is lost (exit code 137): "), done
    assert "1 of 3 agents are in the figures" in done.complaints, done
    harness.wait_until(lambda: not remote_runs(server), what=lambda: f"end of {remote_runs(server)}")
    harness.wait_until(lambda: sessions(server) == 0, what="the end of the lost agent's sessions")


def test_ctrl_c_ends_all_agents_and_prints_what_there_is(hosts, observed, tmp_path):
    """On a terminal, where one line shows how far all of them are."""
    server = observed()
    path = tmp_path / "result.json"
    view = Viewed(*hosts, "--agents=one,two,three", "-c3", "-d1h", "--json", path, target_of(server), columns=200)
    view.until(r"load  agents=3/3  sessions=3 .* echoes/s=[1-9]\d* .* p99=[\d.]+ [mu]?s  max=.* errors=0", 60)
    assert len(remote_runs(server)) == 3
    os.write(view.fd, b"\x03")
    assert view.finish() == 0, view.text
    result = json.loads(path.read_text())
    check_result(result)
    assert len(result["about"]["parts"]) == 3 and result["summary"]["ok"] > 10, result
    assert "agents=" not in Screen().feed(view.text).shown, view.text
    assert not remote_runs(server)


def test_an_agent_that_never_answers_is_named(tmp_path):
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\ntrap '' TERM\necho $$ > " + str(tmp_path / "pid") + "\nexec sleep 1000\n")
    ssh.chmod(0o755)
    haste = ["--connect-timeout=300ms", "--handshake-timeout=200ms"]
    begin = time.monotonic()
    done = run_tool(f"--agent-ssh={ssh}", "--agents=silent,too", *haste, "127.0.0.1:9")
    assert done.returncode == 2 and time.monotonic() < begin + 5, done
    assert done.stderr == ("sshload: agent silent does not answer: no time in 0.5 s from `sshload clock` there\n"), done
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists(), done


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["--agents=one,two", "--agent-command=/nonexistent/sshload"], "sshload: agent one does not answer: "),
        (["--agents=one,nowhere.invalid"], "sshload: agent nowhere.invalid does not answer: ssh: "),
        (["--agents=one,-oProxyCommand=true"], "--agents: allowed: "),
        (["--agents=one,,two"], "--agents: allowed: "),
        (["--agents=one", "--shard=1/2"], "--agents: --shard has no meaning with agents"),
        (["--agents=one", "--agent-ssh=/nonexistent/ssh"], "No such file"),
    ],
)
def test_agents_that_cannot_begin(hosts, words, complaint):
    done = run_tool(*hosts, *words, "-d", "1s", "127.0.0.1:9")
    assert done.returncode == 2, done
    assert complaint in done.stderr and not done.stdout, done
    assert "/nonexistent/sshload" not in words[-1] or "/nonexistent/sshload" in done.stderr, done
    assert len([line for line in done.stderr.splitlines() if ": clock " not in line]) == 1, done


SKEWED = """#!/bin/sh
# The sshload of a host whose clock is 80 ms ahead.
[ "$1" = clock ] || exec {sshload} "$@"
exec {python} -c '
import sys, time
for line in iter(sys.stdin.readline, ""):
    print("welcome to this host\\nsshload-clock", int((time.time() + 0.080) * 1e6), flush=True)'
"""


def test_a_clock_that_is_off_is_told_and_refused(hosts, tmp_path):
    command = tmp_path / "skewed"
    command.write_text(SKEWED.format(sshload=harness.SSHLOAD, python=sys.executable))
    command.chmod(0o755)
    done = run_tool(*hosts, f"--agent-command={command}", "--agents=three", "-d1s", "127.0.0.1:9")
    assert done.returncode == 2, done
    said = done.stderr.split("agent three: its clock is ")[1]
    assert 75 < float(said.split()[0]) < 85 and said.split(" ", 1)[1].startswith("ms ahead of ours (to within "), done


def test_the_clock_answers_until_its_input_ends():
    before = time.time()
    done = subprocess.run([harness.SSHLOAD, "clock"], input="\n\n", capture_output=True, text=True, timeout=10)
    answers = [line.split() for line in done.stdout.splitlines()]
    assert done.returncode == 0 and [words[0] for words in answers] == ["sshload-clock"] * 2, done
    assert before - 0.01 <= int(answers[0][1]) / 1e6 <= time.time() + 0.01, done
