"""What scripts/clients has found, as tables."""

import interop

TASK_KINDS = ("tasks", "login", "cipher", "host key")
SHOWN = {"yes": "yes", "-": "–", "FAILS": "FAILS"}


def whole(found):
    return [each for each in found if "broken" not in each]


def outcomes(client):
    """All of them: (kind, task, outcome)."""
    return [(kind, task, outcome) for kind in TASK_KINDS for task, outcome in client.get(kind, {}).items()]


def whose(name, task):
    return interop.WHOSE.get((name, task))


def unexplained(found):
    broken = [each["name"] for each in found if "broken" in each]
    failing = [
        (each["name"], task)
        for each in whole(found)
        for _, task, outcome in outcomes(each)
        if outcome["result"] == "FAILS" and not whose(each["name"], task)
    ]
    return broken + failing


def table_of(report, heading, found, kind):
    columns = list(dict.fromkeys(task for each in found for task in each[kind]))
    rows = [[each["name"], *(SHOWN[each[kind][task]["result"]] for task in columns)] for each in found]
    report.table(heading, ["client", *columns], rows)


def lines(title, entries):
    return "\n".join([f"{title}\n", *(f"- {entry}" for entry in entries)]) if entries else f"{title} nothing."


def skipped(missing):
    return lines("Not installed, and not tried:", [f"{name}: {why}" for name, why in missing.items()])


def write_tasks(report, found, missing, about):
    report.text(about)
    report.text(skipped(missing))
    complete = [each for each in whole(found) if each["tasks"]]
    report.table(
        "Who they are",
        ["client", "package, version", "version line", "HASSH", "key exchange, cipher and host key chosen"],
        [
            [
                each["name"],
                f"{each['package'].rpartition('@')[0] or each['package']} {each['version']}",
                f"`{each['who']['version_line']}`",
                f"`{each['who']['hassh']}`",
                ", ".join(
                    each["who"]["chosen"][key] or "not told" for key in ("kex", "cipher_client_to_server", "host_key")
                ),
            ]
            for each in complete
        ],
    )
    table_of(report, "Tasks", complete, "tasks")
    table_of(report, "Logins, one method allowed", complete, "login")
    table_of(report, "Ciphers, one allowed", complete, "cipher")
    table_of(report, "Host key algorithms, one allowed", complete, "host key")
    failures = [f"{each['name']}: broken: {each['broken']}" for each in found if "broken" in each]
    failures += [
        f"{each['name']}, {task}: {whose(each['name'], task) or 'whose it is has not been found out'} ({outcome['why']})"
        for each in complete
        for _, task, outcome in outcomes(each)
        if outcome["result"] == "FAILS"
    ]
    report.text(lines("What fails, and whose it is:", failures))
    cannot = [
        f"{each['name']}, {task}: {outcome['why']}"
        for each in complete
        for _, task, outcome in outcomes(each)
        if outcome["result"] == "-" and not outcome["why"].startswith("it does not offer")
    ]
    report.text(lines("What a client has no way to do:", cannot))
    write_remarks(report, complete)


def write_remarks(report, complete):
    names = sorted({name for each in complete for name in each["remarks"]})
    rows = [[each["name"], *("x" if name in each["remarks"] else "" for name in names)] for each in complete]
    report.table("Remarks of the server's reports", ["client", *names], rows)
    examples = {}
    for each in complete:
        for name, one in each["remarks"].items():
            examples.setdefault(name, f"{name} ({one['clause']}), of {each['name']}: {one['why']}")
    report.text(lines("One example of each remark:", [examples[name] for name in names]))


def figure(value, digits=0):
    return "–" if value is None else f"{value:,.{digits}f}"


def packets(received):
    """The size class that most bytes came in, as far as the histogram tells."""
    return figure(received["bytes"] / received["packets"])


def write_figures(report, found, missing, about):
    report.text(about)
    report.text(skipped(missing))
    rows, failed = [], [f"{each['name']}: broken: {each['broken']}" for each in found if "broken" in each]
    for each in whole(found):
        figures, trip = each["figures"], each.get("round_trip_us")
        if "why" in figures:
            failed.append(f"{each['name']}: no bulk: {figures['why']}")
            rows.append([each["name"], "–", "–", figure(trip), *["–"] * 7])
            continue
        window = figures["window"]
        rows.append(
            [
                each["name"],
                figure(figures["first_byte_ms"]),
                figure(figures["login_ms"]),
                figure(trip),
                figure(figures["mb_per_s"], 1),
                figure(figures["cpu_s_per_gb"], 2),
                figures["cipher"],
                figure(window["initial_bytes"]),
                figure(window["adjustments"]),
                figure(window["adjusted_bytes"] / window["adjustments"] if window["adjustments"] else None),
                packets(figures["received"]),
                figure(figures["sent"]["largest_packet_bytes"]),
            ]
        )
    report.table(
        "Figures",
        [
            "client",
            "start to first byte, ms",
            "accept to login, ms",
            "round trip of 64 bytes, µs",
            "bulk echo, MB/s",
            "client CPU, s/GB echoed",
            "cipher",
            "window at first, bytes",
            "adjustments",
            "bytes each",
            "its packets, mean bytes",
            "packets it takes, bytes",
        ],
        rows,
    )
    report.text(lines("What could not be measured:", failed))


WRITE = {"tasks": write_tasks, "figures": write_figures}
