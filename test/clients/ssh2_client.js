const { Client } = require('ssh2');
const fs = require('fs');

const [host, port, login, cipher, key, rekey] = process.argv.slice(2);
const { COMMAND = 'cat', CHANNELS = 1, PING = 0 } = process.env;
const data = PING ? Buffer.alloc(64, 'x') : fs.readFileSync(0);
const connection = new Client();
const output = [];
let status = 1, seen = 0, open = +CHANNELS, began;

function echo(number) {
  connection.exec(COMMAND, (error, stream) => {
    if (error) throw error;
    let trips = 0, back = 0;
    output[number] = [];
    stream.on('data', (piece) => {
      seen += piece.length;
      if (PING) {
        back += piece.length;
        if (back < 64 * (trips + 1)) return;
        if (++trips < +PING) return stream.write(data);
        console.log(Math.round(Number(process.hrtime.bigint() - began) / 1000));
        status = 0;
        return connection.end();
      }
      if (+CHANNELS > 1) output[number].push(piece); else fs.writeSync(1, piece);
      if (+rekey && seen >= +rekey) { seen = 0; connection._protocol.rekey(); }
    });
    stream.on('exit', (code) => { if (!PING) status = code; });
    stream.on('close', () => {
      if (--open > 0) return;
      for (const piece of output.flat()) fs.writeSync(1, piece);
      connection.end();
    });
    began = process.hrtime.bigint();
    if (PING) stream.write(data); else stream.end(data);
  });
}
connection.on('ready', () => { for (let number = 0; number < +CHANNELS; number++) echo(number); });
connection.on('keyboard-interactive', (name, text, language, prompts, finish) => finish(prompts.map(() => 'secret')));
connection.on('close', () => process.exit(status));
connection.on('error', (error) => { console.error(error); process.exit(/nsupported algorithm/.test(error) ? 77 : 1); });
const options = { host, port: +port, username: 'tester', authHandler: [login], password: 'secret', tryKeyboard: true,
                  privateKey: fs.readFileSync(key) };
if (cipher) options.algorithms = { cipher: [cipher] };
try { connection.connect(options); } catch (error) { console.error(error); process.exit(77); }
