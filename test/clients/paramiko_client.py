import os
import sys
import threading
import time
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import paramiko

host, port, login, cipher, key, rekey = sys.argv[1:]
ping = int(os.environ.get("PING", 0))
transport = paramiko.Transport((host, int(port)))
if cipher:
    if cipher not in transport.get_security_options().ciphers:
        sys.exit(77)
    transport.get_security_options().ciphers = [cipher]
if int(rekey):
    transport.packetizer.REKEY_BYTES = int(rekey)
transport.start_client(timeout=20)
if login == "none":
    transport.auth_none("tester")
elif login == "password":
    transport.auth_password("tester", "secret", fallback=False)
elif login == "publickey":
    transport.auth_publickey("tester", paramiko.ECDSAKey.from_private_key_file(key))
else:
    transport.auth_interactive("tester", lambda title, text, prompts: ["secret"] * len(prompts))
channels = [transport.open_session() for _ in range(int(os.environ.get("CHANNELS", 1)))]
for channel in channels:
    channel.settimeout(30)
    channel.exec_command(os.environ.get("COMMAND", "cat"))
data = sys.stdin.buffer.read()


def feed():
    for channel in channels:
        channel.sendall(data)
        channel.shutdown_write()


status = 0
if ping:
    began = time.perf_counter()
    for _ in range(ping):
        channel.sendall(b"x" * 64)
        left = 64
        while left:
            left -= len(channel.recv(left))
    print(round(1e6 * (time.perf_counter() - began)))
else:
    writer = threading.Thread(target=feed)
    writer.start()
    for channel in channels:
        while piece := channel.recv(65536):
            sys.stdout.buffer.write(piece)
    writer.join()
    status = channel.recv_exit_status()
transport.close()
sys.exit(status)
