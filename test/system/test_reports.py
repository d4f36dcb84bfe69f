"""Reports on connections: what they hold, for real clients, and that none is lost or mixed up."""

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import urllib.request
import warnings

import pytest

import clients
import harness
import reports
from rawssh import Client, byte, pattern
from rawssh.wire import CHANNEL_WINDOW_ADJUST, u32
from reports import SEES_OFFERS, checked, of_user, remarks

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import paramiko

# What is true of OpenSSH, Dropbear and paramiko: they offer NIST's curves, which ssh-audit fails, and more.
WELL_KNOWN = {"weak-algorithms"}


def in_order(report, *names):
    moments = [report["when_us"][name] for name in names]
    assert None not in moments, report["when_us"]
    assert moments == sorted(moments), report["when_us"]


def test_openssh_is_told_from_beginning_to_end(reporting):
    data = pattern(8_000_000)
    command = clients.openssh(reporting, "cat", user="whole", options=["SetEnv=A=B"])
    clients.assert_echo(clients.run(reporting, command, data, from_file=True), data)
    (report,) = of_user(reporting, "whole")
    who, channel = report["who"], report["channels"][0]
    assert report["over"] and who["version_line"].startswith("SSH-2.0-OpenSSH_")
    in_order(report, "version_line", "kexinit", "newkeys", "login", "channel", "request", "eof", "close", "end")
    in_order(report, "channel", "first_data", "last_data", "close")
    if SEES_OFFERS:
        assert who["hassh"] == reports.hassh(report)
        assert who["strict_kex"] and who["ext_info"] and not who["first_kex_packet_follows"]
        assert who["chosen"]["host_key"] == "ssh-ed25519" and who["chosen"]["kex"] in who["offered"]["kex"]
    else:
        assert who["hassh"] is who["offered"] is None
    assert report["login"]["tries"][-1]["outcome"] == "accepted" and report["login"]["method"] == "none"
    assert [each["name"] for each in channel["requests"]] == ["env", "exec"]
    assert channel["service"] == "echo" and channel["exit_status"] == 0
    assert channel["received"]["bytes"] == channel["sent"]["bytes"] == len(data)
    assert sum(each["packets"] for each in channel["received"]["sizes"]) == channel["received"]["packets"]
    window = channel["window"]
    assert window["initial_bytes"] >= 1 << 20 and window["adjustments"] > 0
    # what it granted beyond the beginning is what it has taken, but for what it has not acknowledged yet
    assert window["least_bytes"] <= window["most_bytes"] and window["adjusted_bytes"] <= len(data)
    assert channel["eof_received"] and channel["close_received"] and channel["close_sent"]
    assert report["end"]["how"] == "disconnect" and report["end"]["disconnect"]["code"] == 11
    assert report["tcp"] is None or report["tcp"]["segments_in"] > 0
    assert report["bytes"]["socket_in"] > report["bytes"]["channels_in"] == len(data)
    assert remarks(report) <= WELL_KNOWN


@pytest.mark.parametrize("kind", clients.COMMANDS)
def test_a_client_asks_for_its_own_report(reporting, kind):
    result = clients.run(reporting, clients.COMMANDS[kind](reporting, "report"))
    assert result.returncode == 0, result.stderr
    report = checked(json.loads(result.stdout))
    assert not report["over"] and report["end"] is None
    assert report["channels"][0]["requests"][-1] == {"name": "exec", "granted": True}
    assert report["channels"][0]["service"] == "report"
    if SEES_OFFERS:
        assert report["who"]["hassh"] == reports.hassh(report)
    assert remarks(report) <= WELL_KNOWN | {"none-not-tried", "strict-kex-missing"}


def test_the_report_for_people(reporting):
    result = clients.run(reporting, clients.openssh(reporting, "report", "text"))
    text = result.stdout.decode()
    assert result.returncode == 0 and "\r" not in text
    assert not any(line.endswith(" ") for line in text.splitlines()), text
    names = ("smallest adjustment bytes", *(("compression client to server",) if SEES_OFFERS else ()))
    assert all(re.search(rf"^ +{name}  +\S", text, re.M) for name in names), text
    assert "SSH-2.0-OpenSSH" in text and ("hassh" in text) == SEES_OFFERS
    assert text.rstrip().splitlines()[-1] == "No remarks." or "\nRemarks\n" in text


def test_lines_end_for_a_terminal_where_there_is_one(reporting, dial):
    channel = dial(reporting).open()
    assert channel.pty() and channel.execute("report text")
    channel.finish()
    assert b"\r\n" in channel.data and b"\n" not in channel.data.replace(b"\r\n", b"")


