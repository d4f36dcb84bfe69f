"""A session beside a campaign: it echoes every few milliseconds from a process of its own, and every echo is compared."""

import contextlib
import multiprocessing
import time

import rawssh

PING_BYTES = 64
PAUSE_SECONDS = 0.004


def ping(address, pipe):
    """Echoes a message every few milliseconds; answers "phase" with the times since the last one, "stop" likewise."""
    try:
        client = rawssh.Client(address).login()
        channel = client.shell()
        times, number = [], 0
        pipe.send("up")
        while True:
            message = rawssh.pattern(PING_BYTES, number)
            number += 1
            start = time.monotonic()
            got = client.echo(channel, message, 30)
            times.append(time.monotonic() - start)
            if got != message:
                raise AssertionError(f"echo {number} of the control session came back wrong")
            if pipe.poll(PAUSE_SECONDS):
                order = pipe.recv()
                pipe.send(times)
                times = []
                if order == "stop":
                    channel.finish()
                    client.close()
                    return
    except BaseException as error:
        with contextlib.suppress(OSError):
            pipe.send(f"control session: {type(error).__name__}: {error}")


class Control:
    def __init__(self, address):
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=ping, args=(address, theirs), daemon=True)
        self.process.start()
        theirs.close()
        assert self.receive() == "up"

    def receive(self, timeout=40):
        assert self.pipe.poll(timeout), "the control session hangs"
        answer = self.pipe.recv()
        assert not isinstance(answer, str) or answer == "up", answer
        return answer

    def phase(self, order="phase"):
        """Ends a phase; returns its echo times in seconds."""
        self.pipe.send(order)
        return self.receive()

    def kill(self):
        self.process.kill()
        self.process.join()
        self.pipe.close()
