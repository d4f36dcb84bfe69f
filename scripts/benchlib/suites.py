"""Several Debians side by side: joins what bench-peers measured in each, round by round, the Debians taking turns.

  python3 -m benchlib.suites PAGE ROUND.json...      from scripts/; `scripts/matrix --figures PAGE` makes the rounds

The first round of each Debian in the order of the columns, then the second, and so on. The tables then stand between PAGE's
marks `bench-suites`; - is stdout.
"""

import json
import sys
from pathlib import Path

from . import machine
from .report import Report, Verdict, median, number, spread

NAME = "bench-suites"
GCM = "aes128-gcm@openssh.com"
ECHOES = {1: "1 session", 200: "200 sessions", 2000: "2,000 sessions"}


class Suite:
    """The rounds of one Debian."""

    def __init__(self, system):
        self.title = system.replace("GNU/Linux ", "").split(" (")[0]
        self.rounds = []

    def of(self, figure, server, part):
        """One value a round: what bench-peers recorded, or None."""
        return [
            next((run.get(figure) for run in each["records"] if (run["server"], run["part"]) == (server, part)), None)
            for each in self.rounds
        ]

    def floors(self, cipher, count):
        """TCP echo and two passes of the cipher, a round."""
        tcp = self.of("cpu_s_per_gb", "tcp", f"stream tcp {count}")
        passes = [each.get("cipher_s_per_gb_one_pass", {}).get(cipher) for each in self.rounds]
        return [a + 2 * b if a is not None and b is not None else None for a, b in zip(tcp, passes)]

    def memory(self, server):
        return [each.get("hold", {}).get(server, {}).get("kib_per_session") for each in self.rounds]

    def about(self):
        """What its figures belong to: versions, and what client and server agreed on."""
        first = self.rounds[0]
        agreed = next((run["negotiated"] for run in first["records"] if run.get("negotiated")), {})
        words = [first["machine"][name] for name in ("sshechod", "libssh", "openssl", "openssh")]
        algorithms = f"key exchange {agreed.get('kex')}, host key {agreed.get('host_key')}"
        return f"{self.title}: {'; '.join(filter(None, words))}; {algorithms}."


def quotients(above, below):
    return [a / b for a, b in zip(above, below) if a is not None and b]


def read(paths):
    suites = {}
    for path in paths:
        found = json.loads(Path(path).read_text())
        system = found["machine"]["system"]
        suites.setdefault(system, Suite(system)).rounds.append(found)
    return list(suites.values())


def table(report, suites, heading, rows):
    """rows: title, digits, and a function from a suite to its values, one a round."""
    head = ["", *(suite.title for suite in suites)]
    head += [f"{suite.title} ÷ {suites[0].title}" for suite in suites[1:]]
    cells = []
    for title, digits, values in rows:
        found = [values(suite) for suite in suites]
        row = [title, *(spread(each, digits) for each in found)]
        cells.append(row + [spread(quotients(each, found[0])) for each in found[1:]])
    report.table(heading, head, cells)


def write(report, suites):
    for count, connections in ((1, "1 connection"), (8, "8 connections")):
        rows = []
        for cipher, title in machine.CIPHER_TITLES.items():
            part = f"stream {cipher} {count}"
            rows += [
                (title, 2, lambda s, part=part: s.of("cpu_s_per_gb", "sshechod", part)),
                ("… floor: TCP echo + two passes", 2, lambda s, c=cipher, n=count: s.floors(c, n)),
                (
                    "… sshechod ÷ floor",
                    2,
                    lambda s, p=part, c=cipher, n=count: quotients(s.of("cpu_s_per_gb", "sshechod", p), s.floors(c, n)),
                ),
                ("… OpenSSH sshd + cat", 2, lambda s, part=part: s.of("cpu_s_per_gb", "sshd", part)),
            ]
        table(report, suites, f"Bulk, {connections}, 32 KiB messages: CPU s/GB", rows)
    rows = []
    for count, title in ECHOES.items():
        rows.append((f"sshechod, {title}", 2, lambda s, n=count: s.of("us_per_echo", "sshechod", f"ping {n}")))
        rows.append((f"TCP echo, {title}", 2, lambda s, n=count: s.of("us_per_echo", "tcp", f"ping {n}")))
    table(report, suites, "64-byte echoes as fast as they go: CPU µs/echo", rows)
    rows = [
        ("sshechod, login none", 2, lambda s: s.of("ms_per_handshake", "sshechod", "connect none")),
        ("sshechod, login by key", 2, lambda s: s.of("ms_per_handshake", "sshechod", "connect by key")),
        ("OpenSSH sshd + cat, login by key", 1, lambda s: s.of("ms_per_handshake", "sshd", "connect by key")),
    ]
    table(report, suites, "Whole sessions: CPU ms", rows)
    rows = [
        (title, 1, lambda s, n=name: s.memory(n))
        for name, title in (("sshechod", "sshechod"), ("sshd", "OpenSSH sshd + cat"))
    ]
    table(report, suites, "Memory of an idle session: KiB (PSS)", rows)


def targets(suites):
    part = f"stream {GCM} 1"
    for suite in suites:
        old = any(" 0.10" in (each["machine"]["libssh"] or "") for each in suite.rounds)
        over = quotients(suite.of("cpu_s_per_gb", "sshechod", part), suite.floors(GCM, 1))
        yield Verdict(f"{suite.title}: AES-128-GCM, CPU per GB ÷ the floor", median(over), 1.35 if old else 2.0)
        yield Verdict(
            f"{suite.title}: CPU per echo, 200 sessions",
            median(suite.of("us_per_echo", "sshechod", "ping 200")),
            8.5,
            "µs",
        )
        yield Verdict(
            f"{suite.title}: CPU per whole session",
            median(suite.of("ms_per_handshake", "sshechod", "connect none")),
            0.36,
            "ms",
        )
        yield Verdict(
            f"{suite.title}: memory of an idle session", median(suite.memory("sshechod")), 16.0, "KiB", digits=1
        )


def main(page, paths):
    suites = read(paths)
    report = Report("The same programs in several Debians")
    report.text("Machine: " + machine.one_line({**suites[0].rounds[0]["machine"], "system": "the Debians below"}) + ".")
    for suite in suites:
        report.text(suite.about())
    write(report, suites)
    report.verdicts(list(targets(suites)))
    runs = [run for suite in suites for each in suite.rounds for run in each["records"]]
    bound = sum(bool(run.get("client_bound")) for run in runs)
    rounds = len(suites[0].rounds)
    busy = ", ".join(number(each["machine"]["load_average"], 1) for each in suites[0].rounds)
    report.text(
        f"Made by `scripts/matrix --figures {page}`: {rounds} round{'s' if rounds != 1 else ''}, the Debians taking turns, "
        f"in each round the servers too; median (least–most). {bound} of {len(runs)} runs were client-bound: costs count, "
        f"rates are not told. Load average before each round: {busy}."
    )
    if page != "-":
        print(report.as_text())
    report.write_markdown(page, NAME)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
