"""The SSH clients that people use, run against a server on loopback."""

import base64
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading

import harness
import rawssh

USER = "tester"


def openssh(server, *arguments, options=(), address=None, user=USER, identity="none"):
    host, port = address or server.address
    command = [
        "ssh",
        "-F",
        "none",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "GlobalKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        f"IdentityFile={identity}",
        "-o",
        "IdentityAgent=none",
        "-p",
        str(port),
        "-l",
        user,
    ]
    for each in options:
        command += ["-o", each]
    return [*command, host, *arguments]


def dbclient(server, *arguments):
    host, port = server.address
    return ["dbclient", "-y", "-y", "-T", "-p", str(port), f"{USER}@{host}", *arguments]


def plink(server, *arguments):
    host, port = server.address
    return [
        "plink",
        "-ssh",
        "-batch",
        "-T",
        "-no-antispoof",
        "-P",
        str(port),
        *(word for each in fingerprints(server) for word in ("-hostkey", each)),
        "-l",
        USER,
        host,
        *arguments,
    ]


def fingerprints(server):
    """Of the keys in its files; of the one that it shows where it has made them itself."""
    files = [word.removeprefix("host-key=") for word in server.command if word.startswith("host-key=")]
    listed = [subprocess.run(["ssh-keygen", "-lf", file], capture_output=True, text=True, check=True) for file in files]
    return [each.stdout.split()[1] for each in listed] or [fingerprint(server)]


def fingerprint(server):
    client = rawssh.Client(server.address)
    digest = base64.b64encode(hashlib.sha256(client.host_key).digest()).decode().rstrip("=")
    client.close()
    return f"SHA256:{digest}"


COMMANDS = {"openssh": openssh, "dbclient": dbclient, "plink": plink}


def environment(server, **more):
    """No agent, no display, and a home of the test's own."""
    home = server.directory / "home"
    home.mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if key not in ("SSH_AUTH_SOCK", "DISPLAY", "SSH_ASKPASS")}
    return {**kept, "HOME": str(home), **more}


def run(server, command, data=b"", timeout=60, from_file=False, **more):
    """Runs a client with data on its stdin; returns the finished process, both outputs as bytes. A pipe is written to 4,096 bytes
    at a time, which a busy machine lets the client see; from a file it reads as much as it likes to."""
    assert shutil.which(command[0]), f"{command[0]} is not installed"
    if from_file:
        with tempfile.TemporaryFile() as source:
            source.write(data)
            source.seek(0)
            return subprocess.run(
                command, stdin=source, capture_output=True, timeout=timeout, env=environment(server, **more)
            )
    for _ in range(2 if command[0] == "dbclient" else 0):
        # Dropbear 2022.83's client now and then forgets to leave after its last channel has closed, with any server
        # (seen with OpenSSH's too): it gets another try, what it brings back is judged all the same.
        try:
            return subprocess.run(
                command, input=data, capture_output=True, timeout=min(timeout, 25), env=environment(server, **more)
            )
        except subprocess.TimeoutExpired:
            pass
    return subprocess.run(command, input=data, capture_output=True, timeout=timeout, env=environment(server, **more))


def run_many(server, commands_and_data, timeout=90):
    """Runs clients at the same time; returns their finished processes in order."""
    results = [None] * len(commands_and_data)

    def one(index, command, data):
        try:
            results[index] = run(server, command, data, timeout)
        except Exception as error:  # shown by the test that looks at the result
            results[index] = error

    threads = [
        threading.Thread(target=one, args=(index, command, data))
        for index, (command, data) in enumerate(commands_and_data)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def assert_echo(result, data):
    assert not isinstance(result, Exception), result
    assert result.returncode == 0, f"exit {result.returncode}: {result.stderr.decode(errors='replace')[-800:]}"
    assert len(result.stdout) == len(data), f"{len(result.stdout)} of {len(data)} bytes: {result.stderr[-400:]}"
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest(), first_difference(
        result.stdout, data
    )


def first_difference(got, expected):
    at = next(index for index, (one, other) in enumerate(zip(got, expected)) if one != other)
    return f"first wrong byte at {at}: {got[at:at + 16].hex()} instead of {expected[at:at + 16].hex()}"


def settled_sockets(worker, base, timeout=10):
    harness.wait_until(lambda: harness.sockets_held(worker) == base, timeout, f"{base} sockets in worker {worker}")
