"""Options before a key in authorized-keys: what is understood, and that what would widen is refused."""

import signal

import pytest

import harness
import rawssh
from client_keys import new_key, public_line


@pytest.mark.parametrize(
    "options",
    [
        "restrict",
        "no-pty,NO-X11-forwarding",
        "restrict,pty,port-forwarding",
        'environment="A=b c"',
        'tunnel="1",permitlisten="localhost:1"',
    ],
)
def test_key_options_that_change_nothing(tmp_path, options):
    path = tmp_path / "keys"
    path.write_text(f"{options} {public_line(new_key())}\n")
    done = harness.run_sshechod("--check", "-o", "auth-methods=publickey", "-o", f"authorized-keys={path}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "options, named",
    [
        ('from="10.0.0.0/8"', "from"),
        ('command="true"', "command"),
        ("cert-authority", "cert-authority"),
        ('no-pty,From="a, b"', "From"),
        ('expiry-time="20300101"', "expiry-time"),
        ("restrict,verify-required", "verify-required"),
        ("no-pty,unheard-of", "unheard-of"),
        ("command=true", "command"),
        ('principals="x"', "principals"),
        ("no-pty=1", "no-pty"),
    ],
)
def test_key_options_that_narrow_are_refused(tmp_path, options, named):
    path = tmp_path / "keys"
    path.write_text(f"{public_line(new_key())}\n{options} {public_line(new_key())}\n")
    done = harness.run_sshechod("--check", "-o", "auth-methods=publickey", "-o", f"authorized-keys={path}")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"{path}:2:" in line and f'"{named}"' in line and "remove the option" in line


def test_reload_refuses_key_options_that_narrow(serve, tmp_path):
    path, key = tmp_path / "keys", new_key()
    path.write_text(public_line(key) + "\n")
    server = serve(options={"auth-methods": "publickey", "authorized-keys": path})
    path.write_text(f'from="127.0.0.2" {public_line(key)}\n')
    server.signal(signal.SIGHUP)
    assert f"{path}:1:" in server.wait_line("reload_failed")["why"]
    client = rawssh.Client(server.address)
    assert client.auth_publickey("anyone", key)
    client.close()
