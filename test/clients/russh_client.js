const { KeyPair, SSHClient, SshTransport, getSupportedCiphers } = require('russh');
const fs = require('fs');

const [host, port, login, cipher, key, rekey] = process.argv.slice(2);
const { COMMAND = 'cat', CHANNELS = 1, PING = 0 } = process.env;

async function logIn(client) {
  if (login === 'none') return client.authenticateNone('tester');
  if (login === 'password') return client.authenticateWithPassword('tester', 'secret');
  if (login === 'publickey') {
    return client.authenticateWithKeyPair('tester', await KeyPair.parse(fs.readFileSync(key, 'utf8')), null);
  }
  let state = await client.startKeyboardInteractiveAuthentication('tester');
  while (state.state === 'infoRequest') {
    state = await client.continueKeyboardInteractiveAuthentication(state.prompts().map(() => 'secret'));
  }
  return state;
}

const PIECE = 32768;

function whole(channel, count) {  // what comes, up to so many bytes or the end
  return new Promise((done) => {
    const pieces = [];
    let size = 0;
    const watching = channel.data$.subscribe((piece) => {
      pieces.push(Buffer.from(piece));
      size += piece.length;
      if (size >= count) { watching.unsubscribe(); done(pieces); }
    });
    channel.closed$.subscribe(() => done(pieces));
  });
}

async function main() {
  if (+rekey || (cipher && !getSupportedCiphers().includes(cipher))) process.exit(77);
  const transport = await SshTransport.newSocket(`${host}:${port}`);
  const client = await SSHClient.connect(transport, async () => true, cipher ? { preferred: { ciphers: [cipher] } } : {});
  const session = await logIn(client);
  if (!session.openSessionChannel) throw new Error(`login: ${JSON.stringify(session)}`);
  const channels = [], outputs = [];
  for (let number = 0; number < +CHANNELS; number++) {
    channels.push(await session.activateChannel(await session.openSessionChannel()));
    if (!PING) outputs.push(whole(channels[number], Infinity));
    await channels[number].requestExec(COMMAND);
  }
  if (PING) {
    const began = process.hrtime.bigint();
    for (let trips = 0; trips < +PING; trips++) {
      const back = whole(channels[0], 64);
      await channels[0].write(Buffer.alloc(64, 'x'));
      await back;
    }
    console.log(Math.round(Number(process.hrtime.bigint() - began) / 1000));
  } else {
    const data = fs.readFileSync(0);
    for (const channel of channels) {
      // Nothing is read from a channel while a write to it waits for the window: no piece may be larger than that.
      for (let at = 0; at < data.length; at += PIECE) await channel.write(data.subarray(at, at + PIECE));
      await channel.eof();
    }
    for (const output of outputs) for (const piece of await output) fs.writeSync(1, piece);
  }
  await session.disconnect();
  process.exit(0);  // the binding tells nobody the exit status
}
main().catch((error) => { console.error(error); process.exit(1); });
