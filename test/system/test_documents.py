"""What documents tell people to type works, and prints what the document shows."""

import re
import subprocess

import pytest

import documents
import harness

GUIDES = [path for path in sorted([harness.ROOT / "README.md", *harness.ROOT.glob("docs/*.md")])]
SHOWING = [path for path in GUIDES if documents.commands(path)]


@pytest.mark.alone  # a generator that shares its core with four tests says so, in one more line
@pytest.mark.parametrize("path", SHOWING, ids=lambda path: path.stem)
def test_commands_print_what_is_shown(path, serve, tmp_path):
    server = serve(options={"metrics-listen": "127.0.0.1:0"})
    host, port = server.address
    room = documents.Room(tmp_path, f"{host}:{port}", server.wait_line("metrics")["address"])
    for command in documents.commands(path):
        printed, status = room.run(command.text)
        why = documents.difference(command.output, printed)
        if why is not None:  # a moment's output: what the document has wrong is wrong the second time as well
            printed, status = room.run(command.text)
            why = documents.difference(command.output, printed)
        assert why is None, f"{command}\n{why}; it printed (status {status}):\n" + "\n".join(printed)


def test_a_document_that_shows_something_else_is_found():
    printed = ["Echoes  1,000  500.0 /s", "Errors  0"]
    assert documents.difference(["Echoes  9  1.25 /s", "Errors  7"], printed) is None
    assert documents.difference(["Echoes  9  1.25 /s", "..."], printed) is None
    assert documents.difference(["Messages  9  1.25 /s", "Errors  7"], printed)
    assert documents.difference(["Echoes  9  1.25 /s"], printed)
    assert documents.difference(["Errors  0", "Echoes  1,000  500.0 /s"], printed)


# ---- commands that are only named


def words(path):
    """The command lines of blocks that show no output: fenced without a kind, or indented by four."""
    fenced = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("```"):
            fenced = line[3:] if fenced is None else None
        elif fenced == "" or (fenced is None and re.match(r"    \S", line)):
            yield number, line.strip()


def test_every_script_and_target_that_is_named_exists():
    makefile = (harness.ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*)(?: [a-z-]+)*:", makefile, re.M))
    for line in re.findall(r"^([a-z][a-z -]*):", makefile, re.M):
        targets |= set(line.split())
    seen = 0
    for path in [*GUIDES, harness.ROOT / "CONTRIBUTING.md", harness.ROOT / "SECURITY.md"]:
        text = path.read_text()
        for script in re.findall(r"(?<![\w/.-])(?:scripts|test|conf|docs|man|src)/[\w./-]*[\w]", text):
            seen += 1
            assert (harness.ROOT / script).exists() or list(harness.ROOT.glob(script + "*")), f"{path.name}: {script}"
        for target in re.findall(r"`make ([a-z][a-z-]+)", text):
            seen += 1
            assert target in targets, f"{path.name}: make {target}"
    assert seen > 100


# What a long command is shrunk to, so that a test can run it: it is the words that are tried, not the minutes.
SHRUNK = [
    (re.compile(r"-c \d{3,}"), "-c 10"),
    (re.compile(r"-d \d+[sm]"), "-d 200ms"),
    (re.compile(r"-w \d+[sm]"), "-w 10ms"),
    (re.compile(r"--rate \d{4,}"), "--rate 200"),
    (re.compile(r"-r \d{3,}"), "-r 100"),
    (
        re.compile(r"'0\.\.5000 over 30s, 5000 for 1m, spike 20000 for 5s'"),
        "'0..50 over 100ms, 50 for 100ms, spike 200 for 100ms'",
    ),
    (re.compile(r"-n 10\b"), "-n 2"),
    (re.compile(r"--repeat 10\b"), "--repeat 2"),
    (re.compile(r"^sshload (?=-m (connect|stream|hold)|--users)"), "sshload -d 200ms "),
    (re.compile(r"--live "), ""),  # needs a terminal: test_sshload_live.py has one
    (re.compile(r"--users FILE\b"), "--users users"),
    (re.compile(r"\b(HOST(_[AB])?|server\.example)\b"), documents.SERVER),
]


def loads(path):
    for number, line in words(path):
        line = re.sub(r"^(build/)?(?=sshload )", "", re.sub(r"\s+#.*$", "", line).replace("build/sshload", "sshload"))
        if line.startswith("sshload ") and "..." not in line and not re.search(r"\b(run|cat|KEY|agents)\b", line):
            for pattern, small in SHRUNK:
                line = pattern.sub(small, line)
            yield pytest.param(line, id=f"{path.stem}-{number}")


LOADS = [each for path in GUIDES for each in loads(path)]


@pytest.mark.parametrize("line", [each for each in LOADS if "sshload find" not in each.values[0]])
def test_every_load_that_is_named_runs(line, serve, tmp_path):
    server = serve()
    host, port = server.address
    room = documents.Room(tmp_path, f"{host}:{port}", "")
    for name in ("run", "a-1", "b-1"):  # the results of runs before it
        room.run(f"sshload -q -c 2 -n 20 --json {name}.json {documents.SERVER}")
    (tmp_path / "users").write_text("alice:secret\nbob:another\n")
    printed, status = room.run(line.replace("PID", str(server.pid)))
    # Runs side by side with other tests are client-bound, and `ab` then compares nothing.
    assert status in (0, 1, 99) or "no run is left" in "".join(printed), f"{line}\n" + "\n".join(printed)


@pytest.mark.parametrize("line", [each for each in LOADS if "sshload find" in each.values[0]])
def test_every_search_that_is_named_begins(line, tmp_path):
    """A search takes minutes: here nobody listens, and what is tried is the words."""
    room = documents.Room(tmp_path, "127.0.0.1:1", "")
    printed, status = room.run(line)
    assert status == 1 and "refused" in "".join(printed), f"{line}\n" + "\n".join(printed)


def serves():
    for path in GUIDES:
        for number, line in words(path):
            line = re.sub(r"\s+#.*$", "", line)
            if re.match(r"(build/)?sshechod( |$)", line) and "&&" not in line:
                yield pytest.param(line.removeprefix("build/"), id=f"{path.stem}-{number}")


@pytest.mark.parametrize("line", serves())
def test_every_server_that_is_named_would_start(line, tmp_path):
    room = documents.Room(tmp_path, documents.SERVER, "")
    (tmp_path / ".ssh").mkdir()
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    (tmp_path / "key.pub").rename(tmp_path / ".ssh" / "authorized_keys")
    line = line.replace("/etc/sshecho/sshechod.conf", str(harness.ROOT / "conf" / "sshechod.conf"))
    printed, status = room.run(line if "--check" in line else line + " --check")
    assert status == 0, f"{line}\n" + "\n".join(printed)
