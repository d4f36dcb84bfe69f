import sys
import threading
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import paramiko

host, port, login, cipher, key, rekey = sys.argv[1:]
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
channel = transport.open_session()
channel.settimeout(30)
channel.exec_command("cat")
data = sys.stdin.buffer.read()
writer = threading.Thread(target=lambda: (channel.sendall(data), channel.shutdown_write()))
writer.start()
while piece := channel.recv(65536):
    sys.stdout.buffer.write(piece)
writer.join()
status = channel.recv_exit_status()
transport.close()
sys.exit(status)
