"""sshload in every mode, against sshechod, OpenSSH and Dropbear; every result is checked by sshload_helpers."""

import collections
import contextlib
import json
import os
import pty
import signal
import subprocess
import time

import pytest

import harness
from sshload_helpers import (
    DROPBEAR,
    SSHD,
    dropbear,
    evil_echo,
    finish_load,
    listener,
    load,
    openssh,
    run_tool,
    start_load,
    target_of,
)

GCM = "aes128-gcm@openssh.com"


@pytest.fixture(params=["sshechod", "openssh", "dropbear"])
def any_target(request, serve, tmp_path):
    """(target, options to get an echo there)"""
    with contextlib.ExitStack() as stack:
        if request.param == "sshechod":
            yield serve().address, []
        elif request.param == "openssh":
            if SSHD is None:
                pytest.skip("no sshd here")
            daemon = stack.enter_context(openssh(tmp_path))
            yield daemon.address, ["--request", "exec:cat", "--identity", daemon.identity]
        else:
            if DROPBEAR is None:
                pytest.skip("no dropbear here")
            daemon = stack.enter_context(dropbear(tmp_path))
            yield daemon.address, ["--request", "exec:cat", "--identity", daemon.identity]


def clean(outcome):
    assert outcome.code == 0, outcome
    assert outcome.errors == {}, outcome
    summary = outcome.summary
    assert summary["ok"] == summary["started"] > 0, outcome
    return outcome


def test_ping_closed_loop(any_target, tmp_path):
    target, options = any_target
    outcome = clean(load(tmp_path, "-c", 3, "-d", "500ms", *options, target=target))
    assert outcome.result["mode"] == "ping" and outcome.result["loop"] == "closed"
    assert outcome.summary["echoes"] > 0
    assert outcome.summary["bytes"] >= outcome.summary["echoes"] * 64 - 3 * 64
    assert outcome.summary["sessions_up"] == 3
    assert outcome.result["handshake_us"]["count"] == 3
    assert outcome.result["schedule_slip_us"]["count"] == 0


@pytest.mark.alone
def test_ping_open_loop(any_target, tmp_path):
    target, options = any_target
    outcome = clean(load(tmp_path, "-c", 3, "-d", "1s", "-r", 100, *options, target=target))
    assert outcome.summary["started"] == 100
    assert outcome.result["schedule_slip_us"]["count"] == 100
    corrected, uncorrected = outcome.result["latency_us"], outcome.result["latency_uncorrected_us"]
    assert corrected["count"] == uncorrected["count"] == 100
    assert corrected["p50"] >= uncorrected["p50"]


@pytest.mark.alone
def test_stream(any_target, tmp_path):
    target, options = any_target
    outcome = clean(load(tmp_path, "-m", "stream", "-c", 2, "-s", "32K", "-n", 64, *options, target=target))
    assert outcome.summary["bytes"] == 64 * 32768
    assert outcome.result["connection_kb"]["count"] == 2


def test_connect(any_target, tmp_path):
    target, options = any_target
    outcome = clean(load(tmp_path, "-m", "connect", "-c", 2, "-n", 6, *options, target=target))
    assert outcome.summary["started"] == 6
    assert outcome.summary["connects_up"] == 6
    phases = outcome.result["handshake_us"]["phases"]
    assert all(phases[name]["count"] == 6 for name in ("tcp", "banner_kex", "auth", "channel", "first_echo"))
    assert sum(phases[name]["mean"] for name in phases) == pytest.approx(
        outcome.result["handshake_us"]["mean"], rel=0.02, abs=20
    )


def test_hold(any_target, tmp_path):
    target, options = any_target
    outcome = clean(
        load(
            tmp_path,
            "-m",
            "hold",
            "-c",
            4,
            "-d",
            "1s",
            "--sample",
            2,
            "--sample-interval",
            "100ms",
            *options,
            target=target,
        )
    )
    assert outcome.summary["sessions_up"] == outcome.summary["started"] == 4
    assert 15 <= outcome.summary["echoes"] <= 20
    assert outcome.result["latency_us"]["count"] == 20


