"""Many users, several targets: who logs in, and what each target did."""

import json
from collections import Counter

import pytest

import harness
from bad_servers import listener
from passwords import hashed
from sshload_helpers import finish_load, load, make_key, run_tool, start_load, target_of


def logged_in(server, count):
    """How often each user did, once so many connections have ended."""
    harness.wait_until(lambda: len(server.lines("close")) >= count, 10, "the last connection to end")
    return Counter((line["user"], line["method"]) for line in server.lines("close"))


@pytest.fixture
def guarded(serve, tmp_path):
    """alice and bob have passwords, everybody else needs the key."""
    key = make_key(tmp_path / "key")
    passwords = tmp_path / "hashes"
    words = {"alice": "correct: horse", "bob": "#battery"}
    passwords.write_text("".join(f"{name}:{hashed(word)}\n" for name, word in words.items()))
    passwords.chmod(0o600)
    server = serve(
        options={
            "auth-methods": "password,publickey",
            "password-file": passwords,
            "authorized-keys": f"{key}.pub",
        }
    )
    server.users = tmp_path / "users"
    server.users.write_text(f"# who\nalice:correct: horse\n\nbob:#battery\ncarol:{key}\n")
    return server


def test_users_take_turns(guarded, tmp_path):
    outcome = load(tmp_path, "-c", 6, "-n", 12, "--users", guarded.users, target=guarded)
    assert outcome.code == 0, outcome
    assert logged_in(guarded, 6) == {("alice", "password"): 2, ("bob", "password"): 2, ("carol", "publickey"): 2}


def test_connect_mode_goes_through_all_of_them(guarded, tmp_path):
    outcome = load(tmp_path, "-m", "connect", "-c", 1, "-n", 6, "--users", guarded.users, target=guarded)
    assert outcome.code == 0, outcome
    assert logged_in(guarded, 6) == {("alice", "password"): 2, ("bob", "password"): 2, ("carol", "publickey"): 2}


def test_a_wrong_password_is_that_users_alone(guarded, tmp_path):
    guarded.users.write_text(guarded.users.read_text().replace("#battery", "staple"))
    outcome = load(tmp_path, "-c", 3, "-n", 30, "--users", guarded.users, target=guarded)
    assert outcome.code == 1 and outcome.errors["authentication"] == 1, outcome
    assert "staple" not in outcome.report + outcome.complaints + json.dumps(outcome.result)


@pytest.mark.parametrize(
    "text, says",
    [
        ("alice:x\nbob\n", "users:2: has no colon; allowed: NAME:PASSWORD, or NAME:KEYFILE"),
        (":x\n", "users:1: names no user"),
        ("# nobody\n\nalice:\n", "users:3: has neither password nor key"),
        ("n" * 64 + ":x\n", "users:1: has a name longer than 63 bytes"),
        ("a:" + "x" * 3000 + "\n", "users:1: is longer than 2046 bytes"),
        ("# nobody\n", "users: names no user"),
        ("a:/dev/null\n", "/dev/null of user a cannot be read as a private key"),
        (None, "No such file"),
    ],
)
def test_bad_files(tmp_path, text, says):
    path = tmp_path / "users"
    if text is not None:
        path.write_text(text)
    done = run_tool("--users", path, "127.0.0.1:1")
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1, done
    assert "x" * 100 not in done.stderr


def test_users_are_named_once(tmp_path):
    path = tmp_path / "users"
    path.write_text("a:b\n")
    for words in (["--user", "c", "127.0.0.1:1"], ["c@127.0.0.1:1"]):
        done = run_tool("--users", path, *words)
        assert done.returncode == 2 and "names the users" in done.stderr, done


# -- several targets


@pytest.mark.parametrize(
    "options", [["-n", 30], ["-m", "connect", "-n", 12], ["-m", "stream", "-d", "500ms"], ["-t", 2, "-n", 30]]
)
def test_each_target_has_its_own_figures(serve, tmp_path, options):
    servers = [serve(), serve()]
    outcome = load(tmp_path, "-c", 4, *options, target=servers)
    assert outcome.code == 0, outcome
    targets = outcome.result["targets"]
    assert [each["target"] for each in targets] == [target_of(each) for each in servers]
    summary = outcome.summary
    for name in ("ok", "echoes", "bytes", "connects_up"):
        assert sum(each[name] for each in targets) == summary[name], (name, targets)
        assert name == "bytes" or all(each[name] > 0 for each in targets)
    assert sum(each["latency_us"]["count"] for each in targets) == outcome.result["latency_us"]["count"]
    assert max(each["latency_us"]["max"] for each in targets) == outcome.result["latency_us"]["max"]
    assert all(target_of(each) in outcome.report.partition("By target")[2] for each in servers)
    # Written again they are the same.
    again = tmp_path / "again.json"
    assert run_tool("merge", "-q", outcome.json_path, "--json", again).returncode == 0
    assert json.loads(again.read_text())["targets"] == targets


def test_the_one_that_fails_is_seen(server, tmp_path):
    with listener(lambda connection: None) as bad:
        outcome = load(tmp_path, "-c", 4, "-n", 20, target=[server, bad])
    good, failed = outcome.result["targets"]
    assert good["errors"] == 0 and good["ok"] > 0 and good["connects_up"] == 2, outcome
    assert failed["errors"] == 2 and failed["ok"] == failed["connects_up"] == 0, outcome
    assert failed["latency_us"]["p50"] is None


def test_one_target_needs_no_table(server, tmp_path):
    outcome = load(tmp_path, "-n", 5, target=server)
    assert "targets" not in outcome.result and "By target" not in outcome.report


def test_shards_with_targets_add_up(serve, tmp_path):
    servers = [serve(), serve()]
    parts = []
    for shard in (1, 2):
        options = ["--shard", f"{shard}/2", "-c", 4, "-d", "500ms", "-q"]
        parts.append(start_load(tmp_path, *options, target=servers, json_name=f"{shard}.json"))
    results = [finish_load(part) for part in parts]
    merged = tmp_path / "merged.json"
    done = run_tool("merge", "-q", *(each.json_path for each in results), "--json", merged)
    assert done.returncode == 0, done
    for i, target in enumerate(json.loads(merged.read_text())["targets"]):
        assert target["echoes"] == sum(each.result["targets"][i]["echoes"] for each in results) > 0


@pytest.mark.parametrize("damage", [{"ok": -1}, {"target": 5}, {"latency_us": {"count": 3}}, {"latency_us": None}])
def test_damaged_targets_are_refused(serve, tmp_path, damage):
    outcome = load(tmp_path, "-c", 2, "-n", 4, target=[serve(), serve()])
    outcome.result["targets"][1].update(damage)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(outcome.result))
    done = run_tool("merge", path)
    assert done.returncode == 2 and "targets: are not what sshload writes" in done.stderr, done
