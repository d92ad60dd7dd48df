// An authorization server by other authors: npm's `oidc-provider`, certified by the OpenID Foundation. The emulator
// shares this library's interpretation of the RFCs; this server does not, so a mistake in encoding a secret or
// building a Basic header cannot cancel itself out here.
//
//   node server.mjs [--port N] [--die-with-stdin]
//
// stdout: one line of JSON once the server is ready. stderr: one line for each token request,
//   token-endpoint <status> <OAuth error or -> <how the client authenticated>
// so that a test can distinguish a refusal by this server from a failure of the client itself.
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

// oidc-provider writes its notices with console.info, and stdout must contain only the ready line.
console.info = console.error;

const TOKEN_LIFETIME = 1200;
const ALLOWED_SCOPES = ['asset.view', 'site.view'];
// oidc-provider answers invalid_scope only for a scope that it knows and the client may not use. It silently drops a
// scope that it does not know. Both cases are needed: the second is how a server narrows a grant without an error.
const REFUSED_SCOPE = 'admin.view';
const DROPPED_SCOPE = 'no.such.scope';

// Everything that breaks if a value is encoded twice, not at all, or by the wrong rules: the form's separators, Basic's
// colon, a plus and a space, and text that looks like a valid (`%2B`) or an invalid escape (`%zz`). No non-ASCII,
// because oidc-provider restricts secrets to printable ASCII (RFC 6749 appendix A).
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

// Listen first, because the issuer's name contains the port. The port is unknown to clients until the ready line, so no
// request can arrive before the provider is set up.
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
    // Without resource indicators, tokens are opaque and scopes are checked only against the client.
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
  // oidc-provider lets a client_secret_basic client use the body, and vice versa. Only here is the method actually used
  // visible.
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
  // Even a killed parent closes its end of the pipe.
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
