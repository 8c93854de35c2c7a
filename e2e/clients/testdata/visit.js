const {constants} = require('crypto');
const {readFileSync} = require('fs');
const tls = require('tls');

const [host, port, version, offer, retry, ca, cert, key] = process.argv.slice(2);
const options = {
  host, port, servername: 'localhost', ca: readFileSync(ca),
  minVersion: 'TLSv' + version, maxVersion: 'TLSv' + version,
};
if (offer === 'id') options.secureOptions = constants.SSL_OP_NO_TICKET;
if (retry === 'true') options.ecdhCurve = 'P-521:P-256';
if (cert !== '-') Object.assign(options, {cert: readFileSync(cert), key: readFileSync(key)});

function visit(left, session) {
  if (left === 0) return;
  let answer = '', newest = session;
  const conn = tls.connect({...options, session}, () => conn.write('ping\n'));
  conn.on('session', (s) => { newest = s; });
  conn.on('data', (data) => { answer += data; });
  conn.on('error', (err) => { throw err; });
  conn.on('close', () => {
    if (answer !== 'ping\n') throw new Error('answer ' + answer);
    console.log('answered');
    console.log('resumed ' + conn.isSessionReused());
    visit(left - 1, newest);
  });
}
visit(3);
