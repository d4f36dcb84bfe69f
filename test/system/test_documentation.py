"""What is written about the programs names every option that they have, and nothing that they do not have."""

import os
import re
import shutil
import subprocess
import urllib.request

import pytest

import harness

MAN = harness.ROOT / "man"
CONF = harness.ROOT / "conf"


def help_of(program):
    result = subprocess.run([str(program), "--help"], capture_output=True, text=True, timeout=20)
    assert result.returncode == 0 and not result.stderr
    return result.stdout


def options_of(program):
    """{"--config": "-f", "--check": "-t", "--top": None, ...} as --help has them."""
    found = {
        name: letter or None for letter, name in re.findall(r"^ +(?:(-\w), )?(--[a-z][a-z-]+)", help_of(program), re.M)
    }
    assert len(found) > 20, found
    return found


def manual(*names):
    return "".join((MAN / name).read_text() for name in names).replace("\\-", "-")


def names_option(text, name, letter):
    """mdoc writes `--name` as `Fl -name`, a key of the file as `Ic name`."""
    return (
        re.search(rf"(Fl|Ic) (\S+ , )?-?{re.escape(name[2:])}\b", text)
        or re.search(rf", -{re.escape(name[2:])}\b", text)
    ) and (not letter or re.search(rf"Fl {letter[1]}\b", text))


def test_sample_is_what_the_program_prints():
    printed = harness.run_sshechod("--print-sample-config").stdout
    assert (CONF / "sshechod.conf").read_text() == printed, "run make docs"


