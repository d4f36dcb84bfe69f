import os
import sys
import time
import warnings

warnings.simplefilter("ignore")
from twisted.conch.ssh import channel, common, connection, keys, transport, userauth  # noqa: E402
from twisted.internet import defer, protocol, reactor  # noqa: E402

host, port, login, cipher, key, rekey = sys.argv[1:]
ping = int(os.environ.get("PING", 0))
channels = []
status = [1]


class Transport(transport.SSHClientTransport):
    if cipher:
        supportedCiphers = [cipher.encode()]

    def verifyHostKey(self, hostKey, fingerprint):
        return defer.succeed(1)

    def connectionSecure(self):  # asks for the service again with every new key, as the library does
        self.requestService(Login(b"tester", Connection()))

    def connectionLost(self, reason):
        transport.SSHClientTransport.connectionLost(self, reason)
        if reactor.running:
            reactor.stop()

    def receiveError(self, code, text):
        print("disconnected:", text, file=sys.stderr)


class Login(userauth.SSHUserAuthClient):
    preferredOrder = [login.encode()]

    def getPassword(self, prompt=None):
        return defer.succeed(b"secret") if login == "password" else None

    def getGenericAnswers(self, name, instruction, prompts):
        return defer.succeed(["secret"] * len(prompts))

    def getPublicKey(self):
        if login != "publickey" or self.lastAuth == b"publickey" and getattr(self, "offered", False):
            return None
        self.offered = True
        return keys.Key.fromFile(key).public()

    def getPrivateKey(self):
        return defer.succeed(keys.Key.fromFile(key))


class Connection(connection.SSHConnection):
    def serviceStarted(self):
        if not channels:  # it starts again with every new key
            channels.extend(Cat(conn=self) for _ in range(int(os.environ.get("CHANNELS", 1))))
            for each in channels:
                self.openChannel(each)


class Cat(channel.SSHChannel):
    name = b"session"
    shut = False

    def channelOpen(self, data):
        self.pieces, self.received, self.trips = [], 0, 0
        command = os.environ.get("COMMAND", "cat").encode()
        self.conn.sendRequest(self, "exec", common.NS(command), wantReply=1).addCallback(self.begin)

    def begin(self, ignored):
        self.began = time.perf_counter()
        self.write(b"x" * 64 if ping else typed)
        ping or self.finish()

    def finish(self):
        if self.buf:
            return reactor.callLater(0.01, self.finish)
        self.conn.sendEOF(self)

    def dataReceived(self, data):
        self.pieces.append(data)
        self.received += len(data)
        if ping and self.received == 64 * ping:
            self.pieces = [b"%d\n" % (1e6 * (time.perf_counter() - self.began))]
            self.finish()
        elif ping and self.received % 64 == 0:
            self.write(b"x" * 64)

    def request_exit_status(self, data):
        status[0] = int.from_bytes(data, "big")

    def closed(self):
        self.shut = True
        if all(each.shut for each in channels):
            sys.stdout.buffer.write(b"".join(b"".join(each.pieces) for each in channels))
            sys.stdout.buffer.flush()
            self.conn.transport.transport.loseConnection()


if int(rekey) or cipher and cipher.encode() not in transport.SSHClientTransport.supportedCiphers:
    sys.exit(77)
typed = sys.stdin.buffer.read()
protocol.ClientCreator(reactor, Transport).connectTCP(host, int(port))
reactor.callLater(25, reactor.stop)
reactor.run()
sys.exit(status[0])
