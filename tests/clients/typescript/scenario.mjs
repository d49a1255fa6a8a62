// The story every generation of the TypeScript SDK has to live through.
import assert from 'node:assert/strict';

import { check } from '../lib/report.mjs';
import { Provider } from './provider.mjs';

const { MCP_URL, AUTHORITY, TENANT_ID, PUBLIC_CLIENT_ID } = process.env;
const ALICE = 'alice@contoso.example';
const BOB = 'bob@contoso.example';
const CAROL = 'carol@contoso.example';

/**
 * `sdk.open({ provider, fetch })` gives an unconnected `{ client, transport }`; `sdk.finishAuth(transport, callback)`
 * hands it the redirect; `sdk.protocolVersion({ client, transport })` says what was negotiated.
 */
export async function scenario(label, sdk, { UnauthorizedError, protocolVersion }) {
  const named = (what, body) => check(`${label}: ${what}`, body);
  const alice = new Session(sdk, ALICE, UnauthorizedError);

  await named('the first request is refused with 401 and a challenge, which starts a sign-in', async () => {
    await alice.connect();
    const [first] = alice.trace;
    assert.deepEqual([first.method, first.url, first.status], ['POST', MCP_URL, 401]);
    assert.match(first.challenge, /^Bearer /);
    assert.doesNotMatch(first.challenge, /error=/, 'no error code when nothing was sent');
    assert.equal(alice.provider.authorizationUrls.length, 1);
  });
  await named('RFC 9728 metadata leads to the issuer; nothing is registered', () => {
    const found = (url) => alice.trace.some((each) => each.url === url && each.status === 200);
    assert.ok(found(new URL('/.well-known/oauth-protected-resource/mcp', MCP_URL).href), 'protected resource metadata');
    assert.ok(found(`${AUTHORITY}/${TENANT_ID}/v2.0/.well-known/openid-configuration`), 'issuer metadata');
    assert.ok(!alice.trace.some((each) => each.url.includes('register')), 'a registration was tried');
  });
  await named('the sign-in asks with PKCE, for this resource, for qualified scopes', () => {
    const query = alice.provider.authorizationUrls[0].searchParams;
    assert.equal(query.get('client_id'), PUBLIC_CLIENT_ID);
    assert.equal(query.get('code_challenge_method'), 'S256');
    assert.equal(query.get('resource'), MCP_URL);
    const scopes = query.get('scope').split(' ');
    assert.ok(scopes.includes(`${MCP_URL}/access_as_user`), query.get('scope'));
    assert.ok(scopes.includes(`${MCP_URL}/MCP.Tools`), query.get('scope'));
  });
  await named(`speaks ${protocolVersion}`, () => {
    assert.equal(sdk.protocolVersion(alice), protocolVersion);
  });
  await named('alice lists the tools', async () => {
    const { tools } = await alice.client.listTools();
    assert.deepEqual(tools.map((tool) => tool.name).sort(), ['get_my_profile', 'whoami']);
  });
  await named('whoami names alice', async () => {
    const who = await alice.call('whoami');
    assert.equal(who.objectId, alice.provider.claims().oid);
    assert.deepEqual([who.tenantId, who.clientId], [TENANT_ID, PUBLIC_CLIENT_ID]);
    assert.deepEqual(who.scopes.sort(), ['MCP.Tools', 'access_as_user']);
  });
  await named('get_my_profile brings alice from Graph', async () => {
    const profile = await alice.call('get_my_profile');
    assert.equal(profile.id, alice.provider.claims().oid);
    assert.match(profile.displayName, /^Alice/);
  });
  await named('a token gone bad is refused with invalid_token and replaced', async () => {
    const before = alice.trace.length;
    const good = alice.provider.tokens();
    alice.provider.saveTokens({ ...good, access_token: good.access_token.replace(/[^.]*$/, 'bad') });
    const who = await alice.call('whoami');
    assert.equal(who.objectId, alice.provider.claims().oid);
    const refusal = alice.trace[before];
    assert.equal(refusal.status, 401);
    assert.match(refusal.challenge, /error="invalid_token"/);
    // 2.x asks for offline_access, so nobody has to sign in again; 1.x does not, and alice does.
    assert.equal(alice.provider.authorizationUrls.length, good.refresh_token === undefined ? 2 : 1);
  });
  await named('a claims challenge of the exchange gets a new token and the call through', async () => {
    const newcomer = new Session(sdk, ALICE, UnauthorizedError);
    await newcomer.connect();
    await newcomer.call('whoami');
    const entra = { error: 'invalid_grant', code: 50076, suberror: 'basic_action', claims: '{}' };
    const ordered = await fetch(`${AUTHORITY}/emulator/faults`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ endpoint: 'token', fault: { entra }, times: 1 }), // the next exchange
    });
    assert.ok(ordered.ok, `${ordered.status}`);
    const profile = await newcomer.call('get_my_profile');
    const refusal = newcomer.trace.findLast((each) => each.status === 401);
    assert.match(refusal.challenge, /error="insufficient_claims"/);
    assert.equal(profile.id, alice.provider.claims().oid);
    await newcomer.client.close();
  });

  const bob = new Session(sdk, BOB, UnauthorizedError);
  await named('whoami names bob, whose first token lacks MCP.Tools', async () => {
    await bob.connect();
    const who = await bob.call('whoami');
    assert.equal(who.objectId, bob.provider.claims().oid);
    assert.notEqual(who.objectId, alice.provider.claims().oid);
    assert.deepEqual(who.scopes, ['access_as_user']);
  });
  await named('bob is refused with 403, steps up, and gets his own profile', async () => {
    const profile = await bob.call('get_my_profile');
    const refusal = bob.trace.find((each) => each.status === 403);
    assert.match(refusal.challenge, /error="insufficient_scope"/);
    assert.match(refusal.challenge, /scope="[^"]*MCP\.Tools/);
    assert.equal(bob.provider.authorizationUrls.length, 2, 'a second sign-in');
    assert.match(bob.provider.claims().scp, /MCP\.Tools/);
    assert.equal(profile.id, bob.provider.claims().oid);
  });

  const carol = new Session(sdk, CAROL, UnauthorizedError);
  await named('carol, whom no step-up can help, ends with the refusal and not in a loop', async () => {
    await carol.connect();
    await assert.rejects(carol.call('get_my_profile'));
    assert.equal(carol.trace.findLast((each) => each.url === MCP_URL).status, 403);
    assert.ok(carol.provider.authorizationUrls.length <= 3, `${carol.provider.authorizationUrls.length} sign-ins`);
  });

  await named('closes without an error', async () => {
    await alice.client.close();
    await bob.client.close();
    await carol.client.close();
  });
}

