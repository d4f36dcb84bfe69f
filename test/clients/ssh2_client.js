const { Client } = require('ssh2');
const fs = require('fs');

const [host, port, login, cipher, key, rekey] = process.argv.slice(2);
const data = fs.readFileSync(0);
const connection = new Client();
let status = 1, seen = 0;
connection.on('ready', () => connection.exec('cat', (error, stream) => {
  if (error) throw error;
  stream.on('data', (piece) => {
    fs.writeSync(1, piece);
    seen += piece.length;
    if (+rekey && seen >= +rekey) { seen = 0; connection._protocol.rekey(); }
  });
  stream.on('exit', (code) => { status = code; });
  stream.on('close', () => connection.end());
  stream.end(data);
}));
connection.on('keyboard-interactive', (name, text, language, prompts, finish) => finish(prompts.map(() => 'secret')));
connection.on('close', () => process.exit(status));
connection.on('error', (error) => { console.error(error); process.exit(/nsupported algorithm/.test(error) ? 77 : 1); });
const options = { host, port: +port, username: 'tester', authHandler: [login], password: 'secret', tryKeyboard: true,
                  privateKey: fs.readFileSync(key) };
if (cipher) options.algorithms = { cipher: [cipher] };
try { connection.connect(options); } catch (error) { console.error(error); process.exit(77); }
