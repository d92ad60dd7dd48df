// An authorization server that tu-token's authors did not write: npm's `oidc-provider`, which is certified by the
// OpenID Foundation. Our own emulator shares our reading of the RFCs; this one does not, so a mistake in how a
// secret is encoded or a Basic header is built cannot cancel itself out here.
//
//   node server.mjs [--port N] [--die-with-stdin]
//
// stdout: one line of JSON once requests are answered. stderr: one line for each token request,
//   token-endpoint <status> <OAuth error or -> <how the client authenticated>
// so that a test can tell a refusal by this server from a client that failed all by itself.
// SIGTERM, SIGINT, SIGHUP and, with --die-with-stdin, the end of stdin: exit status 0.
//
// oidc-provider is pinned to 8.8.1, the last release that supports Node.js 18 and 20: from 9.0.0 on it wants 22.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import Provider from 'oidc-provider';

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'die-with-stdin': { type: 'boolean', default: false },
  },
});
const port = Number(options.port);
if (!Number.isInteger(port) || port < 0 || port > 65535) {
  console.error(`--port: not a port: ${options.port}`);
  process.exit(2);
}

// oidc-provider writes its notices with console.info, and stdout must carry the ready line alone.
console.info = console.error;

const TOKEN_LIFETIME = 1200;
const ALLOWED_SCOPES = ['asset.view', 'site.view'];
// oidc-provider answers invalid_scope only for a scope that it knows and the client may not have. A scope that it
// does not know at all is left out of the token without an error. Both are wanted: the second is how a server
// narrows a grant behind its client's back.
const REFUSED_SCOPE = 'admin.view';
const DROPPED_SCOPE = 'no.such.scope';

// Everything that breaks when a value is encoded once too often, once too rarely, or by the wrong rules: the form's
// own separators, Basic's colon, a plus and a blank, and text that looks like an escape (`%2B`) or like a broken one
// (`%zz`). Non-ASCII is missing because oidc-provider holds secrets to RFC 6749 appendix A: printable ASCII.
const AWKWARD = String.raw`+ /=&%:;?#@!"'$\|<>{}[]()*~^,_.-%2B%zz%` + '`';
const secret = () => `${AWKWARD}${randomBytes(12).toString('hex')}=`;

const client = (id, method, more = {}) => ({
  client_id: id,
  client_secret: secret(),
  token_endpoint_auth_method: method,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  scope: ALLOWED_SCOPES.join(' '),
  ...more,
});
const clients = {
  'post-client': client('post-client+1/2=3&4%205', 'client_secret_post'),
  // With a colon in the id, an id that is put into the Basic header unencoded is cut in the wrong place.
  'basic-client': client('basic-client:+1/2=3&4%205 6', 'client_secret_basic'),
  'introspection-client': client('introspection-client', 'client_secret_basic', { grant_types: [], scope: undefined }),
};

// Listening comes first, since the issuer's name contains the port. Nobody knows the port before the ready line, so
// nobody can knock before the provider is in place.
const server = createServer();
server.listen(port, '127.0.0.1');
try {
  await once(server, 'listening');
} catch (error) {
  console.error(`cannot listen on 127.0.0.1:${port}: ${error.message}`);
  process.exit(1);
}
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: Object.values(clients),
  scopes: [...ALLOWED_SCOPES, REFUSED_SCOPE],
  ttl: { ClientCredentials: TOKEN_LIFETIME },
  features: {
    clientCredentials: { enabled: true },
    introspection: {
      enabled: true,
      allowedPolicy: (ctx, caller) => caller.clientId === clients['introspection-client'].client_id,
    },
    // Without resource indicators tokens are opaque and scopes are checked against the client alone.
    resourceIndicators: { enabled: false },
    devInteractions: { enabled: false },
    rpInitiatedLogout: { enabled: false },
    userinfo: { enabled: false },
  },
  // Neither is used by client_credentials; without them oidc-provider warns that it runs on public example keys.
  cookies: { keys: [randomBytes(32).toString('hex')] },
  jwks: {
    keys: [generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })],
  },
});

provider.use(async (ctx, next) => {
  await next();
  if (ctx.oidc?.route !== 'token') return;
  // oidc-provider lets a client_secret_basic client use the body and the reverse. What was really used is only
  // visible here.
  let method = 'none';
  if (/^basic /i.test(ctx.get('authorization'))) method = 'client_secret_basic';
  else if (ctx.oidc.body?.client_secret !== undefined) method = 'client_secret_post';
  console.error(`token-endpoint ${ctx.status} ${ctx.body?.error ?? '-'} ${method}`);
});
provider.on('server_error', (ctx, error) => console.error(error));

server.on('request', provider.callback());

let stopping = false;
function stop() {
  if (stopping) return;
  stopping = true;
  server.close(() => process.exit(0));
  // A client that keeps its connection open for the next request must not keep this process alive.
  server.closeAllConnections();
}
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, stop);
if (options['die-with-stdin']) {
  // Even a parent that was killed closes its end of the pipe.
  for (const event of ['end', 'close', 'error']) process.stdin.on(event, stop);
  process.stdin.resume();
}

process.stdout.write(`${JSON.stringify({
  ready: true,
  issuer,
  token_endpoint: provider.urlFor('token'),
  introspection_endpoint: provider.urlFor('introspection'),
  token_lifetime: TOKEN_LIFETIME,
  allowed_scopes: ALLOWED_SCOPES,
  refused_scope: REFUSED_SCOPE,
  dropped_scope: DROPPED_SCOPE,
  clients: Object.fromEntries(Object.entries(clients).map(([name, {
    client_id, client_secret, token_endpoint_auth_method,
  }]) => [name, { client_id, client_secret, token_endpoint_auth_method }])),
})}\n`);
