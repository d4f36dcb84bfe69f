"""Several Debians side by side (benchlib/suites.py): which round goes to which column, and what stands for nothing."""

import json
import os
import subprocess

import harness

SCRIPTS = harness.ROOT / "scripts"
AGREED = {"kex": "curve25519-sha256", "host_key": "ssh-ed25519"}


def round_of(path, system, libssh, cost, floor, echo_us):
    """What bench-peers leaves: server's cost per GB, two passes and TCP's, CPU of an echo (None: that run failed)."""
    records = [
        {"part": "stream aes128-gcm@openssh.com 1", "server": "sshechod", "cpu_s_per_gb": cost, "negotiated": AGREED},
        {"part": "stream tcp 1", "server": "tcp", "cpu_s_per_gb": floor / 2},
        {"part": "ping 200", "server": "sshechod", "client_bound": True},
    ]
    if echo_us is not None:
        records[2]["us_per_echo"] = echo_us
    machine = {"cpu": "Some CPU", "cpus": 2, "memory_mib": 1, "kernel": "6", "fd_limit": 9, "load_average": 0.25}
    machine |= {"system": system, "libssh": f"libssh {libssh} compiled", "sshechod": "sshechod 9", "openssl": None}
    document = {"machine": {**machine, "openssh": "OpenSSH_9"}, "records": records}
    document["cipher_s_per_gb_one_pass"] = {"aes128-gcm@openssh.com": floor / 4}
    document["hold"] = {"sshechod": {"kib_per_session": 15.0}}
    path.write_text(json.dumps(document))
    return path


def join(page, rounds):
    return subprocess.run(
        ["/usr/bin/python3", "-m", "benchlib.suites", str(page), *map(str, rounds)],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS), "PYTHONDONTWRITEBYTECODE": "yes"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def row(text, title):
    return next(line for line in text.splitlines() if line.startswith(f"| {title} |")).strip("| ").split(" | ")[1:]


def test_rounds_of_two_debians_are_set_side_by_side(tmp_path):
    old, new = "Debian GNU/Linux 12 (bookworm)", "Debian GNU/Linux 13 (trixie)"
    made = [
        round_of(tmp_path / "1", old, "0.10.6", 1.0, 0.5, 10),
        round_of(tmp_path / "2", new, "0.11.5", 0.5, 0.25, None),
        round_of(tmp_path / "3", old, "0.10.6", 3.0, 1.0, 12),
        round_of(tmp_path / "4", new, "0.11.5", 0.75, 0.5, 6),
    ]
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench-suites: begin -->\nold\n<!-- bench-suites: end -->\nafter\n")
    done = join(page, made)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert text.startswith("before\n<!-- bench-suites: begin -->\n") and text.endswith("bench-suites: end -->\nafter\n")
    assert "\nold\n" not in text and "key exchange curve25519-sha256, host key ssh-ed25519" in text
    assert "|  | Debian 12 | Debian 13 | Debian 13 ÷ Debian 12 |" in text
    # each with the round beside it: 0.5 ÷ 1 and 0.75 ÷ 3, not the medians
    assert row(text, "AES-128-GCM") == ["2.00 (1.00–3.00)", "0.62 (0.50–0.75)", "0.38 (0.25–0.50)"]
    assert row(text, "… sshechod ÷ floor")[:2] == ["2.50 (2.00–3.00)", "1.75 (1.50–2.00)"]
    # a round that failed is no zero, and has no partner
    assert row(text, "sshechod, 200 sessions") == ["11.00 (10.00–12.00)", "6.00", "0.50"]
    assert row(text, "Debian 12: AES-128-GCM, CPU per GB ÷ the floor") == ["≤ 1.35", "–", "2.50", "not met"]
    assert row(text, "Debian 13: AES-128-GCM, CPU per GB ÷ the floor") == ["≤ 2.00", "–", "1.75", "met"]
    assert row(text, "Debian 13: memory of an idle session")[0] == "≤ 16.0 KiB"
    assert "4 of 12 runs were client-bound" in text and "2 rounds" in text
