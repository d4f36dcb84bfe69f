"""Configuration: the file, -o, the command line, and an error for every mistake."""

import re
import subprocess

import pytest

import harness
from harness import run_sshechod

BAD_VALUES = [
    "listen=127.0.0.1:70000",
    "listen=127.0.0.1:port",
    "listen=999.1.1.1:22",
    "listen=[::1:22",
    "listen=",
    "backlog=0",
    "backlog=65536",
    "backlog=many",
    "backlog=-1",
    "backlog=",
    "workers=257",
    "workers=-1",
    "workers=two",
    "workers=1.5",
    "auth-methods=telepathy",
    "auth-methods=none,telepathy",
    "auth-methods=",
    "auth-steps=telepathy",
    "auth-steps=none",
    "password-file=/nonexistent/passwords",
    "authorized-keys=/nonexistent/keys",
    "password-file=/",
    "host-key=/",
    "allow-anonymous=perhaps",
    "auth-attempts=0",
    "auth-attempts=1001",
    "host-key=/nonexistent/key",
    "host-key-types=dsa",
    "host-key-types=ed25519,rot13",
    "kex=rot13",
    "kex=",
    "ciphers=rot13",
    "ciphers=aes128-ctr,rot13",
    "macs=rot13",
    "host-key-algorithms=rot13",
    "compression=rar",
    "rekey-bytes=1",
    "rekey-bytes=lots",
    "rekey-interval=10ms",
    "rekey-interval=2 fortnights",
    "rekey-interval=100000d",
    "max-connections=-5",
    "max-connections=x",
    "max-unauthenticated=10",
    "max-unauthenticated=10:200:20",
    "max-unauthenticated=20:50:10",
    "max-unauthenticated=a:b:c",
    "channels-per-connection=0",
    "channels-per-connection=100001",
    "pending-bytes=1",
    "pending-bytes=1T",
    "pending-bytes=0",
    "login-timeout=soon",
    "login-timeout=-1s",
    "login-timeout=2h",
    "login-timeout=99999999999999999999s",
    "no-progress-timeout=x",
    "idle-timeout=1 s s",
    "drain-timeout=x",
    "drain-timeout=2d",
    "log-level=loud",
    "log-format=xml",
    "profile=fast",
]


def one_line(result):
    assert result.stderr.count("\n") == 1, f"not one line: {result.stderr!r}"
    assert result.stderr.endswith("\n")
    return result.stderr


@pytest.mark.parametrize("setting", BAD_VALUES)
def test_bad_value(setting):
    """By -o and by file: exit 2, one line that names the place, the key and what is allowed."""
    key, _, value = setting.partition("=")
    result = run_sshechod("--check", "-o", setting)
    assert result.returncode == 2, f"accepted: {result.stdout[:200]}"
    assert key in one_line(result)
    assert result.stdout == ""


@pytest.mark.parametrize("setting", [each for each in BAD_VALUES if not each.startswith(("listen=", "host-key="))])
def test_bad_value_in_the_file(tmp_path, setting):
    key, _, value = setting.partition("=")
    path = tmp_path / "test.conf"
    path.write_text(f'# first\n\n{key} = "{value}"\nlog-level = "info"\n')
    result = run_sshechod("--check", "--config", path)
    assert result.returncode == 2
    line = one_line(result)
    assert key in line
    assert f"{path}:3" in line or str(path) in line or value in line


@pytest.mark.parametrize(
    "setting, allowed",
    [
        ("workers=257", "256"),
        ("backlog=0", "65535"),
        ("auth-attempts=1001", "1000"),
        ("rekey-bytes=1", "64K"),
        ("rekey-interval=10ms", "1s"),
        ("login-timeout=2h", "1h"),
        ("log-level=loud", "trace"),
        ("log-format=xml", "json"),
        ("auth-methods=telepathy", "publickey"),
        ("host-key-types=dsa", "ed25519"),
        ("allow-anonymous=perhaps", "yes"),
        ("compression=rar", "none"),
        ("profile=fast", "exposed"),
        ("pending-bytes=1", "64K"),
    ],
)
def test_errors_say_what_is_allowed(setting, allowed):
    assert allowed in one_line(run_sshechod("--check", "-o", setting))