# -- what only our own server offers, or what is independent of the server


@pytest.mark.parametrize("direction", ["up", "down"])
def test_stream_in_one_direction(server, tmp_path, direction):
    outcome = clean(load(tmp_path, "-m", "stream", "--direction", direction, "-d", "500ms", "-c", 2, target=server))
    assert outcome.summary["bytes"] > 1_000_000


@pytest.mark.alone
def test_a_stream_that_its_window_holds_back_says_so(server, tmp_path):
    far = clean(load(tmp_path, "-m", "stream", "-d", "2s", "--request", "exec:echo delay=200ms", target=server))
    generator = far.result["generator"]
    assert generator["window_limited"] and "window-limited: the channel windows allow" in far.report, far
    assert far.summary["mb_per_s"] <= generator["window_limit_bytes_per_s"] / 1e6 * 1.1, far
    near = clean(load(tmp_path, "-m", "stream", "-c", 8, "--connecting", 1, "-d", "1s", target=server))
    assert not near.result["generator"]["window_limited"], near


def test_count_is_met_exactly_over_threads_and_channels(server, tmp_path):
    outcome = clean(load(tmp_path, "-n", 1000, "-c", 5, "-C", 3, "-t", 2, "--pipeline", 4, target=server))
    assert outcome.summary["started"] == outcome.summary["ok"] == outcome.summary["echoes"] == 1000
    assert outcome.summary["bytes"] == 64 * 1000
    assert outcome.result["latency_us"]["count"] == 1000


@pytest.mark.alone
def test_count_at_a_rate(server, tmp_path):
    outcome = clean(load(tmp_path, "-n", 150, "-r", 300, "-c", 4, "-t", 2, target=server))
    assert outcome.summary["started"] == 150
    assert outcome.summary["seconds"] == pytest.approx(0.5, abs=0.1)


def test_warm_up_is_not_counted(server, tmp_path):
    outcome = clean(load(tmp_path, "-r", 200, "-w", "500ms", "-d", "500ms", "-c", 2, target=server))
    assert outcome.summary["started"] == 100
    assert sum(second["echoes"] for second in outcome.result["series"]) == pytest.approx(100, abs=3)


def test_ramp_staggers_the_connects(server, tmp_path):
    outcome = clean(load(tmp_path, "-c", 10, "--ramp", "1s", "-d", "200ms", target=server))
    assert 0.9 <= outcome.result["phases"]["ramp_s"] < 3


def test_message_sizes_follow_the_distribution(server, tmp_path):
    outcome = clean(load(tmp_path, "-n", 2000, "-s", "100-300", target=server))
    assert outcome.summary["bytes"] / 2000 == pytest.approx(200, rel=0.05)
    outcome = clean(load(tmp_path, "-n", 2000, "-s", "10:1,1000:1", target=server))
    assert outcome.summary["bytes"] / 2000 == pytest.approx(505, rel=0.1)


def test_reconnects_after_a_number_of_messages(server, tmp_path):
    outcome = clean(load(tmp_path, "-n", 300, "-c", 2, "--reconnect-after", 10, target=server))
    assert outcome.summary["connects_up"] >= 28
    assert outcome.summary["sessions_lost"] == 0


def test_reconnects_after_a_time(server, tmp_path):
    outcome = clean(load(tmp_path, "-d", "1s", "-c", 2, "-r", 200, "--reconnect-every", "200ms", target=server))
    assert outcome.summary["connects_up"] >= 6
    assert outcome.summary["started"] == 200


def test_rekey_under_load_loses_nothing(server, tmp_path):
    outcome = clean(
        load(tmp_path, "-m", "stream", "-d", "1s", "-c", 2, "--rekey-bytes", "1M", "--ciphers", GCM, target=server)
    )
    assert outcome.result["negotiated"]["cipher_out"] == GCM
    assert all(int(line["rekeys"]) > 10 for line in (server.wait_line("close"), server.wait_line("close", count=2)))


