"""The page that `sshload report` writes: its numbers, its text, and what a browser makes of it."""

import html
import html.parser
import json
import re
import shlex
import shutil
import subprocess
from xml.etree import ElementTree

import pytest

from sshload_helpers import load, run_tool

CHROMIUM = shutil.which("chromium")
HOSTILE = "<script>alert(1)</script>&\"'<img src=x onerror=alert(2)>"


class Page(html.parser.HTMLParser):
    """The text of each table by its caption, as rows of cells, and every tag and attribute."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.tags, self.attributes, self.text = {}, [], [], ""
        self.caption, self.inside = None, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag in ("caption", "th", "td"):
            self.inside = tag
            if tag == "caption":
                self.caption = ""
            elif self.caption is not None:
                self.tables[self.caption][-1].append("")
        elif tag == "tr" and self.caption is not None:
            self.tables.setdefault(self.caption, []).append([])

    def handle_endtag(self, tag):
        if tag in ("caption", "th", "td"):
            self.inside = None
        if tag == "caption":
            self.tables.setdefault(self.caption, [])
        if tag == "table":
            self.caption = None

    def handle_data(self, data):
        self.text += data
        if self.inside == "caption":
            self.caption += data
        elif self.inside and self.caption is not None:
            self.tables[self.caption][-1][-1] += data


def in_us(text):
    number, unit = text.split()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6, "min": 6e7}[unit]


@pytest.fixture
def runs(server, tmp_path):
    """A quiet run, and one whose label a page must not believe."""
    paths = []
    for name, label, rate in (("a", "quiet", 300), ("b", HOSTILE, 600)):
        outcome = load(
            tmp_path, "-c", 3, "-d", "2s", "-r", rate, "--label", label, target=server, json_name=f"{name}.json"
        )
        assert outcome.result["summary"]["ok"] > 0, outcome
        paths.append(outcome.json_path)
    return paths


@pytest.fixture
def brief(server, tmp_path):
    """A run for tests that care for names and room, not for figures."""
    return load(tmp_path, "-c", 2, "-d", "500ms", "-r", 300, "-i", "100ms", "-q", target=server).json_path


@pytest.fixture
def page(runs, tmp_path):
    path = tmp_path / "report.html"
    done = run_tool("report", *runs, "-o", path, "--title", "Two <runs>")
    assert done.returncode == 0 and done.stderr == "", done
    return path


def test_numbers_are_those_of_the_results(runs, page):
    tables = Page(page.read_text()).tables
    results = [json.loads(path.read_text()) for path in runs]
    head, *rows = tables["Latency from the due time"]
    for result, row in zip(results, rows):
        figures = dict(zip(head, row))
        for name, key in (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99.9", "p99_9"), ("max", "max")):
            assert in_us(figures[name]) == pytest.approx(result["latency_us"][key], rel=0.006), name
        assert int(figures["of"]) == result["latency_us"]["count"]
    head, *rows = tables["What was done in the measured time"]
    for result, row in zip(results, rows):
        figures = dict(zip(head, row))
        assert int(figures["echoes"]) == result["summary"]["echoes"]
        assert float(figures["a second"]) == pytest.approx(result["summary"]["echoes_per_s"], abs=0.06)
        assert int(figures["errors"]) == result["summary"]["errors"]
    head, *rows = tables["Echoes a second"]
    assert [float(row[1]) for row in rows] == [each["echoes"] for each in results[0]["series"]][: len(rows)]


def test_what_others_wrote_is_text(runs, page):
    parsed = Page(page.read_text())
    assert HOSTILE in parsed.text and "Two <runs>" in parsed.text
    assert not {"script", "img", "link", "iframe", "object"} & set(parsed.tags)
    assert not [name for name, _ in parsed.attributes if name.startswith("on") or name in ("src", "href")]


def test_every_picture_has_its_table(page):
    text = page.read_text()
    sections = re.findall(r"<section>.*?</section>", text, re.S)
    pictured = [section for section in sections if "<svg" in section]
    assert len(pictured) >= 3
    assert all("<table" in section and "<title>" in section for section in pictured)
    assert "prefers-color-scheme:dark" in text and "@media print" in text and "viewport" in text


def test_many_runs_are_all_named_and_none_leaves_the_picture(brief, tmp_path):
    """Long names take rows of their own; what was cut in the middle of a character is no byte that ends the picture."""
    result = json.loads(brief.read_text())
    paths = []
    for i in range(5):
        result["label"] = f"run {i} é" + "ü" * (20 + i)
        paths.append(tmp_path / f"{i}.json")
        paths[-1].write_text(json.dumps(result))
    picture, page = tmp_path / "x.svg", tmp_path / "x.html"
    assert run_tool("plot", *paths, "-o", picture).returncode == 0
    assert run_tool("report", *paths, "-o", page).returncode == 0
    svg = "{http://www.w3.org/2000/svg}"
    root = ElementTree.parse(picture).getroot()
    for chart in list(root.findall(f"{svg}svg"))[:4]:
        names = [each for each in chart.iter(f"{svg}text") if (each.text or "").startswith("run ")]
        assert [name.text[:5] for name in names] == [f"run {i}" for i in range(5)]
        assert all(float(each.get("x")) + 6.5 * len(each.text) < 720 for each in names)
        rows = sorted({float(each.get("y")) for each in names})
        top = min(float(line.get("y1")) for line in chart.iter(f"{svg}line") if line.get("class") == "grid")
        assert len(rows) > 1 and rows[-1] < top, (rows, top)
    page.read_bytes().decode()
    command = re.search(r"<code>(.*?)</code>", page.read_text())[1]
    assert shlex.split(html.unescape(command))[1:] == result["about"]["command"][1:], command


def test_a_long_run_stays_small(runs, tmp_path):
    result = json.loads(runs[0].read_text())
    second = result["series"][0]
    result["series"] = [{**second, "second": i, "latency_max_us": 1000 + i} for i in range(3600)]
    result["phases"]["measure_s"] = 3600.0
    path = tmp_path / "hour.json"
    path.write_text(json.dumps(result))
    page = tmp_path / "hour.html"
    assert run_tool("report", path, "-o", page).returncode == 0
    assert page.stat().st_size < 400_000
    rows = Page(page.read_text()).tables["Worst latency over time"][1:]
    assert 100 < len(rows) <= 240 and rows[-1][0] == "3600"
    assert in_us(rows[-1][1]) == pytest.approx(4599, rel=0.006)  # the worst of its seconds, not their mean


def test_the_map_of_an_hour_stays_small_and_true(runs, tmp_path):
    """As many different intervals as an hour has, each with its histogram; one of them had a stall."""
    result = json.loads(runs[0].read_text())
    rows = result["intervals"]["rows"]
    full = max(rows, key=lambda row: row["count"])
    result["intervals"] = {"length_us": 1000000, "rows": [dict(full, server_cpu_s=0.25) for _ in range(3600)]}
    path, page = tmp_path / "hour.json", tmp_path / "hour.html"
    path.write_text(json.dumps(result))
    assert run_tool("report", path, "-o", page).returncode == 0
    text = page.read_text()
    assert len(text) < 400_000 and text.count('<path class="h') == 7
    table = Page(text).tables["Latency over time: quiet"]
    assert len(table) == 121 and table[-1][0] == "3600"
    assert sum(int(row[1]) for row in table[1:]) == 3600 * full["count"]
    assert all(in_us(row[4]) == pytest.approx(full["max"], rel=0.006) for row in table[1:])


def test_the_servers_side_and_runs_of_one_label(server, tmp_path):
    paths = []
    for i in range(3):
        options = [
            "-c",
            2,
            "-r",
            200,
            "-d",
            "600ms",
            "-i",
            "200ms",
            "--label",
            "same",
            "--server-pid",
            server.pid,
            "-q",
        ]
        paths.append(load(tmp_path, *options, target=server, json_name=f"{i}.json").json_path)
    page = tmp_path / "page.html"
    assert run_tool("report", *paths, "-o", page).returncode == 0
    tables = Page(page.read_text()).tables
    results = [json.loads(path.read_text()) for path in paths]
    head, *rows = tables["What the server used in the measured time"]
    assert [row[0] for row in rows] == ["same (1)", "same (2)", "same (3)"]
    for row, result in zip(rows, results):
        cell = dict(zip(head, row))
        assert float(cell["CPU us/echo"]) == pytest.approx(result["server"]["cpu_us_per_echo"], rel=0.001)
        assert cell["CPU s/GB"] == "-" and cell["read from"] == f"process {server.pid}"
    for name in ("CPU of the server over time", "Memory of the server over time, MiB", "Sessions over time"):
        assert len(tables[name]) > 2, name
    figures = {row[0]: row for row in tables["3 runs: same"]}
    counted = sorted(result["latency_us"]["p50"] for result in results)
    assert [in_us(text) for text in figures["latency p50"][1:4]] == pytest.approx(
        [counted[1], counted[0], counted[2]], rel=0.006
    )


def test_bad_files_leave_no_page(runs, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    page = tmp_path / "x.html"
    done = run_tool("report", runs[0], bad, "-o", page)
    assert done.returncode == 2 and str(bad) in done.stderr and done.stderr.count("\n") == 1 and not page.exists()
    assert run_tool("report", runs[0]).returncode == 2
    assert run_tool("report", runs[0], "-o", tmp_path / "nowhere" / "x.html").returncode == 1


# -- in a browser

QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr"]


def browse(tmp_path, path, *arguments):
    """What Chromium printed, and what the page said to its console (a refused request is said there)."""
    command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", *arguments, path.as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=60)
    lines = done.stderr.decode(errors="replace").splitlines()
    return done.stdout.decode(), [line for line in lines if "CONSOLE" in line]


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")


@needs_browser
def test_the_console_tells_of_a_request(tmp_path):
    """Without this, the next test could not fail."""
    path = tmp_path / "asks.html"
    path.write_text(
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\"><img src='http://127.0.0.1:9/x'>"
    )
    _, said = browse(tmp_path, path, "--dump-dom")
    assert said


@needs_browser
@pytest.mark.parametrize("size", ["1280,1600", "390,844", "820,1180"])
def test_a_browser_shows_it_and_asks_for_nothing(page, tmp_path, size):
    picture = tmp_path / "page.png"
    _, said = browse(tmp_path, page, f"--window-size={size}", f"--screenshot={picture}")
    assert not said, said
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 10_000


MEASURE = """<script>addEventListener("load", () => { document.documentElement.dataset.right = Math.max(
    ...[...document.querySelectorAll("td,th,p,h2,svg")].map(each => each.getBoundingClientRect().right)) })</script>"""


@needs_browser
def test_on_paper_no_column_is_cut_off(brief, tmp_path):
    """With a name that would push the figures off the sheet. 718 is what A4 has between Chromium's margins."""
    result = json.loads(brief.read_text())
    result["label"] = "a label of so many words that no sheet of paper has room for them beside figures"
    (tmp_path / "long.json").write_text(json.dumps(result))
    page = tmp_path / "long.html"
    assert run_tool("report", tmp_path / "long.json", "-o", page).returncode == 0
    text = page.read_text()
    assert text.count("@media print{") == 1
    text = re.sub("<meta http-equiv.*?>", "", text)
    page.write_text(text.replace("@media print{", "@media all{").replace("</body>", MEASURE + "</body>"))
    dom, said = browse(tmp_path, page, "--window-size=718,1000", "--hide-scrollbars", "--dump-dom")
    assert not said, said
    assert 400 < float(re.search(r'data-right="([\d.]+)"', dom)[1]) <= 718, re.search("<html[^>]*>", dom)


@needs_browser
def test_the_browser_sees_what_was_written(page, tmp_path):
    dom, _ = browse(tmp_path, page, "--dump-dom")
    parsed = Page(dom)
    assert HOSTILE in parsed.text and "script" not in parsed.tags
    assert parsed.tables == Page(page.read_text()).tables
