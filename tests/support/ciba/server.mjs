// A certified OpenID provider with CIBA, on loopback over TLS: `node server.mjs CERTIFICATE KEY JWKS`, which are files.
// It is told by lines of JSON what people do on their devices, and answers each with its own record of that.
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { readFileSync } from 'node:fs';
import Provider, { errors } from 'oidc-provider';

console.info = console.warn = console.error; // standard output is for answers alone
const [, , certificate, key, jwks] = process.argv;
const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `https://127.0.0.1:${server.address().port}`;

const GRANT = 'urn:openid:params:grant-type:ciba';
const SECRET = { client_secret: 'a secret: 100 % of/it' };
const client = (id, method, proof) => ({
  client_id: id,
  token_endpoint_auth_method: method,
  grant_types: [GRANT],
  redirect_uris: [],
  response_types: [],
  backchannel_token_delivery_mode: 'poll',
  ...proof,
});

const pushes = new Map(); // what each device shows: code → request
const provider = new Provider(issuer, {
  clients: [
    client('basic', 'client_secret_basic', SECRET),
    client('post', 'client_secret_post', SECRET),
    client('jwt', 'private_key_jwt', {
      token_endpoint_auth_signing_alg: 'ES256',
      jwks: JSON.parse(readFileSync(jwks, 'utf8')),
    }),
  ],
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: id, email_verified: !id.startsWith('unverified@') }),
  }),
  features: {
    devInteractions: { enabled: false },
    ciba: {
      enabled: true,
      deliveryModes: ['poll'],
      // An address that is shared leads to somebody else's device, and one of nobody to none.
      processLoginHint: (_, hint) =>
        hint.startsWith('nobody@') ? undefined : hint.replace(/^shared@/, 'other@'),
      verifyUserCode: () => undefined,
      validateRequestContext: () => undefined,
      triggerAuthenticationDevice: (ctx, request) => {
        pushes.set(ctx.oidc.params.binding_message, request);
      },
    },
  },
  ttl: { BackchannelAuthenticationRequest: (ctx) => Number(ctx.oidc.params.requested_expiry) },
});
server.on('request', provider.callback());

const actions = {
  async approve(request) {
    const grant = new provider.Grant({ accountId: request.accountId, clientId: request.clientId });
    grant.addOIDCScope('openid email');
    await grant.save();
    await provider.backchannelResult(request, grant, { amr: ['mfa'] });
  },
  async deny(request) {
    await provider.backchannelResult(request, new errors.AccessDenied('not now'));
  },
  async expire(request) {
    request.exp = Math.floor(Date.now() / 1000) - 1;
    await request.save(60);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { action, code } = JSON.parse(line);
  const request = pushes.get(code);
  if (request) await actions[action](request);
  console.log(JSON.stringify({ issuer, account: request?.accountId ?? '' }));
}
process.exit(0);