def test_rekey_by_time(server, tmp_path):
    clean(load(tmp_path, "-d", "3500ms", "-c", 1, "-r", 50, "--rekey-interval", "1s", target=server))
    assert 2 <= int(server.wait_line("close")["rekeys"]) <= 4


@pytest.mark.parametrize("mac", ["hmac-sha2-512", "hmac-sha2-256-etm@openssh.com"])
def test_macs_are_those_asked_for(server, tmp_path, mac):
    outcome = clean(load(tmp_path, "-n", 20, "-c", 1, "--ciphers", "aes256-ctr", "--macs", mac, target=server))
    negotiated = outcome.result["negotiated"]
    assert negotiated["mac_out"] == negotiated["mac_in"] == mac and negotiated["cipher_out"] == "aes256-ctr"
    assert mac in outcome.report


def test_host_key_algorithms_are_those_asked_for(serve, tmp_path):
    keys = []
    for kind in ("ecdsa", "ed25519"):
        keys.append(tmp_path / kind)
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(keys[-1])], check=True)
    server = serve(options={"host-key": [str(key) for key in keys]})
    for name in ("ecdsa-sha2-nistp256", "ssh-ed25519"):
        outcome = clean(load(tmp_path, "-n", 5, "-c", 1, "--host-key-algorithms", name, target=server))
        assert outcome.result["negotiated"]["host_key"] == name
    outcome = load(tmp_path, "-n", 5, "-c", 1, "--host-key-algorithms", "ecdsa-sha2-nistp521", target=server)
    assert outcome.code == 1 and "key-exchange" in outcome.errors, outcome


def test_seed_decides_contents_and_sizes(tmp_path):
    def bytes_sent(seed):
        heard = bytearray()

        def answer(channel, count, data):
            heard.extend(data)
            channel.sendall(data)

        with evil_echo(answer) as address:
            clean(load(tmp_path, "-c", 1, "-n", 20, "-s", "10-300", "--seed", seed, target=address))
        return bytes(heard)

    assert bytes_sent(7) == bytes_sent(7) != bytes_sent(8)
    assert len(bytes_sent(7)) != len(bytes_sent(8))


def test_plain_path_does_the_same(server, tmp_path):
    clean(load(tmp_path, "-m", "stream", "-d", "500ms", "-c", 2, "--no-batching", target=server))
    outcome = clean(load(tmp_path, "-n", 500, "-c", 2, "--no-batching", target=server))
    assert outcome.result["about"]["program"]["batching"] is False


def test_several_targets_take_turns(serve, tmp_path):
    one, two = serve(), serve()
    outcome = clean(load(tmp_path, "-c", 4, "-n", 100, target=[one, two]))
    assert len(outcome.result["about"]["targets"]) == 2
    for server in (one, two):
        server.wait_line("accept", count=2)


def test_local_addresses_take_turns(server, tmp_path):
    clean(load(tmp_path, "-c", 4, "-n", 100, "--bind", "127.0.0.2", "--bind", "127.0.0.3", target=server))
    peers = {line["peer"].rpartition(":")[0] for line in server.lines("accept")}
    assert peers == {"127.0.0.2", "127.0.0.3"}


def test_a_range_of_local_addresses_is_used_evenly(server, tmp_path):
    """Also over processes, and beside a single address."""
    options = ["--processes", 2, "--bind", "127.0.9.9/29", "--bind", "127.0.0.3"]
    clean(load(tmp_path, "-c", 14, "-n", 28, *options, target=server))
    peers = collections.Counter(line["peer"].rpartition(":")[0] for line in server.lines("accept"))
    assert peers == {**{f"127.0.9.{last}": 2 for last in range(9, 15)}, "127.0.0.3": 2}


@pytest.mark.parametrize("text", ["127.0.0.0/33", "127.0.0/24", "localhost/8", "127.0.0.1/"])
def test_what_is_no_range_is_refused(text):
    done = run_tool("--bind", text, "127.0.0.1:1")
    assert done.returncode == 2 and "--bind: " in done.stderr and "is not a range" in done.stderr, done


