"""The benchmark drivers: that they measure what they say, and leave nothing behind. Not how fast anything is."""

import json
import os
import shutil
import signal
import subprocess
import tempfile

import pytest

import harness

SCRIPTS = harness.ROOT / "scripts"


# In sshload's place: the same run, of which it says that it was itself the limit.
BOUND_SSHLOAD = """#!/usr/bin/python3
import json, signal, subprocess, sys
words = sys.argv[1:]
real = subprocess.Popen(["{real}", *words])
signal.signal(signal.SIGINT, lambda number, _: real.send_signal(number))
code = real.wait()
paths = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--json"]
for path in paths:
    result = json.load(open(path))
    if result["schema"] == "sshload/1":
        result["generator"].update(client_bound=True, busiest_thread_cpu=0.99, remarks=["client-bound: says the test"])
        json.dump(result, open(path, "w"))
sys.exit(code)
"""


BOUND = "client-bound: says the test"


@pytest.fixture
def bound_build(tmp_path):
    """A build directory whose sshload is client-bound, always: what a benchmark makes of that must be told."""
    path = tmp_path / "bound-build"
    path.mkdir()
    for name in os.listdir(harness.BUILD):
        if name != "sshload":
            (path / name).symlink_to(harness.BUILD / name)
    (path / "sshload").write_text(BOUND_SSHLOAD.format(real=harness.SSHLOAD))
    (path / "sshload").chmod(0o755)
    return path


def bench(name, directory, *arguments, build=None):
    """A driver, with every temporary file of its in directory."""
    command = [str(SCRIPTS / name), "--no-build", "--quick", *arguments]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "BUILD": str(build or harness.BUILD), "TMPDIR": str(directory)},
    )


def finished(process, timeout=240):
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    assert process.returncode == 0, f"exit {process.returncode}\n{out}\n{err}"
    return out


@pytest.fixture
def directory():
    with tempfile.TemporaryDirectory(prefix="sshecho-test-") as path:
        yield path


def left_behind(directory):
    return [name for name in os.listdir(directory) if name.startswith("sshecho-bench-")]


def test_bench_server_measures_echo_and_memory(directory, tmp_path, bound_build):
    path = tmp_path / "result.json"
    parts = ("--only", "echo", "--only", "idle", "--only", "hold")
    out = finished(bench("bench-server", directory, *parts, "--json", str(path), build=bound_build))
    result = json.loads(path.read_text())
    runs = [run for run in result["records"] if run["server"] == "sshechod"]
    assert runs and all(run["failure"] is None for run in runs), runs
    echo = next(run for run in runs if run["part"] == "echo")
    assert echo["us_per_echo"] > 0 and echo["echoes_per_s"] > 0 and "--json" in echo["command"]
    assert all(run["client_bound"] == BOUND for run in result["records"] if run["server"] != "tcp")
    assert "sshechod, echo: " + BOUND in out and "sessions held: " + BOUND in out, out
    assert 1 < result["idle"]["sshechod"]["kib_per_session"] < 4096
    assert result["hold"]["up"] == result["hold"]["asked"] and result["hold"]["echoes"] == 2 * result["hold"]["asked"]
    assert {each["state"] for each in result["verdicts"]} <= {
        "met",
        "goal met",
        "met, goal not",
        "not met",
        "not measured",
    }
    assert "Targets" in out and not left_behind(directory)


