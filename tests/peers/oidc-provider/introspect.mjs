// Asks the server about a token (RFC 7662) and checks what it says.
//
//   node introspect.mjs READY_FILE CLIENT LABEL SCOPE < TOKEN
//
// READY_FILE contains the server's ready line, CLIENT is a name in its `clients`, SCOPE is the requested scope. The token
// is read from stdin, because every user of a machine can read command lines. Prints `ok ...` or `FAILED ...` for each
// check; the exit status is 0 if the checks could be made, whatever their results.

import { readFileSync } from 'node:fs';

const [readyFile, clientName, label, scope] = process.argv.slice(2);
const ready = JSON.parse(readFileSync(readyFile, 'utf8'));
const token = readFileSync(0, 'utf8');
const asking = ready.clients['introspection-client'];

function check(good, what, got) {
  console.log(good ? `ok ${label}: ${what}` : `FAILED ${label}: ${what}: got ${JSON.stringify(got)}`);
}

// RFC 6749 2.3.1: id and secret are form-encoded before they are put into the Basic header.
const encode = (text) => new URLSearchParams([['', text]]).toString().slice(1);
const basic = Buffer.from(`${encode(asking.client_id)}:${encode(asking.client_secret)}`).toString('base64');

const response = await fetch(ready.introspection_endpoint, {
  method: 'POST',
  headers: { authorization: `Basic ${basic}` },
  body: new URLSearchParams({ token }),
  signal: AbortSignal.timeout(10_000),
});
const answer = response.ok ? await response.json() : {};
const now = Date.now() / 1000;
const sorted = (text) => String(text).split(' ').sort().join(' ');

check(response.status === 200, 'introspection answers 200', response.status);
check(answer.active === true, 'the token is active', answer.active);
check(
  answer.client_id === ready.clients[clientName].client_id,
  'the token belongs to the client',
  answer.client_id,
);
check(sorted(answer.scope) === sorted(scope), `the token's scope is "${scope}"`, answer.scope);
check(String(answer.token_type).toLowerCase() === 'bearer', 'the token is a bearer token', answer.token_type);
check(
  // Both times are from this machine's clock. Two minutes of tolerance are for a busy test machine.
  answer.exp - answer.iat === ready.token_lifetime && Math.abs(now - answer.iat) <= 120,
  `the token was made just now and expires after ${ready.token_lifetime} s`,
  { exp: answer.exp, iat: answer.iat, now: Math.floor(now) },
);
