"""A relay of known capacity: between an SSH client and a server it lets so many messages a second through, no more.

It cannot read what it relays, but messages of one size are packets of one size: bytes are messages.
"""

import asyncio
import collections
import contextlib
import threading


class CapacityRelay:
    """Listens on loopback while it is entered; `address` is where. What comes too fast waits its turn, in order."""

    def __init__(self, backend, messages_per_s, packet_bytes=100):
        self.backend = backend
        self.seconds_per_byte = 1 / (messages_per_s * packet_bytes)
        self.free_at = 0.0
        self.sizes = collections.Counter()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000)
        self.server = asyncio.run_coroutine_threadsafe(starting, self.loop).result(10)
        self.address = self.server.sockets[0].getsockname()
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def _stop(self):
        self.server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader, writer):
        try:
            back_reader, back_writer = await asyncio.open_connection(*self.backend)
        except OSError:
            writer.close()
            return
        with contextlib.suppress(OSError):
            await asyncio.gather(self._admit(reader, back_writer), self._pass(back_reader, writer))
        for each in (writer, back_writer):
            each.close()

    async def _admit(self, reader, writer):
        while data := await reader.read(65536):
            self.sizes[len(data)] += 1
            now = self.loop.time()
            self.free_at = max(self.free_at, now) + len(data) * self.seconds_per_byte
            if self.free_at > now:
                await asyncio.sleep(self.free_at - now)
            writer.write(data)
        writer.write_eof()

    async def _pass(self, reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
        writer.write_eof()
