"""Medians, tables, verdicts; for a terminal, for a Markdown page and as JSON."""

import json
import statistics
from pathlib import Path


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def spread(values, digits=2):
    """'median (least–most)', or a dash when nothing was measured."""
    values = [value for value in values if value is not None]
    if not values:
        return "–"
    middle = number(statistics.median(values), digits)
    low, high = number(min(values), digits), number(max(values), digits)
    return middle if len(values) == 1 or low == high else f"{middle} ({low}–{high})"


def number(value, digits=2):
    """digits behind the point below 100, none from there on."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.{digits}f}"


class Verdict:
    """A limit, the goal beyond it (or None), and what was measured. Never an error: the machine has its say in every figure."""

    def __init__(self, what, measured, limit, unit="", goal=None, at_least=False, digits=2):
        self.what, self.measured, self.limit, self.goal, self.unit = what, measured, limit, goal, unit
        self.at_least, self.digits = at_least, digits

    def _keeps(self, bound):
        return self.measured >= bound if self.at_least else self.measured <= bound

    @property
    def state(self):
        if self.measured is None:
            return "not measured"
        if self.goal is not None and self._keeps(self.goal):
            return "goal met"
        if self.limit is None:
            return "goal not met"
        return ("met, goal not" if self.goal is not None else "met") if self._keeps(self.limit) else "not met"

    def row(self):
        def show(value, sign=""):
            return "–" if value is None else f"{sign}{number(value, self.digits)} {self.unit}".rstrip()

        sign = "≥ " if self.at_least else "≤ "
        return [self.what, show(self.limit, sign), show(self.goal, sign), show(self.measured), self.state]

    def as_json(self):
        return {
            "target": self.what,
            "limit": self.limit,
            "goal": self.goal,
            "at_least": self.at_least,
            "unit": self.unit,
            "measured": self.measured,
            "state": self.state,
        }


class Report:
    def __init__(self, title):
        self.title = title
        self.parts = []  # (kind, heading, header, rows) or ("text", text)
        self.data = {}

    def text(self, text):
        self.parts.append(("text", text))

    def table(self, heading, header, rows):
        if rows:
            self.parts.append(("table", heading, header, [[str(cell) for cell in row] for row in rows]))

    def verdicts(self, verdicts):
        if verdicts:
            self.data["verdicts"] = [verdict.as_json() for verdict in verdicts]
            self.table(
                "Targets", ["target", "limit", "goal", "measured", "verdict"], [verdict.row() for verdict in verdicts]
            )

    # -- output

    def as_text(self):
        out = [self.title, "=" * len(self.title)]
        for kind, *rest in self.parts:
            out += ["", rest[0]] if kind == "text" else ["", *_aligned(*rest)]
        return "\n".join(out) + "\n"

    def as_markdown(self):
        out = []
        for kind, *rest in self.parts:
            if kind == "text":
                out += [rest[0], ""]
            else:
                heading, header, rows = rest
                out += [
                    f"**{heading}**",
                    "",
                    _bar(header),
                    _bar(["---"] + ["---:"] * (len(header) - 1)),
                    *map(_bar, rows),
                    "",
                ]
        return "\n".join(out)

    def write_json(self, path):
        Path(path).write_text(json.dumps(self.data, indent=1, ensure_ascii=False) + "\n")

    def write_markdown(self, path, name):
        """To stdout for "-"; into a page that holds the marks of this benchmark, between them; else as a new file."""
        text = self.as_markdown()
        if path == "-":
            print(text)
            return
        page = Path(path)
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        old = page.read_text() if page.exists() else ""
        if begin in old and end in old:
            text = old[: old.index(begin) + len(begin)] + "\n" + text + old[old.index(end) :]
        page.write_text(text)


def _bar(cells):
    return "| " + " | ".join(cells) + " |"


def _aligned(heading, header, rows):
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(row):
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        return "  " + "  ".join(cells).rstrip()

    return [heading, line(header), "  " + "  ".join("-" * width for width in widths), *map(line, rows)]