@pytest.mark.parametrize(
    "text, line, word",
    [
        ("no-such-key = 1\n", 1, "no-such-key"),
        ("\n\nno-such-key = 1\n", 3, "no-such-key"),
        ('log-level = "info"\nworkers = = 2\n', 2, "workers"),
        ('workers = "2\n', 1, "workers"),
        ("log-level\n", 1, "log-level"),
        ("workers = 300\n", 1, "workers"),
        ("check = yes\n", 1, "check"),
        ('config = "x"\n', 1, "config"),
        ("help = yes\n", 1, "help"),
    ],
    ids=["unknown", "unknown-3", "syntax", "unclosed", "no-value", "range", "check", "config", "help"],
)
def test_bad_file(tmp_path, text, line, word):
    path = tmp_path / "test.conf"
    path.write_text(text)
    result = run_sshechod("--check", "--config", path)
    assert result.returncode == 2
    message = one_line(result)
    assert str(path) in message and word in message
    if line:
        assert f"{path}:{line}" in message


@pytest.mark.parametrize("key", ["listen", "host-key", "authorized-keys", "kex", "metrics-listen"])
def test_error_about_a_value_with_a_line_break_is_one_line(tmp_path, key):
    path = tmp_path / "sshechod.conf"
    path.write_text(f'{key} = "/nowhere/a\\x0alevel=info event=ready"\n')
    result = run_sshechod("--config", path, "--check")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and "?level=info" in result.stderr, result.stderr


@pytest.mark.parametrize("path", ["/nonexistent/sshechod.conf", "/", "/dev/null/x"])
def test_file_that_cannot_be_read(path):
    result = run_sshechod("--check", "--config", path)
    assert result.returncode == 2
    assert path in one_line(result)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        ["-Z"],
        ["stray"],
        ["-o"],
        ["-o", "nonsense"],
        ["-o", "nonsense=1"],
        ["-o", "=1"],
        ["-o", ""],
        ["--config"],
        ["--listen"],
        ["--workers"],
        ["--workers", "x"],
        ["-o", "check=yes"],
        ["-o", "help=yes"],
    ],
    ids=" ".join,
)
def test_bad_arguments(arguments):
    result = run_sshechod(*arguments)
    assert result.returncode == 2
    one_line(result)


def test_help():
    result = run_sshechod("--help")
    assert result.returncode == 0 and result.stderr == ""
    assert "usage:" in result.stdout.lower()
    for key in keys():
        assert re.search(rf"--{key}\b", result.stdout), f"--help does not name {key}"


def test_version():
    result = run_sshechod("--version")
    assert result.returncode == 0 and result.stderr == ""
    assert re.search(r"sshechod \d", result.stdout)
    assert re.search(r"libssh\D*0\.\d+\.\d+", result.stdout)
    assert re.search(r"libev\D*4\.\d+", result.stdout)


def keys():
    """Every configuration key, from the sample that the program prints."""
    sample = run_sshechod("--print-sample-config").stdout
    found = re.findall(r"^#([a-z][a-z0-9-]+) ", sample, re.M)
    assert len(found) > 20, sample
    return sorted(set(found))


def test_sample_file_is_complete_and_valid(tmp_path):
    sample = run_sshechod("--print-sample-config")
    path = tmp_path / "sample.conf"
    path.write_text(sample.stdout)
    result = run_sshechod("--check", "--config", path)
    assert result.returncode == 0, result.stderr
    for key in (
        "listen",
        "workers",
        "auth-methods",
        "host-key",
        "kex",
        "ciphers",
        "macs",
        "compression",
        "rekey-bytes",
        "max-connections",
        "login-timeout",
        "drain-timeout",
        "log-level",
        "log-format",
        "profile",
    ):
        assert key in keys()


def test_shipped_sample_is_what_the_program_prints():
    shipped = harness.ROOT / "conf" / "sshechod.conf"
    assert shipped.exists()
    text = shipped.read_text()
    for key in keys():
        assert re.search(rf"^#?\s?{key} ", text, re.M), f"conf/sshechod.conf does not name {key}"