@pytest.mark.parametrize(
    "options",
    [
        ["--pty"],
        ["--request", "exec:anything"],
        ["--request", "subsystem:anything"],
        ["--content", "binary"],
        ["--content", "text"],
        ["--compression", "zlib@openssh.com,none"],
        ["-C", 9],
        ["-s", "1"],
        ["-s", "200K", "-n", 40],
    ],
)
def test_ways_to_an_echo(server, tmp_path, options):
    clean(load(tmp_path, "-c", 2, "-n", 100, *options, target=server))


def test_ipv6(serve, tmp_path):
    server = serve(listen=("[::1]:0",))
    clean(load(tmp_path, "-n", 50, target=server))


@pytest.mark.alone
def test_stalled_server_shows_from_the_due_time_only(server, tmp_path):
    """Coordinated omission: for a second nobody answers, so a tenth of the messages wait up to a second. Seen from the
    moment each was due, p99 must tell; seen from the moment it was sent, only one message per channel met the stall."""
    started = start_load(tmp_path, "-c", 10, "-r", 1000, "-d", "4s", "-i", "100ms", target=server)
    command, process, json_path = started
    for line in process.stdout:
        if "load" in line:
            break
    worker = server.worker
    time.sleep(0.5)
    subprocess.run(["kill", "-STOP", str(worker)], check=True)
    time.sleep(1.0)
    subprocess.run(["kill", "-CONT", str(worker)], check=True)
    outcome = clean(finish_load(started))
    assert outcome.summary["started"] == 4000
    assert outcome.result["latency_us"]["p99"] > 800_000, outcome
    assert outcome.result["latency_uncorrected_us"]["p99"] < 500_000, outcome
    assert outcome.result["latency_uncorrected_us"]["max"] > 900_000, outcome


def test_interrupt_ends_the_measurement_and_reports(server, tmp_path):
    started = start_load(tmp_path, "-c", 2, "-d", "60s", "-i", "100ms", target=server)
    for line in started[1].stdout:
        if "load" in line:
            break
    started[1].send_signal(signal.SIGINT)
    outcome = finish_load(started, 20)
    assert outcome.code == 0, outcome
    assert outcome.result["interrupted"] is True
    assert 0 < outcome.summary["seconds"] < 20


def test_second_interrupt_ends_at_once(server, tmp_path):
    started = start_load(tmp_path, "-d", "60s", "--drain-timeout", "60s", "-i", "100ms", target=server)
    process = started[1]
    for line in process.stdout:
        if "load" in line:
            break
    worker = server.worker
    subprocess.run(["kill", "-STOP", str(worker)], check=True)  # now the drain has something to wait for
    try:
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 128 + signal.SIGINT
    finally:
        subprocess.run(["kill", "-CONT", str(worker)], check=True)
        process.kill()
        process.communicate()


def test_interrupt_before_anything_was_measured_is_no_success(tmp_path):
    with silence() as address:
        started = start_load(tmp_path, "-d", "60s", target=address)
        time.sleep(0.3)
        started[1].send_signal(signal.SIGINT)
        outcome = finish_load(started, 10)
        assert outcome.code == 1 and outcome.summary["started"] == 0


def silence():
    return listener(lambda connection: connection.recv(1) and time.sleep(20))


# -- logging in and host keys


def test_password_from_a_file_and_from_the_environment(serve, tmp_path):
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(password_server("correct horse"))
        clean(load(tmp_path, "-n", 5, "-c", 1, "--password-file", password, target=address))
        environment = {"PATH": "/usr/bin", "HOME": str(tmp_path), "LOAD_PASSWORD": "correct horse"}
        clean(load(tmp_path, "-n", 5, "-c", 1, "--password-env", "LOAD_PASSWORD", target=address, env=environment))
        password.write_text("wrong\n")
        outcome = load(tmp_path, "-n", 5, "-c", 1, "--password-file", password, target=address)
        assert outcome.code == 1 and outcome.errors["authentication"] == 1


