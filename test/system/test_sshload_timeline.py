"""Time is kept: a stall of one second is found in every form in which a run can be written down, and all say the same."""

import base64
import csv
import json
import re
import struct
import subprocess
import threading
import time
import zlib
from datetime import datetime

import pytest

import harness
import interop
from bad_servers import meddler
from sshload_helpers import finish_load, load, run_tool, start_load


STALL_S = 1.0
LENGTH_S = 0.5
UNITS = {"us": 1, "ms": 1e3, "s": 1e6, "min": 6e7}


def parse_line(line):
    """The figures of a progress line, durations in microseconds."""
    figures = {}
    for name, value, unit in re.findall(r"(\S+)=(\S+)(?: (us|ms|s|min)\b)?", line):
        figures[name] = None if value == "-" else float(value) * UNITS.get(unit, 1)
    return figures


def decode(text):
    """An interval of an HdrHistogram log, by the description of the format: the count of each bucket."""
    outer = base64.b64decode(text, validate=True)
    cookie, length = struct.unpack(">II", outer[:8])
    assert cookie == 0x1C849314 and length == len(outer) - 8
    plain = zlib.decompress(outer[8:])
    cookie, length, offset, digits, lowest, highest, ratio = struct.unpack(">IIIIqqd", plain[:40])
    assert (cookie, offset, digits, lowest, ratio) == (0x1C849313, 0, 3, 1, 1.0) and highest == 3_600_000_000
    payload = plain[40:]
    assert length == len(payload)
    counts, at, slot = {}, 0, 0
    while at < len(payload):
        value = shift = 0
        while True:
            byte = payload[at]
            at += 1
            if shift == 56:
                value |= byte << shift
                break
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        value = (value >> 1) ^ -(value & 1)
        if value < 0:
            slot -= value
        else:
            if value:
                counts[slot] = value
            slot += 1
    return counts


def low(slot):
    tier = 0 if slot < 2048 else slot // 1024 - 1
    return (slot - tier * 1024) << tier


def read_log(path):
    lines = path.read_text().splitlines()
    assert "#[Histogram log format version 1.2]" in lines
    start = float(re.search(r"^#\[StartTime: ([0-9.]+) ", "\n".join(lines), re.M).group(1))
    rows = [line.split(",") for line in lines if line[0].isdigit()]
    return start, [(float(begin), float(length), float(most), decode(text)) for begin, length, most, text in rows]


class Stalled:
    """A run through a relay that held everything back for a second."""

    def __init__(self, server, directory):
        gate = threading.Event()
        gate.set()
        self.hlog, self.csv = directory / "run.hlog", directory / "run.csv"

        def through(_, data):
            gate.wait(30)
            return data

        with meddler(server.address, through) as relay:
            options = ["-c", 4, "-r", 400, "-d", "5s", "-i", "500ms", "--hlog", self.hlog, "--csv", self.csv]
            started = start_load(directory, *options, target=relay)
            lines = []
            for line in started[1].stdout:
                lines.append(line)
                if "p50=" in line and "p50=-" not in line and len(lines) >= 2:
                    break
            gate.clear()
            time.sleep(STALL_S)
            gate.set()
            self.outcome = finish_load(started)
        report = "".join(lines) + self.outcome.report
        self.lines = [parse_line(line) for line in report.splitlines() if "  load  " in line and "p50=" in line]
        self.rows = self.outcome.result["intervals"]["rows"]


@pytest.fixture(scope="module")
def stalled(tmp_path_factory):
    with harness.serve() as server:
        return Stalled(server, tmp_path_factory.mktemp("stall"))


def found(maxima):
    """The interval in which the stall came to its end."""
    return max(range(len(maxima)), key=lambda i: maxima[i] or 0)


