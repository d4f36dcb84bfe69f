"""compare, ab, merge, plot, and a run that is spread over several processes."""

import contextlib
import json
import random
import re
import select
import shutil
import socket
import subprocess
import time
from xml.etree import ElementTree

import pytest

import harness
from bad_servers import listener
from sshload_helpers import check_result, load, run_tool, target_of


@pytest.fixture
def results(server, tmp_path):
    """Two results of the same server: a ping with 2 connections, and one with 6."""
    paths = []
    for name, connections in (("few", 2), ("many", 6)):
        outcome = load(
            tmp_path, "-c", connections, "-d", "1200ms", "-q", "--label", name, target=server, json_name=f"{name}.json"
        )
        assert outcome.code == 0, outcome
        paths.append(outcome.json_path)
    return paths


def worsened(path, factor):
    """A copy whose latencies are all factor times as long."""
    result = json.loads(path.read_text())
    for name in ("latency_us", "latency_uncorrected_us"):
        histogram = result["histograms"][name]
        buckets = {}
        for low, count in histogram["buckets"]:
            buckets[int(low * factor)] = buckets.get(int(low * factor), 0) + count
        histogram["buckets"] = sorted(map(list, buckets.items()))
        histogram["max"] = int(histogram["max"] * factor)
    copy = path.with_name(f"worse-{path.name}")
    copy.write_text(json.dumps(result))
    return copy


def test_one_run_each_cannot_tell(results):
    few, _ = results
    for other in (few, worsened(few, 1.5)):
        done = run_tool("compare", "--force", few, other)
        assert done.returncode == 0, done
        verdicts = [line for line in done.stdout.splitlines() if "service time p99 " in line]
        assert verdicts and verdicts[0].endswith("cannot tell")
        assert "worse" not in done.stdout and "1 run against 1 cannot tell a change from chance" in done.stdout


def copies(path, count, factor):
    """Results of a set: the same run, with latencies that differ a little from run to run."""
    made = []
    for i in range(count):
        copy = worsened(path, factor * (1 + 0.01 * (i % 3)))
        made.append(copy.rename(path.with_name(f"set-{factor}-{i}.json")))
    return made


def test_compare_sets(results, tmp_path):
    few, _ = results
    a, b, worse = copies(few, 5, 1.0), copies(few, 6, 1.001), copies(few, 5, 1.5)
    done = run_tool("compare", "--force", *a, "--", *b)
    assert done.returncode == 0, done
    lines = {line[:18].strip(): line for line in done.stdout.splitlines()}
    assert lines["service time p99"].endswith("same") and lines["errors"].endswith("same")
    done = run_tool("compare", "--force", *a, "--", *worse, "--json", tmp_path / "c.json")
    assert done.returncode == 99, done
    figures = {each["figure"]: each for each in json.loads((tmp_path / "c.json").read_text())["figures"]}
    p50 = figures["service time p50"]
    assert p50["verdict"] == "worse" and 1.4 < p50["low"] <= p50["ratio"] <= p50["high"] < 1.6
    assert figures["service time p99.9"]["verdict"] == ""  # shown, not judged
    assert run_tool("compare", "--force", "--tolerance", "60%", *a, "--", *worse).returncode == 0
    done = run_tool("compare", "--force", *worse, "--", *a)
    assert done.returncode == 0 and "better" in done.stdout
    assert run_tool("compare", "--paired", *a, "--", *b).returncode == 2


def changed(path, name, **changes):
    result = json.loads(path.read_text())
    for where, value in changes.items():
        inner = result
        *parts, last = where.split("__")
        for part in parts:
            inner = inner[part]
        inner[last] = value
    copy = path.with_name(name)
    copy.write_text(json.dumps(result))
    return copy


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"interrupted": True}, "interrupted"),
        ({"summary__unfinished": 3, "summary__started": 1_000_003}, "unfinished"),
        ({"generator__busiest_thread_cpu": 0.99}, "client-bound"),
        ({"summary__started": 0}, "nothing was measured"),
    ],
)
def test_runs_that_say_little_are_left_out_by_name(results, changes, why):
    none = {
        f"generator__{name}": 0 for name in ("busiest_thread_cpu", "busy_windows", "run_delay", "throttled", "steal")
    }
    quiet = changed(results[0], "quiet.json", **none)
    bad = changed(quiet, "bad.json", **changes)
    done = run_tool("compare", quiet, bad)
    assert done.returncode == 2 and f"{bad} is left out: {why}" in done.stderr and done.stdout == "", done
    done = run_tool("compare", quiet, "--", quiet, bad)
    assert done.returncode == 0 and "left out" in done.stderr, done
    assert run_tool("compare", "--force", quiet, bad).returncode == 0


