// An echo server on Node's ssh2.
const { Server, utils } = require('ssh2');
const fs = require('fs');

const [portFile, hostKey, clientKey] = process.argv.slice(2);
const known = utils.parseKey(fs.readFileSync(clientKey));

function isKnown(login) {
  return login.key.algo === known.type && known.getPublicSSH().equals(login.key.data) &&
    (!login.signature || known.verify(login.blob, login.signature, login.hashAlgo) === true);
}

function echo(accept) {
  const stream = accept();
  stream.pipe(stream, { end: false });
  stream.on('end', () => { stream.exit(0); stream.end(); });
  stream.on('error', () => {});
}

const server = new Server({ hostKeys: [fs.readFileSync(hostKey)] }, (client) => {
  client.setNoDelay(true);
  client.on('authentication', (login) => {
    if (login.method === 'none' || (login.method === 'publickey' && isKnown(login))) login.accept();
    else login.reject(['none', 'publickey']);
  });
  client.on('session', (accept) => {
    const session = accept();
    session.on('pty', (accept) => accept && accept());
    session.on('shell', echo);
    session.on('exec', echo);
  });
  client.on('error', () => {});
});
server.listen(0, '127.0.0.1', 4096, () => {
  fs.writeFileSync(`${portFile}.new`, `127.0.0.1:${server.address().port}\n`);
  fs.renameSync(`${portFile}.new`, portFile);
});
