#!/usr/bin/python3
"""An echo server on asyncssh. Its users log in by the one key; the one who is called anyone needs none."""

import asyncio
import os
import sys

import asyncssh

port_file, host_key, client_key = sys.argv[1:4]


class Echo(asyncssh.SSHServerSession):
    def connection_made(self, channel):
        self.channel = channel

    def pty_requested(self, *_):
        return True

    def shell_requested(self):
        return True

    def exec_requested(self, _):
        return True

    def data_received(self, data, _):
        self.channel.write(data)

    def pause_writing(self):
        self.channel.pause_reading()

    def resume_writing(self):
        self.channel.resume_reading()

    def eof_received(self):
        self.channel.exit(0)
        return True


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return username != "anyone"

    def session_requested(self):
        return Echo()


async def main():
    server = await asyncssh.create_server(
        Server,
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=client_key,
        encoding=None,
        line_editor=False,
        backlog=4096,
        login_timeout=0,
    )
    with open(f"{port_file}.new", "w") as file:
        file.write(f"127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    os.rename(f"{port_file}.new", port_file)
    await server.wait_closed()


asyncio.run(main())