def test_a_stall_is_found_in_the_json(stalled):
    rows = stalled.rows
    at = found([row["max"] for row in rows])
    assert rows[at]["max"] >= STALL_S * 0.9e6 and rows[at]["p99"] >= STALL_S * 0.8e6, rows[at]
    assert min(row["echoes"] for row in rows[max(0, at - 2) : at + 1]) < 400 * LENGTH_S * 0.6
    calm = sorted(row["p50"] for row in rows if row["p50"] is not None)
    assert calm[len(calm) // 2] < STALL_S * 0.5e6  # and it stands out
    assert stalled.outcome.result["intervals"]["length_us"] == LENGTH_S * 1e6
    assert sum(row["count"] for row in rows) == stalled.outcome.result["latency_us"]["count"]


def test_the_lines_say_what_the_json_says(stalled):
    assert len(stalled.lines) == len(stalled.rows), stalled.outcome
    for line, row in zip(stalled.lines, stalled.rows):
        for name in ("p50", "p99", "max"):
            assert line[name] == (row[name] if row[name] is None else pytest.approx(row[name], rel=0.006)), (line, row)
        assert line["sessions"] == row["sessions"]
    assert max(line["max"] or 0 for line in stalled.lines) >= STALL_S * 0.9e6


def test_the_rows_say_what_the_json_says(stalled):
    with open(stalled.csv) as file:
        read = list(csv.DictReader(file))
    assert len(read) == len(stalled.rows)
    for i, (line, row) in enumerate(zip(read, stalled.rows)):
        assert float(line["start_s"]) == pytest.approx(i * LENGTH_S)
        for name in ("echoes", "bytes", "handshakes", "errors", "sessions"):
            assert int(line[name]) == row[name]
        for name in ("p50", "p90", "p99", "p99_9", "max"):
            assert line[f"{name}_us"] == ("" if row[name] is None else str(row[name]))
        assert line["server_cpu_s"] == ""


def test_the_log_holds_every_measured_message(stalled):
    start, intervals = read_log(stalled.hlog)
    began = datetime.fromisoformat(stalled.outcome.result["started_at"].replace("Z", "+00:00")).timestamp()
    assert abs(start - began) < 0.01
    assert len(intervals) == len(stalled.rows)
    together = {}
    for i, ((begin, length, most, counts), row) in enumerate(zip(intervals, stalled.rows)):
        assert begin == pytest.approx(i * LENGTH_S) and length == LENGTH_S
        assert sum(counts.values()) == row["count"] and most * 1e3 == pytest.approx(row["max"] or 0)
        for slot, count in counts.items():
            together[low(slot)] = together.get(low(slot), 0) + count
    buckets = stalled.outcome.result["histograms"]["latency_us"]["buckets"]
    assert sorted(together.items()) == [tuple(each) for each in buckets]  # exactly: nothing lost, nothing twice
    assert found([most for _, _, most, _ in intervals]) == found([row["max"] for row in stalled.rows])


def test_another_hdrhistogram_reads_the_log(stalled, tmp_path):
    """hdr-histogram-js, at the version that the lock file names."""
    try:
        interop.npm_packages(tmp_path)
    except interop.NotInstalled as missing:
        pytest.skip(str(missing))
    command = ["node", str(interop.NPM / "read_log.js"), str(tmp_path), str(stalled.hlog)]
    read = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    latency = stalled.outcome.result["latency_us"]
    assert read["all"]["count"] == latency["count"]
    for name in ("p50", "p90", "p99", "p99_9"):
        assert read["all"][name] == pytest.approx(latency[name], rel=0.001)
    for theirs, row in zip(read["intervals"], stalled.rows, strict=True):
        assert theirs["count"] == row["count"]
        if row["count"]:
            for name in ("p50", "p90", "p99", "p99_9", "max"):
                assert theirs[name] == pytest.approx(row[name], rel=0.001)


def test_shards_add_up_exactly(server, tmp_path):
    """Two shards with intervals of different lengths, merged: each measured message is in it, once."""
    begin = time.time() + 1.5
    started = []
    for shard, interval in ((1, "200ms"), (2, "400ms")):
        options = ["--shard", f"{shard}/2", "--start-at", f"{begin:.3f}", "-c", 4, "-d", "2s", "-i", interval, "-q"]
        started.append(start_load(tmp_path, *options, target=server, json_name=f"{shard}.json"))
    parts = [finish_load(each) for each in started]
    assert all(part.code in (0, 1) for part in parts), parts
    merged, hlog = tmp_path / "merged.json", tmp_path / "merged.hlog"
    done = run_tool("merge", "-q", *(part.json_path for part in parts), "--json", merged, "--hlog", hlog)
    assert done.returncode == 0, done
    result = json.loads(merged.read_text())
    assert result["intervals"]["length_us"] == 400_000
    total = sum(part.result["latency_us"]["count"] for part in parts)
    assert sum(row["count"] for row in result["intervals"]["rows"]) == total > 0
    together = {}
    for _, _, _, counts in read_log(hlog)[1]:
        for slot, count in counts.items():
            together[low(slot)] = together.get(low(slot), 0) + count
    assert sorted(together.items()) == [tuple(each) for each in result["histograms"]["latency_us"]["buckets"]]


def test_a_file_without_intervals_stays_readable(server, tmp_path):
    outcome = load(tmp_path, "-c", 2, "-d", "300ms", target=server)
    old = dict(outcome.result)
    del old["intervals"]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))
    again = tmp_path / "again.json"
    assert run_tool("merge", "-q", path, "--json", again).returncode == 0
    assert "intervals" not in json.loads(again.read_text())
    assert run_tool("report", path, "-o", tmp_path / "page.html").returncode == 0


@pytest.mark.parametrize(
    "damage",
    [
        {"latency": "HISTFAAAACZ4nJNpmSzMwMDAxgABzFCaEURcm7yEwf4DRGCiHNNZZiYAc2EGEA=="},  # another's
        {"latency": "HISTFAAAACZ4nJNpm"},
        {"latency": "!!!!"},
        {"count": 5},
        {"max": -1},
        {"echoes": "many"},
    ],
)
def test_damaged_intervals_are_refused(server, tmp_path, damage):
    outcome = load(tmp_path, "-c", 2, "-d", "300ms", target=server)
    outcome.result["intervals"]["rows"][0].update(damage)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(outcome.result))
    done = run_tool("merge", path)
    assert done.returncode == 2 and "intervals: row 0 is not one of ours" in done.stderr, done
