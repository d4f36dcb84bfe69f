import sys
import warnings

warnings.simplefilter("ignore")
from twisted.conch.ssh import channel, common, connection, keys, transport, userauth  # noqa: E402
from twisted.internet import defer, protocol, reactor  # noqa: E402

host, port, login, cipher, key, rekey = sys.argv[1:]
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
        self.openChannel(Cat(conn=self))


class Cat(channel.SSHChannel):
    name = b"session"

    def channelOpen(self, data):
        self.conn.sendRequest(self, "exec", common.NS(b"cat"), wantReply=1).addCallback(self.begin)

    def begin(self, ignored):
        self.write(sys.stdin.buffer.read())
        self.finish()

    def finish(self):
        if self.buf:
            return reactor.callLater(0.01, self.finish)
        self.conn.sendEOF(self)

    def dataReceived(self, data):
        sys.stdout.buffer.write(data)

    def request_exit_status(self, data):
        status[0] = int.from_bytes(data, "big")

    def closed(self):
        sys.stdout.buffer.flush()
        self.conn.transport.transport.loseConnection()


if int(rekey) or cipher and cipher.encode() not in transport.SSHClientTransport.supportedCiphers:
    sys.exit(77)
protocol.ClientCreator(reactor, Transport).connectTCP(host, int(port))
reactor.callLater(25, reactor.stop)
reactor.run()
sys.exit(status[0])
