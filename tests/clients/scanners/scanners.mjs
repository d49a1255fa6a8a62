// Security scanners that others wrote, against the protected server; each first against a server that is broken on purpose,
// so that silence means something.
//
// Arguments: `authlab`, `idprobe`, `score` or `recon`, and where they are installed. mcp-authlab asks what MCP's authorization
// rules ask of a server, with a good token and with a good one that is meant for somebody else. mcp-idprobe looks for answers
// that cross between clients which use the same JSON-RPC ids; it cannot send a token, so it speaks through the proxy, and it
// follows its own words, so it needs a server with a tool `echo`. mcpscore and mcp-recon look at everything twice: as a
// stranger and signed in.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { startProxy } from '../conformance/proxy.mjs';
import { check, finish } from '../lib/report.mjs';
import { signIn } from '../lib/sign-in.mjs';

const { AUTHORITY, TENANT_ID, API_CLIENT_ID, API_CLIENT_SECRET, MCP_URL, SPARE_PORT } = process.env;
const [scanner, venv] = process.argv.slice(2);
const bin = (name) => join(venv, 'bin', name);

/** Calls of each of mcp-idprobe's two sessions. */
const ROUNDS = 20;

/**
 * What is not as a scanner wants it, by design, each with the reason. `stranger:` and the like in front of a check: only there.
 */
const baselines = JSON.parse(readFileSync(join(import.meta.dirname, 'baseline.json'), 'utf8'));

const token = await signIn('alice@contoso.example');
await { authlab, idprobe, score, recon }[scanner]();
finish();

async function authlab() {
  const baseline = baselines['mcp-authlab'];
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
  const output = await ended(bin('mcp-authlab'), ['scan', '--no-login', '--format', 'json', ...more, url]);
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
  const output = await ended(bin('mcp-idprobe'), args);
  const { probe } = JSON.parse(output);
  return probe;
}

async function score() {
  const report = async (url, env, ...more) => {
    const output = await ended(bin('mcpscore'), [url, '--json', '--no-config', ...more], env);
    return JSON.parse(output);
  };
  const verdicts = ({ results, readiness, smoke }) => [
    ...[...results, ...readiness.results].map(({ rule_id: id, passed, message }) => ({ id, passed, message })),
    ...(smoke?.checks ?? [])
      .filter(({ verdict }) => verdict !== 'skip')
      .map(({ check_id: id, tool_name: tool, verdict, message }) => ({
        id: [id, tool].filter(Boolean).join(' of '),
        passed: verdict === 'pass',
        message,
      })),
  ];
  await compared('mcpscore', {
    broken: async (url) => verdicts(await report(url)),
    runs: {
      stranger: async () => verdicts(await report(MCP_URL)),
      alice: async () => verdicts(await report(MCP_URL, { MCPSCORE_TOKEN: token }, '--smoke')),
    },
    least: { stranger: 7, alice: 60 },
    faults: [
      'catalog_prompt_injection_phrasing',
      'security_error_data_leak',
      'security_host_header_validation',
      'security_origin_validation',
    ],
  });
}

async function recon() {
  // Bob has not ticked MCP.Tools: a tool that needs it must be out of his reach.
  const narrow = await signIn('bob@contoso.example');
  const scan = async (url, env) => {
    const output = await ended(bin('mcp-recon'), ['scan', url, '-o', 'json', '--aggressive', '--no-artifacts'], env);
    return JSON.parse(output)
      .checks.filter(({ status }) => !status.startsWith('skipped'))
      .map(({ name, status, observations, error }) => ({
        id: name,
        passed: status === 'ran' && observations.length === 0,
        message: error ?? observations.map(({ title }) => title).join('; '),
      }));
  };
  await compared('mcp-recon', {
    broken: scan,
    runs: { stranger: () => scan(MCP_URL), bob: () => scan(MCP_URL, { MCP_RECON_TOKEN: narrow }) },
    least: { stranger: 4, bob: 8 },
    faults: ['cors-policy', 'error-verbosity'],
  });
}

/**
 * Scans the broken server, then ours in each of `runs`; either gives `[{ id, passed, message }]`. `faults` are what must be found
 * at the broken one, and be looked for at ours; `least` is how many checks a run must make beside those of the baseline.
 */
async function compared(name, { broken, runs, least, faults }) {
  const server = await started(process.execPath, [join(import.meta.dirname, 'broken.mjs'), SPARE_PORT], /listening/);
  await check(`${name} finds fault with a server that is broken`, async () => {
    const found = (await broken(`http://127.0.0.1:${SPARE_PORT}/mcp`)).filter(({ passed }) => !passed).map(({ id }) => id);
    assert.deepEqual(faults.filter((id) => !found.includes(id)), [], `found only: ${found}`);
  });
  await stopped(server);

  const baseline = baselines[name];
  const [looked, excused] = [new Set(), new Set()];
  for (const [who, scan] of Object.entries(runs)) {
    const entryOf = (id) => [id, `${who}:${id}`].find((key) => key in baseline);
    let verdicts = [];
    await check(`${name}, ${who}: made its checks`, async () => {
      verdicts = await scan();
      const counted = verdicts.filter(({ id }) => entryOf(id) === undefined).length;
      assert.ok(counted >= least[who], `${counted} checks`);
    });
    for (const { id, passed, message } of verdicts) {
      looked.add(id);
      const entry = entryOf(id);
      if (entry === undefined) {
        await check(`${name}, ${who}: ${id}`, () => assert.ok(passed, message));
      } else if (!passed) {
        excused.add(entry);
      }
    }
  }
  await check(`${name}: what is wrong with the broken server was looked for here, and nothing of it is excused`, () => {
    const named = Object.keys(baseline).map((entry) => entry.replace(/^.*:/, ''));
    assert.deepEqual(faults.filter((id) => !looked.has(id) || named.includes(id)), []);
  });
  await check(`${name}: every entry of the baseline is needed`, () => {
    assert.deepEqual([...excused].sort(), Object.keys(baseline).sort());
  });
  console.log(`BASELINE ${name}: ${excused.size} checks`);
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

/** What a program prints, however it ends: scanners say by their exit code that they found something. */
function ended(program, args, env = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve(output));
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