/** One person's client, with every HTTP exchange it made. */
class Session {
  #sdk;
  #UnauthorizedError;
  trace = [];
  client;
  transport;

  constructor(sdk, user, UnauthorizedError) {
    this.#sdk = sdk;
    this.#UnauthorizedError = UnauthorizedError;
    this.provider = new Provider(PUBLIC_CLIENT_ID, user);
  }

  /** As the SDKs document it: connect, be sent to sign in, finish, connect anew. */
  async connect() {
    this.#open();
    try {
      await this.client.connect(this.transport);
    } catch (error) {
      if (!(error instanceof this.#UnauthorizedError)) throw error;
      await this.#sdk.finishAuth(this.transport, this.provider.callback);
      this.#open();
      await this.client.connect(this.transport);
    }
  }

  /** Calls a tool; where the SDK asks for another sign-in, finishes that and calls once more. */
  async call(name) {
    let result;
    try {
      result = await this.client.callTool({ name, arguments: {} });
    } catch (error) {
      if (!(error instanceof this.#UnauthorizedError)) throw error;
      await this.#sdk.finishAuth(this.transport, this.provider.callback);
      result = await this.client.callTool({ name, arguments: {} });
    }
    assert.ok(!result.isError, JSON.stringify(result.content));
    return result.structuredContent;
  }

  #open() {
    const traced = async (url, init) => {
      const response = await fetch(url, init);
      this.trace.push({
        method: init?.method ?? 'GET',
        url: String(url),
        status: response.status,
        challenge: response.headers.get('www-authenticate'),
      });
      return response;
    };
    ({ client: this.client, transport: this.transport } = this.#sdk.open({ provider: this.provider, fetch: traced }));
  }
}