def test_runs_that_differ_in_options_are_refused(results):
    few, many = results
    done = run_tool("compare", few, many)
    assert done.returncode == 2 and "connections is 6, not 2" in done.stderr, done
    done = run_tool("compare", "--force", "--differing", few, many)
    assert done.returncode == 0, done
    done = run_tool("compare", "--differing", few, many, "--", few)  # within a side they never may
    assert done.returncode == 2 and "connections is 6, not 2" in done.stderr, done


AB = ["ab", "-n", 4, "--force", "-d", "100ms", "-c", 1]


def test_ab_takes_turns_in_balanced_order(serve, tmp_path):
    a, b = serve(), serve()
    done = run_tool(*AB, "--keep", tmp_path, target_of(a), target_of(b))
    assert done.returncode in (0, 99), done
    assert "A (4)" in done.stdout and "B (4)" in done.stdout and "service time p50" in done.stdout
    started = {}
    for side, server in (("a", a), ("b", b)):
        for i in range(1, 5):
            result = json.loads((tmp_path / f"{side}{i}.json").read_text())
            check_result(result)
            assert result["about"]["targets"] == [target_of(server)]
            started[f"{side}{i}"] = result["started_at"]
    assert sorted(started, key=started.get) == ["a1", "b1", "b2", "a2", "a3", "b3", "b4", "a4"]


def test_ab_of_two_settings(server):
    done = run_tool(*AB, "--a", "-s 64", "--b", "-s 20k --ciphers 'aes256-ctr'", "--json", "-", target_of(server))
    assert done.returncode in (0, 99), done
    comparison = json.loads(done.stdout)
    assert comparison["schema"] == "sshload-compare/1" and comparison["runs"] == {"a": 4, "b": 4}
    data = next(each for each in comparison["figures"] if each["figure"] == "MB/s")
    assert data["ratio"] > 5 and data["low"] > 1
    assert run_tool(*AB, target_of(server)).returncode == 2
    assert run_tool("ab", "--help").returncode == 0


