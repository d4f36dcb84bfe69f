"""Commands that documents show: found, run against a server of their own, and what they print held against the document.

A fenced block of the kind `console` holds commands (`$ ...`, as bash takes them) and what they print. The commands of one
document run one after the other in one directory. A line `...` stands for any lines; what is compared is the shape:
numbers, times, addresses and fingerprints may be others.

  /usr/bin/python3 test/documents.py FILE.md...     writes what the commands print now into the documents (make documents)
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import harness

ROOT = harness.ROOT
SERVER = "127.0.0.1:2222"  # what documents call the server
FIGURES = "127.0.0.1:9222"  # and its metrics
ANY = "..."

_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?( ?([num]?s|min|%|[KMGT]i?B|[kKMG]))?(?![\w])")
_SHAPES = [
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.]*Z?"), "#"),
    (re.compile(r"SHA256:\S+"), "SHA256:#"),
    (re.compile(r"(?<![\d.])0\.\d+\.\d+(\+[\w.-]+)?"), "#"),  # our version, also inside the SSH version line
    (re.compile(r"\b(pid|conn)=\d+"), r"\1=#"),
    (_NUMBER, "#"),
    (re.compile(r"[*x-]{2,}"), "*"),  # bars and rules
]
# Said of how it went at that moment, such as on a busy machine: a document is neither wrong with it nor without.
_BY_CHANCE = re.compile(r"^Note  ")


class Command:
    def __init__(self, path, line, text):
        self.path, self.line, self.text, self.output = path, line, text, []

    def __str__(self):
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.text}"


def commands(path):
    """Every command of the console blocks of a document, with the output that is shown for it."""
    found, inside = [], False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("```"):
            inside = line == "```console"
        elif inside and line.startswith("$ "):
            found.append(Command(path, number, line[2:]))
        elif inside and found:
            found[-1].output.append(line)
    return found


def shape(lines):
    """What of an output does not depend on the machine and the moment; lines of one shape in a row are one."""
    shapes = []
    for line in lines:
        if _BY_CHANCE.match(line):
            continue
        for pattern, stand_in in _SHAPES:
            line = pattern.sub(stand_in, line)
        line = " ".join(line.split())
        if not shapes or shapes[-1] != line:
            shapes.append(line)
    while shapes and not shapes[-1]:
        shapes.pop()
    return shapes


def difference(shown, printed):
    """None if the document's lines (with ...) have the shape of what was printed, else the first of them that is missing."""
    wanted, had = shape(shown), shape(printed)
    pattern = "\n".join("(?s:.*)" if line == ANY else re.escape(line) for line in wanted)
    if re.fullmatch(pattern, "\n".join(had)):
        return None
    for line in wanted:
        if line != ANY and line not in had:
            return f"nothing printed looks like {line!r}"
    for line in had:
        if line not in wanted and ANY not in wanted:
            return f"the document does not show {line!r}"
    return "the lines come in another order"


class Room:
    """A directory and an environment in which the commands of one document run; address and figures: where the server is."""

    def __init__(self, directory, address, figures):
        self.directory = Path(directory)
        self.replacements = [(SERVER, address), (FIGURES, figures), ("-p 2222", "-p " + address.rpartition(":")[2])]
        bin_directory = self.directory / ".bin"
        bin_directory.mkdir()
        for program in (harness.SSHECHOD, harness.SSHLOAD):
            (bin_directory / program.name).symlink_to(program)
        # A reader has accepted the host key once, and has no other settings.
        (bin_directory / "ssh").write_text(
            f"#!/bin/sh\nexec {shutil.which('ssh')} -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
            ' -o LogLevel=ERROR -o BatchMode=yes "$@"\n'
        )
        (bin_directory / "ssh").chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name in ("LANG", "TMPDIR", "BUILD")},
            "PATH": f"{bin_directory}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.directory),
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "120",
        }

    def run(self, text, timeout=60):
        """Standard output and error as on a terminal, and the exit status."""
        for shown, real in self.replacements:
            text = text.replace(shown, real)
        result = subprocess.run(
            ["bash", "-c", text],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        output = result.stdout
        for shown, real in self.replacements:
            if real and not shown.startswith("-"):
                output = output.replace(real, shown)
        return output.splitlines(), result.returncode


def refresh(path, room):
    """Writes what the commands print now into the document, but where a `...` says that a person has chosen."""
    lines, new, fresh = path.read_text().splitlines(), [], {}
    for command in commands(path):
        printed, _ = room.run(command.text, 600)
        printed = [re.sub(r"\b(0\.\d+\.\d+)\+[\w.-]+", r"\1", line) for line in printed]
        print(f"{command}\n  " + "\n  ".join(printed))
        if ANY not in command.output:
            fresh[command.line] = (printed, len(command.output))
    number = 0
    while number < len(lines):
        new.append(lines[number])
        number += 1
        if number in fresh:
            printed, shown = fresh[number]
            new += printed + [""] * (shown > 0 and not lines[number + shown - 1])
            number += shown
    path.write_text("\n".join(new) + "\n")


def main():
    for name in sys.argv[1:]:
        with harness.serve(options={"metrics-listen": "127.0.0.1:0"}) as server:
            host, port = server.address
            room_directory = Path(server.directory) / "room"
            room_directory.mkdir()
            room = Room(room_directory, f"{host}:{port}", server.wait_line("metrics")["address"])
            refresh(Path(name).resolve(), room)


if __name__ == "__main__":
    main()