def test_bench_peers_writes_between_the_marks_of_a_page(directory, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench-peers: begin -->\nold\n<!-- bench-peers: end -->\nafter\n")
    finished(
        bench(
            "bench-peers",
            directory,
            "--only",
            "stream",
            "--server",
            "sshechod",
            "--server",
            "tcp",
            "--markdown",
            str(page),
        )
    )
    text = page.read_text()
    assert text.startswith("before\n<!-- bench-peers: begin -->\n") and text.endswith(
        "<!-- bench-peers: end -->\nafter\n"
    )
    assert "old" not in text and "| sshechod | " in text and "| floor: TCP echo + two passes | " in text


def test_no_script_judges_a_load_itself():
    """Whether a run says anything about the server is asked in one place, benchlib/verdict.py."""
    for path in [*SCRIPTS.glob("bench-*"), SCRIPTS / "soak"]:
        text = path.read_text()
        assert '["client_bound"]' not in text and '.get("client_bound"' not in text, path.name
        assert "load.measure(" in text or "verdict.mark(" in text, f"{path.name} neither uses load.measure nor marks"


@pytest.fixture(scope="session")
def peers_are_built(tmp_path_factory):
    """Before the test's time begins: Go compiles its whole library first, npm may wait for a network."""
    servers = ["--server", "go", "--server", "node"]
    bench("bench-peers", tmp_path_factory.mktemp("peers"), "--only", "hold", *servers).communicate(timeout=600)


def test_bench_peers_measures_other_libraries_or_says_why_not(peers_are_built, directory, tmp_path):
    """Both ways of logging in, every byte of the echo compared by sshload."""
    path = tmp_path / "result.json"
    peers = {
        "go": ["none", "by key"],
        "node": ["none", "by key"],
        "asyncssh": ["none", "by key"],
    }
    chosen = [word for name in peers for word in ("--server", name)]
    out = finished(
        bench("bench-peers", directory, "--only", "connect", "--duration", "1", *chosen, "--json", str(path)),
    )
    result = json.loads(path.read_text())
    for name, logins in peers.items():
        if name in result["servers"]:
            runs = {run["part"]: run for run in result["records"] if run["server"] == name}
            assert set(runs) == {f"connect {login}" for login in logins}, runs
            assert all(run["failure"] is None and run["ms_per_handshake"] > 0 for run in runs.values()), runs
        else:
            assert any(reason in out for reason in ("here (", "be had here", "cannot be built", "as root only")), out
    assert not left_behind(directory) and not running_in(directory)


def test_bench_peers_takes_a_server_by_address(serve, directory, tmp_path):
    server = serve(workers=1)
    path = tmp_path / "result.json"
    host, port = server.address
    finished(
        bench(
            "bench-peers",
            directory,
            "--only",
            "ping",
            "--server",
            "tcp",
            "--address",
            f"mine={host}:{port}/{server.pid}",
            "--json",
            str(path),
        )
    )
    runs = [run for run in json.loads(path.read_text())["records"] if run["server"] == "mine"]
    assert runs and all(run["failure"] is None and run["echoes_per_s"] > 0 for run in runs), runs
    assert harness.is_running(server.pid)


def test_bench_growth_measures_beside_other_load(directory, tmp_path):
    path = tmp_path / "result.json"
    finished(bench("bench-growth", directory, "--only", "mixed", "--json", str(path)))
    result = json.loads(path.read_text())
    assert len(result["mixed"]) == 4
    for name, case in result["mixed"].items():
        assert all(value is not None for value in case["p99_us"]), f"{name}: {result['notes']}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_benchmark_stops_everything(directory, number):
    process = bench("bench-server", directory, "--only", "hold", "--duration", "60")
    try:
        harness.wait_until(
            lambda: any("sshechod" in line for line in running_in(directory)), 20, "the server to be started"
        )
        harness.wait_until(
            lambda: any("sshload" in line for line in running_in(directory)), 20, "the load to be started"
        )
        process.send_signal(number)
        process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert not left_behind(directory)
    assert not running_in(directory)


def running_in(directory):
    """Command lines of processes that name the directory."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    line = file.read().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(directory) in line:
                found.append(line)
    return found


def test_bench_ab_judges_by_sshload(directory, tmp_path):
    path = tmp_path / "ab.json"
    options = ["--runs", "4", "--duration", "0.2", "--b-option", "batch-io=no", "--json", str(path)]
    out = finished(bench("bench-ab", directory, *options, "--", "-m", "ping", "-c", "4"))
    result = json.loads(path.read_text())
    assert set(result["ratio"]) == {"us_per_echo", "echoes_per_s", "p99"}
    assert not left_behind(directory)
    if "is left out: client-bound" in out:  # on a busy machine it is right to refuse, and says why
        assert result["compare"] is None or result["compare"]["runs"]["a"] < 4
        return
    assert result["compare"]["schema"] == "sshload-compare/1" and result["compare"]["runs"] == {"a": 4, "b": 4}
    assert "95 % interval" in out


def test_bench_ab_compares_no_client_bound_run(directory, tmp_path, bound_build):
    path = tmp_path / "ab.json"
    options = ["--runs", "1", "--duration", "0.2", "--json", str(path)]
    out = finished(bench("bench-ab", directory, *options, "--", "-m", "ping", "-c", "1", build=bound_build))
    assert "is left out: client-bound" in out and json.loads(path.read_text())["compare"] is None, out


def test_bench_scale_has_all_back(directory, tmp_path):
    path = tmp_path / "scale.json"
    out = finished(bench("bench-scale", directory, "--sessions", "60", "--json", str(path)))
    scale = json.loads(path.read_text())["scale"]
    assert scale["up"] == scale["storm_up"] == 60 and scale["up_errors"] == scale["held_errors"] == 0, out
    assert 0 < scale["lost_to_the_kill"] <= 60 and scale["kill_s"] > 0 and scale["storm_s"] > 0, out
    assert scale["held"]["pings"] >= 30 and 0 < scale["held"]["p50_ms"] <= scale["held"]["p99_ms"], out
    # Sixty sessions weigh less than what a server gives back after its start, so of its own figure nothing can be said.
    assert set(scale["memory_kib"]) == {"server", "generator", "kernel"} and scale["memory_kib"]["generator"] > 0, out
    assert not left_behind(directory) and not running_in(directory)


def test_bench_scale_only_holds(directory, tmp_path):
    path = tmp_path / "scale.json"
    out = finished(bench("bench-scale", directory, "--sessions", "30", "--no-restart", "--json", str(path)))
    scale = json.loads(path.read_text())["scale"]
    assert scale["up"] == 30 and scale["held"]["pings"] >= 15 and scale["held_errors"] == 0, out
    assert "lost_to_the_kill" not in scale and "killed" not in out and "is killed" not in out, out


def test_bench_scale_refuses_what_the_machine_cannot_hold(directory):
    for sessions in ("3000000", "100000000"):
        process = bench("bench-scale", directory, "--sessions", sessions)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 1 and "this machine cannot hold them" in err, err
        assert "descriptors" in err or " KiB (server, generator and kernel) + " in err, err


def test_bench_load_names_both_costs(directory, tmp_path, bound_build):
    path = tmp_path / "load.json"
    parts = ("--only", "handshake", "--only", "slip", "--only", "hold", "--sessions", "50")
    out = finished(bench("bench-load", directory, *parts, "--json", str(path), build=bound_build))
    result = json.loads(path.read_text())
    assert [(each["failure"], each["client_bound"]) for each in result["records"]] == [(None, BOUND)] * 2, out
    assert f"connect 16: {BOUND}" in out and f"slip: {BOUND}" in out, out
    (compared,) = result["compared"]
    assert compared["title"] == "connect 16" and compared["sshload"][0] > 0 and compared["server"][0] > 0, compared
    assert compared["ratio"] == pytest.approx(compared["sshload"][0] / compared["server"][0])
    assert all(each[0] >= 0 for each in result["slip_us"].values()) and result["slip_us"]["p99"][0] > 0
    assert result["hold"]["sessions"] == 50 and 1 < result["hold"]["kib_each"] < 4096
    assert not left_behind(directory)


def test_bench_kex_sets_one_beside_the_other(directory, tmp_path):
    path, name = tmp_path / "kex.json", "ecdh-sha2-nistp384"  # the dear one of the small ones: about four times
    out = finished(bench("bench-kex", directory, "--kex", name, "--json", str(path)))
    base, dear = json.loads(path.read_text())["kex"].values()
    assert base["server_ratio"] == base["sshload_ratio"] == [1] and f"  {name}  " in out, out
    for side in ("server", "sshload"):
        (ms,) = dear[f"{side}_ms"]
        assert dear[f"{side}_ratio"] == [pytest.approx(ms / base[f"{side}_ms"][0])] and ms > 2 * base[f"{side}_ms"][0]
    assert 1 < base["kib_per_session"] < 4096 and 1 < dear["kib_per_session"] < 4096, out
    assert not left_behind(directory)


@pytest.mark.skipif(shutil.which("haproxy", path="/usr/sbin:/usr/bin") is None, reason="no haproxy here")
def test_bench_balancer_measures_both_ways(directory, tmp_path):
    path = tmp_path / "balancer.json"
    finished(bench("bench-balancer", directory, "--only", "ping", "--json", str(path)))
    records = json.loads(path.read_text())["records"]
    assert len({run["server"] for run in records}) >= 2 and all(run["failure"] is None for run in records), records


def test_soak_in_short(tmp_path, bound_build):
    csv = tmp_path / "soak.csv"
    process = subprocess.Popen(
        [str(SCRIPTS / "soak"), "--minutes", "0.3", "--changes", "2", "--scale", "0.5", "--csv", str(csv)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "BUILD": str(bound_build)},
    )
    out, _ = process.communicate(timeout=240)
    assert process.returncode == (0 if out.rstrip().endswith("PASS") else 1), out
    failures = [line for line in out.splitlines() if line.startswith("failure: ")]
    assert all("grew by" in line for line in failures), out  # a slope takes longer than this to be no noise
    assert all(BOUND in line for line in out.splitlines() if line.startswith("sshload ")), out
    assert "sshload stay" in out and "most connections seen at once" in out, out
    lines = csv.read_text().splitlines()
    assert lines[0].startswith("part,seconds,master rss_kib") and len(lines) > 5
    assert "1 reloads and 1 upgrades" in out, out