@contextlib.contextmanager
def delaying(address, seconds):
    """A relay that holds back each answer for so long, by the clock."""

    def relay(client):
        with socket.create_connection(address) as upstream:
            for each in (client, upstream):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                for ready in select.select([client, upstream], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is upstream:
                        time.sleep(seconds)
                    (upstream if ready is client else client).sendall(data)

    with listener(relay) as own:
        yield own


@pytest.mark.alone
def test_ab_tells_a_relay_that_adds_a_tenth(server):
    """10 pairs; the answers of A come after 20 ms, those of B after 22."""
    with delaying(server.address, 0.020) as a, delaying(server.address, 0.022) as b:
        done = run_tool(
            "ab", "-n", 10, "--force", "--count", 20, "-c", 1, "--tolerance", "2%", "--json", "-",
            target_of(a), target_of(b), timeout=90,
        )  # fmt: skip
    figures = {each["figure"]: each for each in json.loads(done.stdout)["figures"]}
    assert done.returncode == 99 and figures["service time p50"]["verdict"] == "worse", done.stderr


def test_repeat_reports_median_and_interval(server, tmp_path):
    done = run_tool("-d", "100ms", "-c", 1, "--repeat", 5, "--json", tmp_path / "r.json", target_of(server))
    assert done.returncode == 0, done
    assert "5 runs" in done.stdout and "median" in done.stdout and "95 % interval" in done.stdout
    assert len([line for line in done.stdout.splitlines() if line.startswith("service time p99 ")]) == 1
    rates = []
    for i in range(1, 6):
        result = json.loads((tmp_path / f"r-{i}.json").read_text())
        check_result(result)
        rates.append(result["summary"]["echoes_per_s"])
    line = next(line for line in done.stdout.splitlines() if line.startswith("echoes/s"))
    median, least, most = (float(word) for word in line.split()[1:4])
    assert (median, least, most) == pytest.approx((sorted(rates)[2], min(rates), max(rates)), abs=1)
    refused = run_tool("-d", "100ms", "--repeat", 3, "-q", "127.0.0.1:1")
    assert refused.returncode == 1


def test_compare_refuses(results, server, tmp_path):
    few, _ = results
    held = load(tmp_path, "-m", "hold", "-c", 2, "-d", "200ms", target=server, json_name="hold.json").json_path
    done = run_tool("compare", few, held)
    assert done.returncode == 2 and "no comparison" in done.stderr and done.stderr.count("\n") == 1
    for bad in (
        ["compare", few],
        ["compare", "--force", few, few, "--tolerance", "x"],
        ["compare", few, tmp_path / "none.json"],
    ):
        done = run_tool(*bad)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done


@pytest.mark.parametrize(
    "text, complaint", [("", "is no JSON"), ("{}", "no result of sshload"), ("[1, 2", "is no JSON")]
)
def test_damaged_files_are_refused_by_name(results, tmp_path, text, complaint):
    bad = tmp_path / "bad.json"
    bad.write_text(text)
    for tool in (["compare", results[0], bad], ["merge", results[0], bad], ["plot", bad, "-o", tmp_path / "x.svg"]):
        done = run_tool(*tool)
        assert done.returncode == 2 and str(bad) in done.stderr and complaint in done.stderr, done


OLDEST = harness.ROOT / "test/schema/oldest-result.json"


@pytest.mark.parametrize("tool", ["compare", "merge", "report", "plot"])
def test_the_oldest_files_of_this_schema_are_still_read(tmp_path, tool):
    """What came later than the format is missing there, and is optional; what was always there is not."""
    out = tmp_path / ("out.html" if tool == "report" else "out.svg")
    options = {"compare": [OLDEST], "merge": ["--json", "-"]}.get(tool, ["-o", out])
    done = run_tool(tool, OLDEST, *options)
    assert done.returncode == 0, done
    if tool == "merge":
        merged = json.loads(done.stdout)
        check_result(merged)
        assert merged["summary"]["started"] == 3 and merged["summary"]["censored"] == 0
    elif tool in ("report", "plot"):
        assert out.stat().st_size > 1000
    damaged = json.loads(OLDEST.read_text())
    del damaged["summary"]["started"]
    (tmp_path / "damaged.json").write_text(json.dumps(damaged))
    done = run_tool(tool, tmp_path / "damaged.json", *options)
    assert done.returncode == 2 and "started: is not a count" in done.stderr, done


def test_merge_refuses_with_the_reason(results):
    few, many = results
    done = run_tool("merge", few, many)
    assert done.returncode == 2 and "connections is 6, not 2" in done.stderr
    done = run_tool("merge", few, few)
    assert done.returncode == 2 and "in already" in done.stderr
    again = changed(few, "again.json", started_at="2026-11-20T23:07:54Z")
    done = run_tool("merge", few, again)
    assert done.returncode == 2 and f"{again} does not match {few}" in done.stderr, done


def test_plot_draws_every_run(results, tmp_path):
    picture = tmp_path / "it's a picture.svg"
    done = run_tool("plot", *results, "-o", picture)
    assert done.returncode == 0 and done.stderr == "", done
    root = ElementTree.parse(picture).getroot()
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("few") == texts.count("many") == 4 and "99.9 %" in texts and "echoes/s" in texts
    paths = list(root.iter("{http://www.w3.org/2000/svg}path"))
    lines = [each.get("d") for each in paths if "line" in each.get("class")]
    assert len(lines) == 8 and len(lines[0].split("L")) > 50  # curves, not only axes


def test_plot_draws_the_map_of_every_run(results, tmp_path):
    """A column for each interval in which something was measured; none for a run that kept no intervals."""
    svg = "{http://www.w3.org/2000/svg}"
    bare = json.loads(results[0].read_text())
    del bare["intervals"]
    (tmp_path / "bare.json").write_text(json.dumps(bare))
    done = run_tool("plot", *results, tmp_path / "bare.json", "-o", tmp_path / "x.svg")
    assert done.returncode == 0, done
    root = ElementTree.parse(tmp_path / "x.svg").getroot()
    parts = [(each, each.findtext(f"{svg}title")) for each in root.findall(f"{svg}svg")]
    maps = [(each, title) for each, title in parts if title.startswith("latency over time: ")]
    assert [title.rpartition(": ")[2] for _, title in maps] == ["few", "many"]
    for (each, title), path in zip(maps, results):
        cells = {path.get("class"): path.get("d").count("M") for path in each.iter(f"{svg}path")}
        assert list(cells) == [f"h{shade}" for shade in range(7)] and cells["h6"] >= 1, cells
        columns = {
            re.match(r"[\d.]+", cell)[0] for path in each.iter(f"{svg}path") for cell in path.get("d").split("M")[1:]
        }
        rows = json.loads(path.read_text())["intervals"]["rows"]
        assert len(columns) == sum(row["count"] > 0 for row in rows) >= 2, (columns, rows)
        assert title in [text.text for text in root.findall(f"{svg}text")]
    tops = [int(each.get("y")) for each, _ in parts]
    ends = [int(each.get("y")) + int(each.get("height")) for each, _ in parts]
    assert all(end <= top for end, top in zip(ends, tops[1:])) and ends[-1] == int(root.get("height")), (tops, ends)


def test_plot_says_what_it_needs(results, tmp_path):
    for arguments in ([results[0]], [results[0], "-o", tmp_path / "x.gif"], ["-o", tmp_path / "x.svg"]):
        done = run_tool("plot", *arguments)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
    done = run_tool("plot", results[0], "-o", "/nonexistent/x.svg")
    assert done.returncode == 1


@pytest.mark.skipif(shutil.which("parallel") is None, reason="no GNU parallel here")
def test_four_shards_by_gnu_parallel_make_one_run(server, tmp_path):
    start_at = time.time() + 3
    command = [
        str(harness.SSHLOAD),
        "-q",
        "-c",
        "10",
        "-r",
        "1000",
        "-d",
        "2s",
        "--shard",
        "{}/4",
        "--start-at",
        f"{start_at:.3f}",
        "--json",
        "{}.json",
        target_of(server),
    ]
    done = subprocess.run(
        ["parallel", "--will-cite", "-j", "4", *command, ":::", "1", "2", "3", "4"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    parts = [json.loads((tmp_path / f"{i}.json").read_text()) for i in range(1, 5)]
    assert [part["summary"]["sessions_up"] for part in parts] == [3, 3, 2, 2]
    assert all(0 <= part["start_skew_us"] < 500_000 for part in parts)
    merged = run_tool("merge", *(f"{i}.json" for i in range(1, 5)), "--json", "all.json", cwd=tmp_path)
    assert merged.returncode == 0, merged
    assert "4 results merged" in merged.stdout and "Parts        4, the last began " in merged.stdout
    whole = json.loads((tmp_path / "all.json").read_text())
    check_result(whole)
    assert whole["summary"]["started"] == whole["summary"]["ok"] == 2000
    assert whole["summary"]["sessions_up"] == 10
    assert whole["latency_us"]["count"] == sum(part["latency_us"]["count"] for part in parts)
    assert whole["latency_us"]["max"] == max(part["latency_us"]["max"] for part in parts)
    seen = {}
    for part in parts:
        for low, count in part["histograms"]["latency_us"]["buckets"]:
            seen[low] = seen.get(low, 0) + count
    assert whole["histograms"]["latency_us"]["buckets"] == sorted(map(list, seen.items()))
    partial = run_tool("merge", "1.json", "2.json", cwd=tmp_path)
    assert partial.returncode == 0 and "2 of 4 shards" in partial.stderr


def test_shard_index_from_a_kubernetes_indexed_job(server, tmp_path):
    environment = {"JOB_COMPLETION_INDEX": "1", "PATH": "/usr/bin", "HOME": str(tmp_path)}
    outcome = load(tmp_path, "-c", 5, "-n", 10, "--shard", "/2", target=server, env=environment)
    assert outcome.code == 0, outcome
    assert outcome.result["shard"] == {"index": 2, "count": 2, "merged": 1}
    assert outcome.summary["sessions_up"] == 2 and outcome.summary["started"] == 5


@pytest.mark.alone
def test_percentiles_agree_with_an_independent_measure(server, tmp_path):
    """The same traffic timed twice: by sshload, and by a relay on its way that holds each answer back for a random time
    and takes the time from request to answer itself. All percentiles agree within 10 %."""
    chance = random.Random(7)
    measured = []

    def relay(client):
        with socket.create_connection(server.address) as upstream:
            for each in (client, upstream):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asked, length = time.monotonic(), 0
            while True:
                for ready in select.select([client, upstream], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is client:
                        asked, length = time.monotonic(), len(data)
                        upstream.sendall(data)
                    else:
                        time.sleep(min(chance.expovariate(1 / 0.003), 0.05))
                        client.sendall(data)
                        measured.append((length, (time.monotonic() - asked) * 1e6))

    with listener(relay) as address:
        outcome = load(tmp_path, "-c", 1, "-n", 600, target=address)
    assert outcome.code == 0, outcome
    lengths = [length for length, _ in measured]
    message = max(set(lengths), key=lengths.count)
    times = sorted([us for length, us in measured if length == message][-600:])
    assert len(times) == 600
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        expected = times[int(share * 600) - 1]
        assert outcome.result["latency_us"][name] == pytest.approx(expected, rel=0.1), name
    assert outcome.result["latency_us"]["mean"] == pytest.approx(sum(times) / 600, rel=0.1)