def test_paramiko(reporting):
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(*reporting.address, username="paramiko", password="x", allow_agent=False, look_for_keys=False)
    try:
        _, out, _ = client.exec_command("report")
        report = checked(json.loads(out.read()))
    finally:
        client.close()
    assert report["login"]["method"] == "password"
    (last,) = of_user(reporting, "paramiko")
    assert last["connection"] == report["connection"] and last["over"]


def test_other_channels_stand_in_a_report(reporting, dial):
    client = dial(reporting)
    first = client.shell()
    data = pattern(100_000)
    assert client.echo(first, data) == data
    asking = client.open()
    assert asking.execute("report")
    asking.finish()
    report = checked(json.loads(asking.data))
    assert [each["number"] for each in report["channels"]] == [1, 2]
    assert report["channels"][0]["received"]["bytes"] == len(data) and not report["channels"][0]["close_received"]


def test_closed_channels_are_told_and_the_rest_is_counted(reporting):
    with Client(reporting.address) as client:
        client.login("many-channels")
        for _ in range(70):
            client.shell().finish()
    (report,) = of_user(reporting, "many-channels")
    kept = [each["number"] for each in report["channels"]]
    assert report["channels_opened"] == 70 and report["channels_left_out"] == 70 - len(kept)
    assert len(kept) in (64, 65)  # the last one may not have been taken away yet
    assert kept == list(range(71 - len(kept), 71))


def test_each_window_adjustment_is_told(reporting):
    """Many come together, and nothing between them that would make the server look at a window."""
    with Client(reporting.address) as client:
        client.login("adjusts")
        channels = [client.shell(window=1000, auto=False) for _ in range(3)]
        grants = {0: [5, 7000, 11, 0, 900], 1: [], 2: [1] * 40}
        turns = max(map(len, grants.values()))
        for turn in range(turns):
            for number, sizes in grants.items():
                if turn < len(sizes):
                    adjustment = byte(CHANNEL_WINDOW_ADJUST) + u32(channels[number].remote) + u32(sizes[turn])
                    client.send_packet(adjustment)  # with the next message
        for channel in channels:
            channel.finish()
    (report,) = of_user(reporting, "adjusts")
    for number, sizes in grants.items():
        window = report["channels"][number]["window"]
        assert window["initial_bytes"] == 1000 and window["most_bytes"] == 1000 + sum(sizes)
        assert (window["adjustments"], window["adjusted_bytes"]) == (len(sizes), sum(sizes))
        assert window["smallest_adjustment_bytes"] == min(sizes, default=0)
        assert window["largest_adjustment_bytes"] == max(sizes, default=0)
        assert window["adjustments_when_empty"] == 0


def test_window_adjustments_when_it_was_empty(reporting):
    with Client(reporting.address) as client:
        client.login("adjusts-empty")
        channel = client.open(window=10)
        assert channel.execute("chargen 30")
        client.wait(lambda: channel.received == 10, what="the first window")
        for size in (4, 6, 10):
            client.send_packet(byte(CHANNEL_WINDOW_ADJUST) + u32(channel.remote) + u32(size))
        channel.window += 20
        client.send(byte(CHANNEL_WINDOW_ADJUST) + u32(channel.remote) + u32(0))
        client.wait(lambda: channel.closed, what="the rest")
        channel.finish()
    (report,) = of_user(reporting, "adjusts-empty")
    window = report["channels"][0]["window"]
    assert (window["adjustments"], window["adjustments_when_empty"], window["least_bytes"]) == (4, 1, 0)
    assert window["times_shut"] == 1 and window["shut_us"] > 0


def test_logins_in_order(serve):
    with harness.serve(options={"report-file": "reports", "auth-methods": "publickey,password"}) as server:
        result = clients.run(
            server,
            clients.openssh(server, options=["PasswordAuthentication=no", "BatchMode=yes"], identity=key(server)),
            b"x",
        )
        assert result.returncode == 0, result.stderr
        (report,) = of_user(server, clients.USER)
        tries = [(each["method"], each["key_type"], each["outcome"]) for each in report["login"]["tries"]]
        assert tries[0] == ("none", None, "refused")
        assert tries[-1] == ("publickey", "ssh-ed25519", "accepted")
        assert report["login"]["tries"][-1]["signature_algorithm"] == "ssh-ed25519"
        assert report["login"]["attempts"] == len(tries)


def key(server):
    path = server.directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True, stdin=subprocess.DEVNULL)
    return path


