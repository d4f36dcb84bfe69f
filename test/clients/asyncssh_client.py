import asyncio
import os
import sys
import time
import warnings

warnings.simplefilter("ignore")
import asyncssh  # noqa: E402

host, port, login, cipher, key, rekey = sys.argv[1:]


class Client(asyncssh.SSHClient):
    def password_auth_requested(self):
        return "secret"

    def kbdint_auth_requested(self):
        return ""

    def kbdint_challenge_received(self, name, instructions, language, prompts):
        return ["secret"] * len(prompts)


async def main():
    options = {
        "known_hosts": None,
        "username": "tester",
        "agent_path": None,
        "config": [],
        "rekey_bytes": int(rekey) or 1 << 40,
        "client_keys": [key] if login == "publickey" else None,
    }
    if login != "none":
        options["preferred_auth"] = login
    if cipher:
        options["encryption_algs"] = [cipher]
    async with asyncssh.connect(host, int(port), client_factory=Client, **options) as connection:
        command = os.environ.get("COMMAND", "cat")
        count = int(os.environ.get("CHANNELS", 1))
        processes = [await connection.create_process(command, encoding=None) for _ in range(count)]
        if "PING" in os.environ:
            return await ping(processes[0], int(os.environ["PING"]))
        data = sys.stdin.buffer.read()

        async def feed():
            for process in processes:
                for start in range(0, len(data), 100_000):
                    process.stdin.write(data[start : start + 100_000])
                    await process.stdin.drain()
                process.stdin.write_eof()

        feeding = asyncio.create_task(feed())
        for process in processes:
            sys.stdout.buffer.write(await process.stdout.read())
        await feeding
        return (await process.wait()).exit_status


async def ping(process, count):
    began = time.perf_counter()
    for _ in range(count):
        process.stdin.write(b"x" * 64)
        await process.stdout.readexactly(64)
    print(round(1e6 * (time.perf_counter() - began)))
    return 0


try:
    sys.exit(asyncio.run(main()))
except ValueError as error:
    print(error, file=sys.stderr)
    sys.exit(77)
except Exception as error:  # one line that a page can quote, not where Python and this program lie
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(1)
