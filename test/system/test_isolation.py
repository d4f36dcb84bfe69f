"""What a worker, and the master, have given up by the time they serve."""

import errno
import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

import harness
import rawssh
from harness import wait_until

ROOT = os.geteuid() == 0
CAP_SYS_ADMIN, CAP_NET_RAW, CAP_SYS_PTRACE, CAP_CHOWN = 21, 13, 19, 0


def status(pid, key):
    return re.search(rf"^{key}:[ \t]*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.M)[1]


def limit(pid, name):
    return re.search(rf"^{name}\s+(\S+)\s+(\S+)", Path(f"/proc/{pid}/limits").read_text(), re.M).groups()


def has_seccomp():
    return not harness.is_sanitized() and b"libseccomp.so" in harness.SSHECHOD.read_bytes()


def test_worker(server):
    worker = server.worker
    assert status(worker, "NoNewPrivs") == "1"
    assert limit(worker, "Max core file size") == ("0", "0")
    if has_seccomp():
        assert status(worker, "Seccomp") == "2"
    if ROOT:
        assert "0" not in status(worker, "Uid").split() + status(worker, "Gid").split()
        assert status(worker, "Groups").strip() == ""
        assert int(status(worker, "CapEff"), 16) == int(status(worker, "CapPrm"), 16) == 0


def test_address_space_of_a_worker(serve):
    if harness.is_sanitized():
        pytest.skip("ASan reserves terabytes of address space")
    server = serve(options={"profile": "exposed"})
    assert limit(server.worker, "Max address space")[0] == str(4 << 30)


def test_master(server):
    assert limit(server.pid, "Max core file size") == ("0", "0")
    if ROOT:
        effective = int(status(server.pid, "CapEff"), 16)
        for capability in (CAP_SYS_ADMIN, CAP_NET_RAW, CAP_SYS_PTRACE, CAP_CHOWN):
            assert not effective >> capability & 1, f"the master keeps capability {capability}"


def test_worker_holds_no_files(server):
    """Sockets, epoll and the like, /dev/null and the log: nothing else, and nothing of the master's."""
    with rawssh.Client(server.address) as client:
        client.login().echo(client.shell(), b"x")
        links = harness.open_files(server.worker)
    files = {each for each in links if each.startswith("/")} - {"/dev/null", str(server.log_path)}
    assert not files, files


def test_nothing_to_gain_from_a_worker(serve, tmp_path):
    """A library in the worker tries what somebody would try who has taken it over."""
    if not has_seccomp():
        pytest.skip("this build confines no system calls")
    library = tmp_path / "escape.so"
    subprocess.run(
        ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(harness.ROOT / "test" / "faults" / "escape.c")],
        check=True,
    )
    server = serve(environment={"LD_PRELOAD": str(library)})
    with rawssh.Client(server.address) as client:
        assert client.login().echo(client.shell(), b"still an echo") == b"still an echo"
    tried = wait_until(
        lambda: (found := dict(re.findall(r"^ESCAPE (\S+) (\d+)$", server.log(), re.M))) and len(found) == 12 and found,
        5,
        "twelve attempts",
    )
    assert set(tried.values()) <= {str(errno.EPERM), str(errno.EACCES)}, tried
    assert not Path("/tmp/sshecho-escape").exists()


NOBODY = 65534


def as_nobody():
    if ROOT:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def may_read(pid, name):
    """Whether another process of the same user may: 0 or the errno that it gets."""
    probe = f"import sys\ntry:\n open('/proc/{pid}/{name}', 'rb').read(1)\nexcept OSError as e:\n sys.exit(e.errno)"
    result = subprocess.run(["/usr/bin/python3", "-c", probe], preexec_fn=as_nobody, timeout=20, cwd="/")
    return result.returncode


@pytest.mark.parametrize("profile", ["exposed", "bench"])
def test_who_may_look_into_it(profile):
    """Started by an ordinary user: the kernel hides what has changed its user by itself."""
    if harness.is_sanitized():
        pytest.skip("the sanitizers' leak check traces its own process")
    if subprocess.run(["test", "-x", str(harness.SSHECHOD)], preexec_fn=as_nobody, cwd="/").returncode != 0:
        pytest.skip("this checkout is in a folder that an ordinary user cannot enter")
    with tempfile.TemporaryDirectory(prefix="sshechod-") as directory:
        os.chmod(directory, 0o777)
        with harness.running(harness.Server(directory, options={"profile": profile}, limit=as_nobody)) as server:
            server.wait_line("ready")
            hidden = profile == "exposed"
            for pid in (server.pid, server.worker):
                assert may_read(pid, "environ") == (errno.EACCES if hidden else 0)
                if hidden:  # else it is for the kernel's own settings (ptrace_scope) to say
                    assert may_read(pid, "mem") == errno.EACCES