def test_key_exchanges_by_whom(reporting):
    with Client(reporting.address) as client:
        client.login("rekeys")
        channel = client.shell()
        data = pattern(200_000)
        assert client.echo(channel, data) == data
        client.rekey()
        assert client.echo(channel, data) == data
        channel.finish()
    (report,) = of_user(reporting, "rekeys")
    assert report["keys"]["re_exchanges"] == report["keys"]["by_client"] == 1
    exchange = report["keys"]["each"][0]
    assert exchange["by"] == "client" and exchange["bytes_in"] > len(data) and exchange["took_us"] > 0

    with Client(reporting.address) as client:
        client.login("rekeyed")
        channel = client.open()
        assert channel.execute("rekey every=1M")
        channel.auto_window = 1 << 20
        assert client.echo(channel, b"now") == b"now"
        client.wait(lambda: client.kex_count == 2, what="the server's re-key")
        channel.finish()
    (report,) = of_user(reporting, "rekeyed")
    assert report["keys"]["each"][0]["by"] == "server" and report["keys"]["by_client"] == 0


def linger_and_close(client):
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.sock.close()


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_how_it_ended(reporting, how):
    client = Client(reporting.address).login(f"ends-by-{how}")
    client.shell()
    linger_and_close(client) if how == "reset" else client.sock.close()
    (report,) = of_user(reporting, f"ends-by-{how}")
    assert report["end"]["how"] == how and report["end"]["disconnect"] is None
    assert "cut-without-close" in remarks(report)


def test_the_server_ends_it(reporting):
    with Client(reporting.address) as client:
        client.login("dropped")
        channel = client.open()
        assert channel.execute("drop after=0")
        channel.send_data(b"x")
        client.wait_end()
    (report,) = of_user(reporting, "dropped")
    assert report["end"] == {
        "reason": "test-bench",
        "phase": "open",
        "how": "server",
        "disconnect": None,
        "error": None,
    }


def test_whatever_comes_gets_a_report(reporting):
    before = len(reports.lines(reporting))
    for line in (b"", b"GET / HTTP/1.0\r\n\r\n", b"SSH-2.0-\xff\xfe\x00\r\n", b"SSH-2.0-x\r\n" + b"\0" * 100):
        with socket.create_connection(reporting.address) as peer:
            peer.sendall(line)
            peer.shutdown(socket.SHUT_WR)
            peer.settimeout(10)
            while peer.recv(4096):
                pass
    harness.wait_until(lambda: len(reports.lines(reporting)) >= before + 4, 10, "four reports")


def test_every_connection_has_one_line(serve):
    server = serve(workers=2, options={"report-file": "reports"})
    names = [f"user{index}" for index in range(40)]
    for name in names:
        with Client(server.address) as client:
            client.login(name).shell().finish()
    harness.wait_until(lambda: len(reports.lines(server)) >= len(names), 10, "all reports")
    assert sorted(each["login"]["user"] for each in reports.lines(server)) == sorted(names)


def test_the_file_is_opened_anew_on_hangup(serve):
    server = serve(options={"report-file": "reports"})
    with Client(server.address) as client:
        client.login("before")
    of_user(server, "before")
    shutil.move(server.directory / "reports", server.directory / "old")
    server.signal(signal.SIGHUP)
    server.wait_line("ready", count=2)
    with Client(server.address) as client:
        client.login("after")
    of_user(server, "after")
    assert len(reports.lines(server, server.directory / "old")) == 1


def test_what_a_full_disk_does_not_take_is_counted(serve):
    server = serve(options={"report-file": "/dev/full", "metrics-listen": "127.0.0.1:0"})
    listening = server.wait_line("metrics")
    for _ in range(3):
        with Client(server.address) as client:
            channel = client.login().shell()
            assert client.echo(channel, b"still here") == b"still here"
    server.wait_line("reports_lost")
    url = f"http://{listening['address']}/metrics"

    def lost():
        with urllib.request.urlopen(url, timeout=5) as answer:
            return b"sshechod_reports_lost_total 3\n" in answer.read()

    harness.wait_until(lost, 10, "three lost reports in the metrics")


@pytest.mark.parametrize("file", ["/nowhere/at/all", ".", "fifo"])
def test_a_file_that_cannot_be_is_refused_at_start(file, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    result = harness.run_sshechod("--listen", "127.0.0.1:0", "-o", f"report-file={file}", cwd=tmp_path)
    assert result.returncode == 2 and "report-file" in result.stderr and file in result.stderr, result.stderr
    assert file != "fifo" or "not a regular file" in result.stderr
