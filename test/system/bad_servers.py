"""Servers for sshload that are wrong on purpose: silent, meddling with bytes, dying in a phase, echoing badly.

A bad server is a function that gets one accepted socket (run in a thread of its own), or a proxy in front of a good one.
"""

import contextlib
import select
import socket
import threading
import time


# -- bad servers


def relay(client, address, passed):
    """A connection and one to the address, until either ends; passed(from_client, data) says what of the data goes on."""
    with socket.create_connection(address) as server:
        other = {client: server, server: client}
        while True:
            for side in select.select([client, server], [], [])[0]:
                data = side.recv(65536)
                if not data:
                    return
                other[side].sendall(passed(side is client, data))


def says_nothing(connection):
    """For as long as the client is there."""
    while connection.recv(10_000):
        pass


@contextlib.contextmanager
def listener(serve_one):
    """Accepts on loopback and gives each socket to serve_one(socket) in a thread; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        over = threading.Event()
        threads = []

        def guarded(connection):
            with connection, contextlib.suppress(OSError, EOFError):
                connection.settimeout(30)
                serve_one(connection)

        def accept():
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, _ = server.accept()
                    thread = threading.Thread(target=guarded, args=(connection,), daemon=True)
                    thread.start()
                    threads.append((thread, connection))

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield server.getsockname()
        finally:
            over.set()
            acceptor.join()
            for thread, connection in threads:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                thread.join(5)


@contextlib.contextmanager
def meddler(address, change=None, stop_after=None):
    """A TCP proxy to address. change(offset, data) returns what the client gets for that piece of the server's stream;
    after stop_after bytes of it both connections are closed."""

    def serve_one(client):
        with socket.create_connection(address) as server:

            def upstream():
                with contextlib.suppress(OSError):
                    while data := client.recv(65536):
                        server.sendall(data)
                with contextlib.suppress(OSError):
                    server.shutdown(socket.SHUT_WR)

            thread = threading.Thread(target=upstream, daemon=True)
            thread.start()
            offset = 0
            with contextlib.suppress(OSError):
                while data := server.recv(65536):
                    if stop_after is not None:
                        data = data[: max(0, stop_after - offset)]
                    if not data:
                        break
                    client.sendall(change(offset, data) if change else data)
                    offset += len(data)
                    if offset == stop_after:
                        break
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            thread.join(5)

    with listener(serve_one) as own:
        yield own


DEATHS = ["banner", "key exchange", "login", "channel", "request", "first echo", "traffic", "channel closing"]


@contextlib.contextmanager
def mortal(phase):
    """An echo server (paramiko) whose connections die in the named phase, each of them."""
    import paramiko

    key = paramiko.ECDSAKey.generate()

    class Interface(paramiko.ServerInterface):
        def __init__(self, connection):
            self.connection = connection

        def die_in(self, *phases):
            if phase in phases:
                self.connection.shutdown(socket.SHUT_RDWR)

        def check_auth_none(self, username):
            self.die_in("login")
            return paramiko.AUTH_SUCCESSFUL

        def get_allowed_auths(self, username):
            return "none"

        def check_channel_request(self, kind, chanid):
            self.die_in("channel")
            return paramiko.OPEN_SUCCEEDED

        def check_channel_shell_request(self, channel):
            self.die_in("request")
            threading.Thread(target=self.echo, args=(channel,), daemon=True).start()
            return True

        def echo(self, channel):
            with contextlib.suppress(OSError, EOFError):
                for count in range(1 << 30):
                    data = channel.recv(65536)
                    if not data:
                        break
                    self.die_in(*["first echo"] if count == 0 else ["traffic"] if count == 10 else [])
                    channel.sendall(data)

    def serve_one(connection):
        if phase == "banner":
            return
        if phase == "key exchange":
            connection.sendall(b"SSH-2.0-mortal\r\n")
            connection.recv(4096)
            return
        transport = paramiko.Transport(connection)
        transport.daemon = True
        interface = Interface(connection)
        if phase == "channel closing":
            handlers = {paramiko.common.MSG_CHANNEL_CLOSE: lambda channel, message: interface.die_in(phase)}
            transport._channel_handler_table = {**transport._channel_handler_table, **handlers}
        transport.add_server_key(key)
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            transport.start_server(server=interface)
            while transport.is_active():
                time.sleep(0.02)
        transport.close()

    with listener(serve_one) as address:
        yield address


@contextlib.contextmanager
def evil_echo(answer, refuse_channel=False, refuse_request=False, silent_close=False, version=None):
    """An SSH server (paramiko) that is sound up to the channel; then answer(channel, count, data) replies to the
    count-th piece of input, or raises EOFError to hang up."""
    import paramiko

    key = paramiko.ECDSAKey.generate()

    class Interface(paramiko.ServerInterface):
        def check_auth_none(self, username):
            return paramiko.AUTH_SUCCESSFUL

        def get_allowed_auths(self, username):
            return "none"

        def check_channel_request(self, kind, chanid):
            return paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED if refuse_channel else paramiko.OPEN_SUCCEEDED

        def check_channel_shell_request(self, channel):
            if not refuse_request:
                threading.Thread(target=echo, args=(channel,), daemon=True).start()
            return not refuse_request

    def echo(channel):
        count = 0
        channel.settimeout(30)
        try:
            while data := channel.recv(65536):
                answer(channel, count, data)
                count += 1
        except (EOFError, OSError):
            channel.get_transport().close()

    def serve_one(connection):
        with contextlib.suppress(paramiko.SSHException, EOFError):
            transport = paramiko.Transport(connection)
            transport.daemon = True
            transport.local_version = version or transport.local_version
            if silent_close:
                transport._channel_handler_table = {
                    **transport._channel_handler_table,
                    paramiko.common.MSG_CHANNEL_CLOSE: lambda channel, message: None,
                }
            transport.add_server_key(key)
            try:
                transport.start_server(server=Interface())
                while transport.is_active():
                    time.sleep(0.02)
            finally:
                transport.close()

    with listener(serve_one) as address:
        yield address
