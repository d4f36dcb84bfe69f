"""sshload in every mode, against sshechod, OpenSSH and Dropbear; every result is checked by sshload_helpers."""

import collections
import contextlib
import signal
import subprocess
import time

import pytest

from bad_servers import evil_echo, listener, says_nothing
from sshload_helpers import DROPBEAR, SSHD, clean, dropbear, finish_load, load, openssh, run_tool, start_load


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
    return listener(says_nothing)
