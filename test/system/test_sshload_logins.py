"""How sshload logs in, and which host keys it takes."""

import contextlib
import subprocess
import time

import pytest

import harness
from bad_servers import listener
from sshload_helpers import SSHD, clean, load, openssh


# -- logging in and host keys


def test_password_from_a_file_and_from_the_environment(serve, tmp_path):
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(password_server("correct horse"))
        clean(load(tmp_path, "-n", 5, "-c", 1, "--password-file", password, target=address))
        environment = {"PATH": "/usr/bin", "HOME": str(tmp_path), "LOAD_PASSWORD": "correct horse"}
        clean(load(tmp_path, "-n", 5, "-c", 1, "--password-env", "LOAD_PASSWORD", target=address, env=environment))
        password.write_text("wrong\n")
        outcome = load(tmp_path, "-n", 5, "-c", 1, "--password-file", password, target=address)
        assert outcome.code == 1 and outcome.errors["authentication"] == 1


@contextlib.contextmanager
def password_server(password, keyboard=False):
    import threading
    import paramiko

    key = paramiko.ECDSAKey.generate()

    class Interface(paramiko.ServerInterface):
        def check_auth_password(self, username, given):
            return paramiko.AUTH_SUCCESSFUL if given == password and not keyboard else paramiko.AUTH_FAILED

        def check_auth_interactive(self, username, submethods):
            return paramiko.InteractiveQuery("Login", "", ("Word?", False))

        def check_auth_interactive_response(self, responses):
            return paramiko.AUTH_SUCCESSFUL if responses == [password] else paramiko.AUTH_FAILED

        def get_allowed_auths(self, username):
            return "keyboard-interactive" if keyboard else "password"

        def check_channel_request(self, kind, chanid):
            return paramiko.OPEN_SUCCEEDED

        def check_channel_shell_request(self, channel):
            threading.Thread(target=echo, args=(channel,), daemon=True).start()
            return True

    def echo(channel):
        with contextlib.suppress(OSError):
            while data := channel.recv(65536):
                channel.sendall(data)

    def serve_one(connection):
        transport = paramiko.Transport(connection)
        transport.add_server_key(key)
        with contextlib.suppress(paramiko.SSHException, EOFError):
            transport.start_server(server=Interface())
            while transport.is_active():
                time.sleep(0.02)

    with listener(serve_one) as address:
        yield address


def test_keyboard_interactive(tmp_path):
    with password_server("correct horse", keyboard=True) as address:
        password = tmp_path / "password"
        password.write_text("correct horse\n")
        clean(load(tmp_path, "-n", 5, "-c", 2, "--password-file", password, target=address))
        password.write_text("battery staple\n")
        outcome = load(
            tmp_path, "-n", 5, "-c", 1, "--auth", "keyboard-interactive", "--password-file", password, target=address
        )
        assert outcome.code == 1 and outcome.errors["authentication"] == 1


@pytest.mark.skipif(SSHD is None, reason="no sshd here")
def test_agent(tmp_path):
    with openssh(tmp_path) as daemon:
        path = tmp_path / "agent"
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
        try:
            harness.wait_until(path.exists, 5, "agent")
            environment = {"PATH": "/usr/bin", "HOME": str(tmp_path), "SSH_AUTH_SOCK": str(path)}
            subprocess.run(["ssh-add", "-q", str(daemon.identity)], env=environment, check=True, capture_output=True)
            clean(load(tmp_path, "-n", 20, "-c", 2, "--request", "exec:cat", target=daemon, env=environment))
        finally:
            agent.terminate()
            agent.wait()


def host_key_of(server):
    host, port = server.address
    scanned = subprocess.run(
        ["ssh-keyscan", "-p", str(port), "-t", "ed25519", host], capture_output=True, text=True, check=True
    ).stdout
    fingerprint = subprocess.run(
        ["ssh-keygen", "-l", "-f", "-"], input=scanned, capture_output=True, text=True, check=True
    ).stdout.split()[1]
    return scanned, fingerprint


def test_host_key_by_fingerprint_and_known_hosts(server, tmp_path):
    scanned, fingerprint = host_key_of(server)
    clean(load(tmp_path, "-n", 5, "--host-key", fingerprint, target=server))
    known = tmp_path / "known_hosts"
    known.write_text(scanned)
    clean(load(tmp_path, "-n", 5, "--known-hosts", known, target=server))
