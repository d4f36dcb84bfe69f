"""sshload against servers that have no shell: a real mod_sftp. What it answered is said at once, in every mode."""

import contextlib
import grp
import os
import pwd
import shutil
from pathlib import Path

import pytest

import harness
from passwords import hashed
from sshload_helpers import Daemon, load, make_key

PROFTPD = shutil.which("proftpd", path="/usr/sbin:/usr/bin:/sbin")
MOD_SFTP = Path("/usr/lib/proftpd/mod_sftp.so")

CONFIGURATION = """
ModulePath {modules}
LoadModule mod_sftp.c
ServerType standalone
DefaultAddress 127.0.0.1
SocketBindTight on
Port {port}
UseIPv6 off
UseReverseDNS off
WtmpLog off
TransferLog none
SystemLog {directory}/system.log
PidFile {directory}/pid
ScoreboardFile {directory}/scoreboard
<IfModule mod_delay.c>
DelayEngine off
</IfModule>
RequireValidShell off
RootLogin on
User {user}
Group {group}
AuthOrder mod_auth_file.c
AuthUserFile {directory}/passwords
SFTPEngine on
SFTPLog none
SFTPHostKey {directory}/host
SFTPAuthMethods password
"""


@contextlib.contextmanager
def proftpd(directory):
    """ProFTPD's SFTP server, as whoever runs this, for one user of its own: tester, with the password secret."""
    if PROFTPD is None or not MOD_SFTP.exists():
        pytest.skip("proftpd-core or proftpd-mod-crypto is not installed")
    port, uid, gid = harness.free_port(), os.getuid(), os.getgid()
    user, group = pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name
    make_key(directory / "host")
    passwords = directory / "passwords"
    passwords.write_text(f"tester:{hashed('secret')}:{uid}:{gid}::{directory}:/bin/sh\n")
    passwords.chmod(0o600)
    configuration = directory / "proftpd.conf"
    configuration.write_text(CONFIGURATION.format(modules=MOD_SFTP.parent, **locals()))
    command = [PROFTPD, "--nodaemon", "--config", str(configuration)]
    daemon = Daemon(directory, "proftpd", command, port, None)
    try:
        daemon.wait_ready()
        yield daemon
    finally:
        daemon.stop()


@pytest.fixture(scope="module")
def mod_sftp(tmp_path_factory):
    with proftpd(tmp_path_factory.mktemp("proftpd")) as daemon:
        yield daemon


def visit(tmp_path, daemon, *arguments, password="secret"):
    secret = tmp_path / "secret"
    secret.write_text(password + "\n")
    secret.chmod(0o600)
    login = ["--insecure", "--auth", "password", "--password-file", secret]
    host, port = daemon.address
    outcome = load(tmp_path, "-c", 2, *login, *arguments, target=f"tester@{host}:{port}")
    assert outcome.code == 1 and "SSH-2.0-mod_sftp" in outcome.report, outcome
    assert outcome.result["phases"]["ramp_s"] < 5, outcome  # of the 15 s of a handshake
    return outcome


@pytest.mark.parametrize("mode", [["ping", "-n", 2], ["hold", "-d", "300ms"], ["connect", "-n", 2]], ids=lambda m: m[0])
@pytest.mark.parametrize("request_", ["shell", "exec:cat", "subsystem:echo"])
def test_a_request_that_it_does_not_grant(mod_sftp, tmp_path, mode, request_):
    outcome = visit(tmp_path, mod_sftp, "-m", *mode, "--request", request_)
    assert outcome.errors["request-refused"] == 2 and set(outcome.errors) <= {"request-refused", "not-issued"}, outcome
    first, kind = outcome.first("request-refused"), request_.partition(":")[0]
    assert f"Channel request {kind} failed (see --request)" in first and first in outcome.report, outcome


@pytest.mark.parametrize("mode", [["ping", "-n", 2], ["hold", "-d", "300ms"], ["connect", "-n", 2]], ids=lambda m: m[0])
def test_a_login_that_it_does_not_grant(mod_sftp, tmp_path, mode):
    outcome = visit(tmp_path, mod_sftp, "-m", *mode, password="wrong")
    assert outcome.errors["authentication"] == 2 and set(outcome.errors) <= {"authentication", "not-issued"}, outcome
    assert "Access denied for 'password'. Authentication that can continue: password" in outcome.report, outcome