def test_manual_is_what_the_program_says():
    result = subprocess.run(
        [str(harness.ROOT / "scripts" / "refresh-docs"), str(harness.SSHECHOD), "--check"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert result.returncode == 0, result.stderr


def test_sample_is_a_configuration_that_changes_nothing():
    plain = harness.run_sshechod("--check")
    sample = harness.run_sshechod("--check", "--config", CONF / "sshechod.conf")
    assert plain.returncode == sample.returncode == 0, sample.stderr
    assert plain.stdout == sample.stdout


def test_sample_without_its_comment_signs_sets_the_defaults(tmp_path):
    text = re.sub(r"^#(?=[a-z-]+ = )", "", (CONF / "sshechod.conf").read_text(), flags=re.M)
    # an empty text unsets a key; a file name cannot be empty
    path = tmp_path / "all.conf"
    path.write_text(re.sub(r'^[a-z-]+ = ("")$', "", text, flags=re.M))
    plain = harness.run_sshechod("--check")
    full = harness.run_sshechod("--check", "--config", path)
    assert full.returncode == 0, full.stderr
    assert plain.stdout == full.stdout


def test_manual_of_the_server_names_every_option():
    text = manual("sshechod.8", "sshechod.conf.5")
    missing = [name for name, letter in options_of(harness.SSHECHOD).items() if not names_option(text, name, letter)]
    assert not missing, f"sshechod(8) and sshechod.conf(5) do not name {missing}"


def test_manual_of_the_server_names_no_other_option():
    known = {name[2:] for name in options_of(harness.SSHECHOD)}
    named = set(re.findall(r"^\.It Ic (\S+) Ar ", manual("sshechod.conf.5"), re.M))
    assert named and named <= known


def test_manual_of_the_generator_names_every_option():
    text = manual("sshload.1")
    missing = [name for name in options_of(harness.SSHLOAD) if not re.search(rf"\b{re.escape(name[2:])}\b", text)]
    assert not missing, f"sshload(1) does not name {missing}"


@pytest.mark.parametrize("page", ["sshechod.8", "sshechod.conf.5", "sshload.1"])
def test_manual_pages_are_clean(page):
    program = shutil.which("mandoc")
    assert program, "mandoc is not installed (scripts/install-deps test)"
    result = subprocess.run(
        [program, "-T", "lint", "-W", "style", str(MAN / page)], capture_output=True, text=True, timeout=20
    )
    # which other pages exist is a matter of the machine
    complaints = [
        line
        for line in (result.stdout + result.stderr).splitlines()
        if "referenced manual not found" not in line and "mandoc.db" not in line
    ]
    assert not complaints, complaints


@pytest.mark.parametrize("program", [harness.SSHECHOD, harness.SSHLOAD], ids=["sshechod", "sshload"])
def test_bash_completes_every_option(program):
    script = CONF / "deploy" / "completions" / "sshechod.bash"
    command = f". {script}; COMP_CWORD=1; _sshecho {program} -- {program}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=20)
    assert set(result.stdout.split()) == set(options_of(program)), result.stderr


def test_bash_completes_choices_and_keys():
    def complete(word, previous):
        script = CONF / "deploy" / "completions" / "sshechod.bash"
        command = (
            f". {script}; COMP_CWORD=2; _sshecho {harness.SSHECHOD} '{word}' {previous}; "
            "printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=20).stdout.split()

    assert complete("", "--profile") == ["auto", "bench", "exposed"]
    assert complete("d", "--log-level") == ["debug"]
    assert "metrics-listen=" in complete("metrics", "-o")
    assert complete("", "--max-connections") == []


# -- make install


@pytest.fixture
def build(tmp_path):
    """A copy of what is built: another PREFIX makes another program, and others are being tested beside this one."""
    if harness.is_sanitized():
        pytest.skip("make would build another program than the one under test")
    copy = tmp_path / "build"
    shutil.copytree(harness.BUILD / "src", copy / "src")
    for name in (".flags", ".version", "sshechod", "sshload"):
        shutil.copy2(harness.BUILD / name, copy)
    return copy


def make(build, *arguments, destination):
    if "-Werror" in (build / ".flags").read_text().split():
        arguments += ("WERROR=1",)  # as it was built
    result = subprocess.run(
        ["make", "-s", "-C", str(harness.ROOT), f"BUILD={build}", f"DESTDIR={destination}", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={key: value for key, value in os.environ.items() if not key.startswith("MAKE")},
    )
    assert result.returncode == 0, result.stdout + result.stderr


def files_under(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("prefix", ["/usr", "/opt/echo"])
def test_install_and_uninstall(build, tmp_path, prefix):
    made = (harness.SSHECHOD.stat().st_mtime, (harness.BUILD / ".flags").read_text())
    root = tmp_path / "root"
    make(build, "install", f"PREFIX={prefix}", destination=root)
    files = files_under(root)
    top = prefix[1:]
    etc = "etc" if prefix == "/usr" else f"{top}/etc"
    for name in (
        f"{top}/sbin/sshechod",
        f"{top}/bin/sshload",
        f"{top}/share/man/man8/sshechod.8",
        f"{top}/share/man/man5/sshechod.conf.5",
        f"{etc}/sshecho/sshechod.conf",
        f"{top}/lib/systemd/system/sshechod.service",
        f"{top}/share/bash-completion/completions/sshechod",
    ):
        assert name in files, files
    assert not [name for name in files if not name.startswith((top, "etc/sshecho"))]
    unit = (root / f"{top}/lib/systemd/system/sshechod.service").read_text()
    assert f"ExecStart={prefix}/sbin/sshechod" in unit
    changed = root / etc / "sshecho" / "sshechod.conf"
    changed.write_text('log-level = "debug"\n')
    make(build, "install", f"PREFIX={prefix}", destination=root)
    assert changed.read_text() == 'log-level = "debug"\n', "install overwrote a configuration"
    make(build, "uninstall", f"PREFIX={prefix}", destination=root)
    assert files_under(root) == [f"{etc}/sshecho/sshechod.conf"]
    changed.write_text((CONF / "sshechod.conf").read_text())
    make(build, "uninstall", f"PREFIX={prefix}", destination=root)
    assert files_under(root) == []
    assert made == (harness.SSHECHOD.stat().st_mtime, (harness.BUILD / ".flags").read_text())


@pytest.mark.skipif(
    "libmicrohttpd: no" in harness.run_sshechod("--version").stdout, reason="built without libmicrohttpd"
)
def test_operations_name_every_figure(serve):
    text = (harness.ROOT / "docs" / "operations.md").read_text()
    server = serve(options={"metrics-listen": "127.0.0.1:0"})
    address = server.wait_line("metrics")["address"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{address}/metrics", timeout=5) as answer:
        families = re.findall(r"^# TYPE sshechod_(\w+)", answer.read().decode(), re.M)
    missing = [each for each in families if not re.search(rf"`[^`]*\b{each}\b[^`]*`", text)]
    assert families and not missing, f"docs/operations.md does not name {missing}"


def test_operations_name_every_reason():
    text = (harness.ROOT / "docs" / "operations.md").read_text()
    header = (harness.ROOT / "src" / "server" / "figures" / "counters.h").read_text()
    reasons = re.findall(r'^    X\(\w+, "([a-z-]+)"\)', header, re.M)
    assert len(reasons) > 20
    assert not [each for each in reasons if f"`{each}`" not in text]


def test_manual_names_every_word_of_misbehaviour():
    source = (harness.ROOT / "src" / "server" / "channel" / "misbehave.c").read_text()
    text = manual("sshechod.8").partition(".Sh TEST BENCH")[2].partition("\n.Sh ")[0]
    verbs = re.findall(r'"([a-z]+)"', re.search(r"verbs\[VERB_COUNT\] = \{(.*?)\}", source, re.S).group(1))
    keys = re.findall(r'\{VERB_(\w+), "([a-z]+)",', source)
    assert len(verbs) > 5 and len(keys) > 5
    for verb in verbs:
        assert f".It Ic {verb}" in text, f"sshechod(8) does not name {verb}"
    for verb, key in keys:
        line = re.search(rf"^\.It Ic {verb.lower()}\b.*$", text, re.M).group(0)
        assert f"Cm {key} " in line, f"sshechod(8) does not name {key}= of {verb.lower()}"