@contextlib.contextmanager
def password_server(password, keyboard=False):
    import threading
    import paramiko

    key = paramiko.ECDSAKey.generate()

    class Interface(paramiko.ServerInterface):
        def check_auth_password(self, username, given):
            return paramiko.AUTH_SUCCESSFUL if given == password and not keyboard else paramiko.AUTH_FAILED

        def check_auth_interactive(self, username, submethods):
            return paramiko.InteractiveQuery("Login", "", ("Word?", False))

        def check_auth_interactive_response(self, responses):
            return paramiko.AUTH_SUCCESSFUL if responses == [password] else paramiko.AUTH_FAILED

        def get_allowed_auths(self, username):
            return "keyboard-interactive" if keyboard else "password"

        def check_channel_request(self, kind, chanid):
            return paramiko.OPEN_SUCCEEDED

        def check_channel_shell_request(self, channel):
            threading.Thread(target=echo, args=(channel,), daemon=True).start()
            return True

    def echo(channel):
        with contextlib.suppress(OSError):
            while data := channel.recv(65536):
                channel.sendall(data)

    def serve_one(connection):
        transport = paramiko.Transport(connection)
        transport.add_server_key(key)
        with contextlib.suppress(paramiko.SSHException, EOFError):
            transport.start_server(server=Interface())
            while transport.is_active():
                time.sleep(0.02)

    with listener(serve_one) as address:
        yield address


def test_keyboard_interactive(tmp_path):
    with password_server("correct horse", keyboard=True) as address:
        password = tmp_path / "password"
        password.write_text("correct horse\n")
        clean(load(tmp_path, "-n", 5, "-c", 2, "--password-file", password, target=address))
        password.write_text("battery staple\n")
        outcome = load(
            tmp_path, "-n", 5, "-c", 1, "--auth", "keyboard-interactive", "--password-file", password, target=address
        )
        assert outcome.code == 1 and outcome.errors["authentication"] == 1


@pytest.mark.skipif(SSHD is None, reason="no sshd here")
def test_agent(tmp_path):
    with openssh(tmp_path) as daemon:
        path = tmp_path / "agent"
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
        try:
            harness.wait_until(path.exists, 5, "agent")
            environment = {"PATH": "/usr/bin", "HOME": str(tmp_path), "SSH_AUTH_SOCK": str(path)}
            subprocess.run(["ssh-add", "-q", str(daemon.identity)], env=environment, check=True, capture_output=True)
            clean(load(tmp_path, "-n", 20, "-c", 2, "--request", "exec:cat", target=daemon, env=environment))
        finally:
            agent.terminate()
            agent.wait()


def host_key_of(server):
    host, port = server.address
    scanned = subprocess.run(
        ["ssh-keyscan", "-p", str(port), "-t", "ed25519", host], capture_output=True, text=True, check=True
    ).stdout
    fingerprint = subprocess.run(
        ["ssh-keygen", "-l", "-f", "-"], input=scanned, capture_output=True, text=True, check=True
    ).stdout.split()[1]
    return scanned, fingerprint


def test_host_key_by_fingerprint_and_known_hosts(server, tmp_path):
    scanned, fingerprint = host_key_of(server)
    clean(load(tmp_path, "-n", 5, "--host-key", fingerprint, target=server))
    known = tmp_path / "known_hosts"
    known.write_text(scanned)
    clean(load(tmp_path, "-n", 5, "--known-hosts", known, target=server))


# -- outputs


def test_report_json_and_hdr_agree(server, tmp_path):
    outcome = clean(load(tmp_path, "-n", 1000, "--hdr", tmp_path / "out.hdr", "--label", "a run", target=server))
    summary, latency = outcome.summary, outcome.result["latency_us"]
    assert f"{summary['started']:,} started = {summary['ok']:,} ok" in outcome.report
    lines = (tmp_path / "out.hdr").read_text().splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    rows = [line.split() for line in lines[2:] if not line.startswith("#")]
    assert int(rows[-1][2]) == latency["count"] == 1000
    assert float(rows[-1][0]) == pytest.approx(latency["max"] / 1000, abs=0.001)
    median = next(float(row[0]) for row in rows if float(row[1]) >= 0.5)
    assert median == pytest.approx(latency["p50"] / 1000, rel=0.002)
    assert "a run" in outcome.report and outcome.result["label"] == "a run"


