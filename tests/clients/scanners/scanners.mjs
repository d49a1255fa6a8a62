// Security scanners that others wrote, against the protected server; each first against a server that is broken on purpose,
// so that silence means something.
//
// Arguments: `authlab` or `idprobe`, and where they are installed. mcp-authlab asks what MCP's authorization rules ask of a
// server, with a good token and with a good one that is meant for somebody else. mcp-idprobe looks for answers that cross
// between clients which use the same JSON-RPC ids; it cannot send a token, so it speaks through the proxy, and it follows its own
// words, so it needs a server with a tool `echo`.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { auth } from '@modelcontextprotocol/client';

import { startProxy } from '../conformance/proxy.mjs';
import { check, finish } from '../lib/report.mjs';
import { Provider } from '../typescript/provider.mjs';

const { AUTHORITY, TENANT_ID, API_CLIENT_ID, API_CLIENT_SECRET, MCP_URL, PUBLIC_CLIENT_ID, SPARE_PORT } = process.env;
const [scanner, venv] = process.argv.slice(2);
const bin = (name) => join(venv, 'bin', name);

/** Calls of each of mcp-idprobe's two sessions. */
const ROUNDS = 20;

/** What is not as the scanner wants it, by design, each with the reason. */
const baseline = JSON.parse(readFileSync(join(import.meta.dirname, 'baseline.json'), 'utf8'));

const token = await signInAsAlice();
await { authlab, idprobe }[scanner]();
finish();

async function authlab() {
  const broken = await started(bin('mcp-authlab'), ['fixture', '--profile', 'open', '--port', SPARE_PORT], /MCP endpoint/);
  await check('mcp-authlab finds fault with a server that is open', async () => {
    const { must_failures: faults } = await scanned(`http://127.0.0.1:${SPARE_PORT}/mcp`, []);
    assert.ok(faults.includes('CHAL-01'), `found only: ${faults}`);
  });
  await stopped(broken);

  const foreign = await tokenForGraph();
  const { results } = await scanned(MCP_URL, ['--token', token, '--foreign-token', foreign]);
  const applied = results.filter(({ status }) => status !== 'skip');
  await check('mcp-authlab made its checks', () => {
    assert.ok(applied.length >= 20, `${applied.length} checks`);
    for (const critical of ['CHAL-01', 'TOK-01', 'TOK-02', 'TOK-03', 'TOK-06']) {
      assert.ok(applied.some(({ id }) => id === critical), `${critical} did not run`);
    }
  });
  for (const { id, title, status, message } of applied) {
    if (id in baseline) continue;
    await check(`mcp-authlab ${id}: ${title}`, () => assert.equal(status, 'pass', message));
  }
  const excused = applied.filter(({ id, status }) => id in baseline && status !== 'pass').map(({ id }) => id);
  await check('mcp-authlab: every entry of the baseline is needed', () => {
    assert.deepEqual(excused.sort(), Object.keys(baseline).sort());
  });
  console.log(`BASELINE mcp-authlab: ${excused.length} checks`);
}

async function scanned(url, more) {
  const { output } = await ended(bin('mcp-authlab'), ['scan', '--no-login', '--format', 'json', ...more, url]);
  return JSON.parse(output);
}

async function idprobe() {
  const broken = await started(bin('python'), [join(import.meta.dirname, 'vulnerable.py')], /http/);
  await check('mcp-idprobe finds answers that cross, where they do', async () => {
    const { verdict } = await probed(broken.line.trim());
    assert.equal(verdict, 'VULNERABLE');
  });
  await stopped(broken);

  const proxy = await startProxy({ port: Number(SPARE_PORT), target: MCP_URL, token });
  await check('mcp-idprobe: every answer reaches who asked, and nobody else', async () => {
    const { verdict, evidence, send_errors: errors } = await probed(`http://127.0.0.1:${SPARE_PORT}/mcp`);
    const { correctly_delivered: delivered, missing_responses: missing } = evidence;
    assert.deepEqual({ verdict, errors, missing, delivered: delivered.length }, {
      verdict: 'PASS',
      errors: [],
      missing: [],
      delivered: 2 * ROUNDS,
    });
  });
  proxy.close();
}

async function probed(url) {
  const args = ['--url', url, '--rounds', `${ROUNDS}`, '--settle', '0.5', '--json'];
  const { output } = await ended(bin('mcp-idprobe'), args);
  const { probe } = JSON.parse(output);
  return probe;
}

/** A real sign-in by the TypeScript SDK. The token outlives the run. */
async function signInAsAlice() {
  const provider = new Provider(PUBLIC_CLIENT_ID, 'alice@contoso.example');
  await auth(provider, { serverUrl: MCP_URL });
  const { searchParams } = provider.callback;
  const authorizationCode = searchParams.get('code');
  await auth(provider, { serverUrl: MCP_URL, authorizationCode, iss: searchParams.get('iss') ?? undefined });
  return provider.tokens().access_token;
}

/** A good token of the same issuer and user, for another audience: what the server itself gets for Graph. */
async function tokenForGraph() {
  const body = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    requested_token_use: 'on_behalf_of',
    client_id: API_CLIENT_ID,
    client_secret: API_CLIENT_SECRET,
    assertion: token,
    scope: `${AUTHORITY}/User.Read`,
  });
  const answer = await fetch(`${AUTHORITY}/${TENANT_ID}/oauth2/v2.0/token`, { method: 'POST', body });
  const { access_token: foreign } = await answer.json();
  assert.ok(foreign, 'a token for Graph');
  return foreign;
}

/** Runs a program to its end. */
function ended(program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

/** Starts a server; ready once a line matches. */
function started(program, args, ready) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, PYTHONUNBUFFERED: '1' } });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => reject(new Error(`${program} ended with ${code}`)));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => ready.test(line) && resolve({ child, line }));
    }
  });
}

function stopped({ child }) {
  const gone = new Promise((resolve) => child.on('close', resolve));
  child.kill('SIGKILL');
  return gone;
}
