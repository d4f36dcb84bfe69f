"""Real clients: content, half-close, exit status, many sessions, re-keys."""

import asyncio
import os
import signal
import socket
import subprocess
import threading
import time
import warnings

import pytest

import clients
import harness
from clients import USER, assert_echo, openssh, run, run_many
from rawssh import pattern

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import asyncssh
    import paramiko


# -- OpenSSH, Dropbear, PuTTY


@pytest.mark.parametrize("kind", clients.COMMANDS)
@pytest.mark.parametrize("arguments", [(), ("cat",)], ids=["shell", "exec"])
def test_content_and_exit_status(server, kind, arguments):
    data = pattern(3_000_000)
    assert_echo(run(server, clients.COMMANDS[kind](server, *arguments), data), data)


@pytest.mark.parametrize("kind", clients.COMMANDS)
@pytest.mark.parametrize("size", [0, 1])
def test_next_to_nothing(server, kind, size):
    assert_echo(run(server, clients.COMMANDS[kind](server), b"x" * size), b"x" * size)


@pytest.mark.parametrize("kind", clients.COMMANDS)
def test_several_at_once(server, kind):
    jobs = [(clients.COMMANDS[kind](server), pattern(1_000_000, seed)) for seed in range(6)]
    for result, (_, data) in zip(run_many(server, jobs), jobs):
        assert_echo(result, data)


def test_openssh_subsystem(server):
    data = pattern(500_000)
    assert_echo(run(server, openssh(server, "-s", "anything"), data), data)


def test_openssh_discard_and_chargen(server):
    result = run(server, openssh(server, "discard"), pattern(5_000_000))
    assert (result.returncode, result.stdout) == (0, b"")
    result = run(server, openssh(server, "chargen", "1000000"))
    assert result.returncode == 0 and len(result.stdout) == 1_000_000
    assert result.stdout.startswith(b" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFG")


def test_openssh_with_a_terminal(server):
    data = pattern(300_000)
    result = run(server, openssh(server, options=["RequestTTY=force", "EscapeChar=none", "SetEnv=A=B"]), data)
    assert_echo(result, data)


def test_openssh_forwardings_are_refused_and_the_session_lives(server):
    data = pattern(10_000)
    result = run(
        server, openssh(server, options=["ForwardAgent=yes", "ForwardX11=yes", "RemoteForward=0 127.0.0.1:9"]), data
    )
    assert_echo(result, data)
    result = run(server, openssh(server, options=["RemoteForward=0 127.0.0.1:9", "ExitOnForwardFailure=yes"]), data)
    assert result.returncode == 255


def test_openssh_local_forward_is_refused(server):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        openssh(server, options=[f"LocalForward=127.0.0.1:{port} 127.0.0.1:9"]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clients.environment(server),
    )
    try:

        def connected():
            try:
                return socket.create_connection(("127.0.0.1", port), 5)
            except ConnectionRefusedError:
                return None

        with harness.wait_until(connected, 10, "the forwarding port of ssh") as forwarded:
            assert forwarded.recv(10) == b""
        out, err = process.communicate(b"still here", 20)
        assert out == b"still here" and process.returncode == 0, err
        assert b"open failed" in err or b"prohibited" in err or b"unknown channel type" in err or not err
    finally:
        process.kill()
        process.wait()