def test_interval_lines(server, tmp_path):
    outcome = clean(load(tmp_path, "-d", "1s", "-i", "200ms", target=server))
    lines = [line for line in outcome.report.splitlines() if "echoes/s=" in line]
    assert len(lines) >= 3
    assert all("errors=0" in line for line in lines)


def test_json_on_stdout_stands_alone(server):
    done = run_tool("-d", "500ms", "-i", "100ms", "--json", "-", target_of(server))
    assert done.returncode == 0
    assert json.loads(done.stdout)["summary"]["ok"] > 0
    assert "echoes/s=" in done.stderr and "Operations" in done.stderr


def test_progress_line_on_a_terminal(server, tmp_path, terminals):
    outside, inside = pty.openpty()
    process = subprocess.Popen(
        [str(harness.SSHLOAD), "-d", "1200ms", "-c", "2", target_of(server)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=inside,
    )
    os.close(inside)
    seen = b""
    with contextlib.suppress(OSError):  # the far end closes
        while piece := os.read(outside, 4096):
            seen += piece
    os.close(outside)
    assert process.wait(20) == 0
    assert seen.count(b"\r") >= 2 and b"echoes/s=" in seen and b"\n" not in seen


@pytest.mark.parametrize(
    "condition, code",
    [("errors > 0", 0), ("p99 > 1us", 99), ("rate < 1000000", 99), ("p50 > 10s", 0), ("handshake-p99 >= 1us", 99)],
)
def test_gates(server, tmp_path, condition, code):
    outcome = load(tmp_path, "-n", 200, "--fail-if", condition, target=server)
    assert outcome.code == code, outcome
    assert (condition in outcome.complaints) == (code == 99)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ([], "no target"),
        (["127.0.0.1:99999"], "127.0.0.1:99999"),
        (["--rate", "x", "127.0.0.1"], "rate"),
        (["--rate", "5, 7 for 1s", "127.0.0.1"], "spike A for TIME"),
        (["--rate", "5..0 over 1s", "--count", "9", "127.0.0.1"], "count"),
        (["--rate", "5 for 1s", "--warmup", "1s", "127.0.0.1"], "warmup"),
        (["--mode", "sprint", "127.0.0.1"], "ping"),
        (["--fail-if", "p101 > 1", "127.0.0.1"], "any percentile"),
        (["--ciphers", "rot13", "127.0.0.1"], "rot13"),
        (["--shard", "5/4", "127.0.0.1"], "shard"),
        (["--identity", "/nonexistent", "127.0.0.1"], "/nonexistent"),
        (["--size", "0", "127.0.0.1"], "size"),
        (["--no-such-option", "127.0.0.1"], "no-such-option"),
        (["-m", "stream", "-r", "5", "127.0.0.1"], "rate"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(arguments, complaint):
    done = run_tool(*arguments)
    assert done.returncode == 2, done
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert complaint in done.stderr


def test_help_and_version_go_to_stdout():
    for option, word in (("--help", "--fail-if"), ("--version", "libssh")):
        done = run_tool(option)
        assert done.returncode == 0 and done.stderr == "" and word in done.stdout
    for tool in ("compare", "merge", "plot", "report"):
        assert run_tool(tool, "--help").returncode == 0


def test_every_option_is_in_the_manual_page():
    manual = (harness.ROOT / "man/sshload.1").read_text().replace("\\-", "-")
    helped = run_tool("--help").stdout
    names = [word.rstrip(",.)") for line in helped.splitlines() for word in line.split()[:2] if word.startswith("--")]
    assert len(names) > 40
    missing = [name for name in names if f"{name.split('=')[0]}" not in manual]
    assert not missing