def test_manual_names_every_key():
    page = harness.ROOT / "man" / "sshechod.conf.5"
    text = page.read_text().replace("\\-", "-")
    for key in keys():
        assert key in text, f"sshechod.conf(5) does not name {key}"


def test_check_prints_the_values_in_force(tmp_path):
    path = tmp_path / "test.conf"
    path.write_text('workers = 3\nlogin-timeout = "7s"\nciphers = "aes128-ctr"\n')
    result = run_sshechod("--check", "--config", path, "-o", "login-timeout=9s", "--auth-attempts", "5")
    assert result.returncode == 0, result.stderr
    value = dict(re.findall(r"^([a-z-]+) (.*)$", result.stdout, re.M))
    assert value["workers"] == "3"
    assert value["login-timeout"] == "9s", "the command line does not win over the file"
    assert value["auth-attempts"] == "5"
    assert value["ciphers"] == "aes128-ctr"


def test_what_check_prints_is_a_valid_file(tmp_path):
    first = run_sshechod("--check", "-o", "log-level=warn", "-o", "rekey-bytes=1G", "-o", "idle-timeout=90s")
    path = tmp_path / "printed.conf"
    path.write_text(first.stdout)
    second = run_sshechod("--check", "--config", path)
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout


def test_every_way_to_set_a_key(tmp_path):
    path = tmp_path / "test.conf"
    path.write_text('login-timeout = "11s"\n')
    for arguments in (
        ["--config", path],
        ["-o", "login-timeout=11s"],
        ["--login-timeout", "11s"],
        ["--login-timeout=11s"],
        ["-o", "login-timeout = 11s"],
    ):
        result = run_sshechod("--check", *arguments)
        assert result.returncode == 0, f"{arguments}: {result.stderr}"
        assert re.search(r"^login-timeout 11s$", result.stdout, re.M), arguments


def test_check_starts_nothing(tmp_path):
    result = run_sshechod("--check", "--listen", "127.0.0.1:0", "--port-file", tmp_path / "ports")
    assert result.returncode == 0
    assert not (tmp_path / "ports").exists()


@pytest.mark.parametrize(
    "content, line", [("alice\n", 1), ("# fine\nalice:$6$x$y\n:hash\n", 3), ("alice:\n", 1), ("alice:plain text\n", 1)]
)
def test_bad_password_file(tmp_path, content, line):
    path = tmp_path / "passwords"
    path.write_text(content)
    result = run_sshechod("--check", "-o", f"password-file={path}")
    assert result.returncode == 2
    assert f"{path}:{line}" in one_line(result)


@pytest.mark.parametrize("content", ["ssh-ed25519 AAAA\n", "garbage\n", "ssh-ed25519\n"])
def test_bad_authorized_keys(tmp_path, content):
    path = tmp_path / "keys"
    path.write_text("# one good line is not needed\n" + content)
    result = run_sshechod("--check", "-o", f"authorized-keys={path}")
    assert result.returncode == 2
    assert f"{path}:2" in one_line(result)


def test_full_disk_for_the_output_is_not_a_success():
    with open("/dev/full", "w") as full:
        result = subprocess.run([str(harness.SSHECHOD), "--help"], stdout=full, stderr=subprocess.PIPE, timeout=10)
    assert result.returncode != 0


def test_a_libssh_that_takes_forged_packets_is_named(serve, tmp_path):
    assert not serve().lines("libssh_unsafe"), "the libssh of this machine needs an update (SECURITY.md)"
    if harness.is_sanitized():
        return  # nothing can be loaded before ASan
    library = tmp_path / "blind.so"
    subprocess.run(
        [
            "cc",
            "-O1",
            "-shared",
            "-fPIC",
            "-o",
            str(library),
            str(harness.ROOT / "test" / "faults" / "blind_decrypt.c"),
        ],
        check=True,
    )
    blind = serve(options={"ciphers": "aes128-gcm@openssh.com"}, environment={"LD_PRELOAD": str(library)})
    assert "update libssh" in blind.wait_line("libssh_unsafe")["note"]
