"""scripts/fuzz for some seconds: every libFuzzer target, and the man in the middle against an ASan build.

A find here is a find: the message says how to run it again. scripts/fuzz itself runs ten minutes of each. It judges no
time, for scripts/check runs it with what other tests leave over.
"""

import os
import re
import shutil
import subprocess

import pytest

import harness
import session_seeds

TARGET_SECONDS = 4
MITM_SECONDS = 25
BUILD_SECONDS = 600


def make(*arguments):
    subprocess.run(
        ["make", "-s", "-j", str(os.cpu_count()), *arguments],
        cwd=harness.ROOT,
        check=True,
        timeout=BUILD_SECONDS,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def targets():
    if not shutil.which("clang"):
        pytest.skip("libFuzzer comes with clang, which is not installed")
    make(f"BUILD={harness.BUILD}", "fuzz-build")
    return [each.stem for each in sorted((harness.ROOT / "test" / "fuzz").glob("fuzz_*.c"))]


@pytest.fixture(scope="module")
def asan_build():
    if harness.is_sanitized():
        return harness.BUILD
    build = os.path.relpath(harness.BUILD, harness.ROOT) + "-asan"  # the one of make check-asan
    make(f"BUILD={build}", "OPT=-O1 -g", "SANITIZE=address,undefined", "all")
    return harness.ROOT / build


def run(command, build):
    result = subprocess.run(
        command, cwd=harness.ROOT, env={**os.environ, "BUILD": str(build)}, capture_output=True, text=True, timeout=400
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
    return result.stdout


def test_targets(targets):
    said = run(["scripts/fuzz", "--seconds", str(TARGET_SECONDS), "--seed", "1", "--without-mitm"], harness.BUILD)
    ran = dict(re.findall(r"^fuzz: (\w+): (\d+) inputs", said, re.M))
    assert sorted(ran) == targets
    assert all(int(count) > 50 for count in ran.values()), ran
    log = harness.BUILD / "fuzz" / "findings" / "fuzz_server_session.log"
    assert "scripted sessions echoed" in log.read_text(errors="replace")  # it does not fuzz a handshake alone


def test_seeds_of_sessions_are_what_their_script_writes(tmp_path):
    here = harness.ROOT / "test" / "fuzz"
    session_seeds.write(tmp_path)
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept = [here / "session.dict", *(here / "seeds" / "fuzz_server_session").iterdir()]
    assert written == {path.relative_to(here): path.read_bytes() for path in kept}


def test_man_in_the_middle(asan_build):
    said = run(["test/mitm/campaign.py", "--seconds", str(MITM_SECONDS), "--seed", "1"], asan_build)
    cases, exact, failed = map(
        int, re.search(r"(\d+) cases .* (\d+) echoed exactly, (\d+) failures seen", said).groups()
    )
    assert cases == exact + failed
    assert exact >= 5 and failed >= 10, said