def test_openssh_multiplexed_sessions(server):
    path = server.directory / "mux"
    master = subprocess.Popen(
        openssh(server, options=["ControlMaster=yes", f"ControlPath={path}", "SessionType=none"]),
        env=clients.environment(server),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        harness.wait_until(path.exists, 10, "the master's socket")
        jobs = [
            (openssh(server, options=["ControlMaster=no", f"ControlPath={path}"]), pattern(2_000_000, seed))
            for seed in range(9)
        ]
        for result, (_, data) in zip(run_many(server, jobs), jobs):
            assert_echo(result, data)
        assert len(server.lines("accept")) == 1, "the sessions did not share the connection"
    finally:
        master.terminate()
        master.communicate(timeout=10)


@pytest.mark.parametrize("limit", ["100K", "1M"])
def test_openssh_rekey_storm(server, limit):
    jobs = [(openssh(server, options=[f"RekeyLimit={limit}"]), pattern(5_000_000, seed)) for seed in range(3)]
    for result, (_, data) in zip(run_many(server, jobs), jobs):
        assert_echo(result, data)


def test_rekey_storm_from_both_sides(serve):
    server = serve(options={"rekey-bytes": "200K", "rekey-interval": "1s"})
    jobs = [
        (openssh(server, options=["RekeyLimit=300K"]), pattern(4_000_000, 1)),
        (openssh(server), pattern(10_000_000, 2)),
        (clients.dbclient(server), pattern(3_000_000, 3)),
        (clients.plink(server), pattern(3_000_000, 4)),
    ]
    for result, (_, data) in zip(run_many(server, jobs), jobs):
        assert_echo(result, data)


def test_plink_rekeys_by_the_server(serve):
    server = serve(options={"rekey-bytes": "500K"})
    data = pattern(4_000_000)
    assert_echo(run(server, clients.plink(server), data), data)


def test_openssh_multiplexed_with_rekeys(server):
    path = server.directory / "mux"
    master = subprocess.Popen(
        openssh(server, options=["ControlMaster=yes", f"ControlPath={path}", "SessionType=none", "RekeyLimit=200K"]),
        env=clients.environment(server),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        harness.wait_until(path.exists, 10, "the master's socket")
        jobs = [(openssh(server, options=[f"ControlPath={path}"]), pattern(2_000_000, seed)) for seed in range(4)]
        for result, (_, data) in zip(run_many(server, jobs), jobs):
            assert_echo(result, data)
    finally:
        master.terminate()
        master.communicate(timeout=10)


def test_client_that_reads_late(server):
    data = pattern(8_000_000)
    process = subprocess.Popen(
        openssh(server), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clients.environment(server)
    )
    writer = threading.Thread(target=lambda: (process.stdin.write(data), process.stdin.close()))
    writer.start()
    time.sleep(1)  # the pipe, both windows and all buffers fill meanwhile
    out = process.stdout.read()
    writer.join()
    assert process.wait(20) == 0
    assert out == data
    process.stdout.close()


def test_killed_client_beside_a_living_one(server):
    victim = subprocess.Popen(
        openssh(server), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=clients.environment(server)
    )
    feeder = threading.Thread(target=feed_until_broken, args=(victim.stdin,))
    feeder.start()
    harness.wait_until(lambda: server.lines("accept"), what="the victim's connection")
    survivor = (openssh(server), pattern(20_000_000))
    threading.Timer(0.3, victim.kill).start()
    assert_echo(run_many(server, [survivor])[0], survivor[1])
    victim.wait()
    feeder.join()
    harness.wait_until(lambda: len(server.lines("close")) == 2, what="both CLOSE lines")


def feed_until_broken(pipe):
    try:
        while True:
            pipe.write(os.urandom(65536))
    except OSError:
        pass
    finally:
        try:
            pipe.close()
        except OSError:
            pass


def test_stopped_client_resumes(server):
    data = pattern(30_000_000)
    process = subprocess.Popen(
        openssh(server), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clients.environment(server)
    )
    box = {}
    thread = threading.Thread(target=lambda: box.update(out=process.communicate(data, 60)[0]))
    thread.start()
    time.sleep(0.15)
    process.send_signal(signal.SIGSTOP)
    time.sleep(1)
    process.send_signal(signal.SIGCONT)
    thread.join()
    assert process.returncode == 0 and box["out"] == data


# -- paramiko


def paramiko_transport(server):
    transport = paramiko.Transport(server.address)
    transport.start_client(timeout=20)
    transport.auth_none(USER)
    return transport


def test_paramiko(server):
    transport = paramiko_transport(server)
    try:
        channel = transport.open_session()
        channel.settimeout(20)
        channel.invoke_shell()
        data = pattern(3_000_000)
        writer = threading.Thread(target=lambda: (channel.sendall(data), channel.shutdown_write()))
        writer.start()
        out = bytearray()
        while len(piece := channel.recv(65536)):
            out += piece
        writer.join()
        assert out == data
        assert channel.recv_exit_status() == 0
    finally:
        transport.close()


def test_paramiko_stderr(server):
    transport = paramiko_transport(server)
    try:
        channel = transport.open_session()
        channel.settimeout(20)
        channel.exec_command("cat")
        channel.sendall(b"to stdout")
        channel.sendall_stderr(b"to stderr")
        channel.shutdown_write()
        assert channel.makefile("rb").read() == b"to stdout"
        assert channel.makefile_stderr("rb").read() == b"to stderr"
        assert channel.recv_exit_status() == 0
    finally:
        transport.close()


def test_paramiko_rekeys(server):
    transport = paramiko_transport(server)
    try:
        channel = transport.open_session()
        channel.settimeout(20)
        channel.invoke_shell()
        for turn in range(5):
            data = pattern(100_000, turn)
            writer = threading.Thread(target=channel.sendall, args=(data,))
            writer.start()
            out = bytearray()
            while len(out) < len(data):
                out += channel.recv(65536)
            writer.join()
            assert out == data
            transport.renegotiate_keys()
    finally:
        transport.close()


# -- asyncssh


def asyncssh_run(server, body):
    async def main():
        options = {"known_hosts": None, "username": USER, "client_keys": None, "agent_path": None, "config": []}
        host, port = server.address
        async with asyncssh.connect(host, port, **options) as connection:
            return await asyncio.wait_for(body(connection), 60)

    return asyncio.run(main())


async def exchange(connection, data, **how):
    process = await connection.create_process(encoding=None, **how)

    async def feed():
        for start in range(0, len(data), 100_000):
            process.stdin.write(data[start : start + 100_000])
            await process.stdin.drain()
        process.stdin.write_eof()

    feeding = asyncio.create_task(feed())
    out = await process.stdout.read()
    await feeding
    result = await process.wait()
    return out, result.exit_status


def test_asyncssh(server):
    data = pattern(3_000_000)
    assert asyncssh_run(server, lambda connection: exchange(connection, data)) == (data, 0)


def test_asyncssh_many_sessions_on_one_connection(server):
    async def body(connection):
        return await asyncio.gather(
            *(exchange(connection, pattern(300_000, seed), command="cat") for seed in range(20))
        )

    for seed, result in enumerate(asyncssh_run(server, body)):
        assert result == (pattern(300_000, seed), 0)


def test_asyncssh_when_the_server_rekeys(serve):
    """Ours come when it has filled its window, of 1.3 to 2 MB. (Those that this client starts cannot be served: it sends
    data behind its own KEXINIT, against RFC 4253 clause 7.1, and libssh ends the connection.)"""
    server = serve(options={"rekey-bytes": "256K"})
    data = pattern(12_000_000)
    assert asyncssh_run(server, lambda connection: exchange(connection, data)) == (data, 0)
    assert int(server.wait_line("close")["rekeys"]) >= 5


def test_asyncssh_terminal_signals_and_break(server):
    async def body(connection):
        process = await connection.create_process(
            term_type="xterm", term_size=(80, 24), encoding=None, env={"LANG": "C"}
        )
        process.change_terminal_size(132, 43)
        process.send_signal("INT")
        process.send_break(100)
        process.stdin.write(b"after all that")
        out = await process.stdout.readexactly(14)
        process.stdin.write_eof()
        result = await process.wait()
        return out, result.exit_status

    assert asyncssh_run(server, body) == (b"after all that", 0)
