// The official conformance suite against the protected server. Argument: a revision, `2026-07-28` or `2025-11-25`.
//
// `--requirements` runs exactly what the revision requires of a server. The baseline beside this file lists the checks
// that a server with two tools and nothing else cannot pass; the suite fails on any other failure, and on an entry that
// passes after all.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { check, finish } from '../lib/report.mjs';
import { signIn } from '../lib/sign-in.mjs';
import { startProxy } from './proxy.mjs';

const { MCP_URL, SCENARIO_DIR, SPARE_PORT } = process.env;
const [revision] = process.argv.slice(2);

/** Run and reported by the suite, but not scored; they apply to a server with tools only, so here they count. */
const UNSCORED = { '2026-07-28': ['http-header-validation'], '2025-11-25': [] };

const packageJson = createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json');
const cli = join(dirname(packageJson), 'dist/index.js');
const baseline = join(import.meta.dirname, `baseline-${revision}.yml`);
const results = join(SCENARIO_DIR, 'results');

const proxy = await startProxy({ port: Number(SPARE_PORT), target: MCP_URL, token: await signIn('alice@contoso.example') });
const url = `http://127.0.0.1:${SPARE_PORT}/mcp`;

const required = await suite(['--requirements', revision, '--expected-failures', baseline]);
let limited = 0;
for (const { scenario, failures, passes } of outcomes()) {
  if (!scored().includes(scenario)) continue;
  const unexpected = failures.filter(({ id }) => !excuses().includes(`${scenario}:${id}`));
  if (failures.length > 0 && unexpected.length === 0) {
    limited += 1;
  } else {
    await check(`conformance ${revision}: ${scenario} (${passes})`, () => assert.deepEqual(unexpected, []));
  }
}
// Neither passed nor failed: `run` counts only PASS and FAIL.
const extent = `${limited} of ${scored().length} scenarios, ${excuses().length} checks`;
console.log(`BASELINE conformance ${revision}: ${extent}`);
await check(`conformance ${revision}: the suite's own verdict, given the baseline`, () => {
  assert.equal(required.code, 0, required.output.slice(-600));
});
for (const scenario of UNSCORED[revision]) {
  const run = await suite(['--scenario', scenario, '--spec-version', revision]);
  await check(`conformance ${revision}: ${scenario}, which the suite does not score`, () => {
    assert.equal(run.code, 0, run.output.slice(-600));
  });
}
proxy.close();
finish();

function suite(args) {
  const child = spawn(process.execPath, [cli, 'server', '--url', url, '--output-dir', results, ...args]);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => {
      process.stderr.write(data);
      output += data;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

/** What the suite wrote, one folder a scenario: `server-<scenario>-<timestamp>/checks.json`. */
function outcomes() {
  return readdirSync(results).map((folder) => {
    const [, scenario] = /^server-(.+?)-\d{4}-\d\d-\d\dT/.exec(folder);
    const checks = JSON.parse(readFileSync(join(results, folder, 'checks.json')));
    return {
      scenario,
      passes: checks.filter(({ status }) => status === 'SUCCESS').length,
      failures: checks
        .filter(({ status }) => status === 'FAILURE' || status === 'WARNING') // as the suite's own verdict has it
        .map(({ id, errorMessage, details }) => ({ id, why: errorMessage ?? details?.message })),
    };
  });
}

/** The server scenarios that decide; the suite runs others without scoring them. */
function scored() {
  const requirements = readFileSync(join(dirname(packageJson), `requirements/${revision}.yaml`), 'utf8');
  const [, list] = /^server:\n((?:  - \S+\n)+)/m.exec(requirements);
  return [...list.matchAll(/- (\S+)/g)].map(([, scenario]) => scenario);
}

/** The entries of the baseline, `<scenario>:<check>`: a YAML list under `server:`, one a line. */
function excuses() {
  return [...readFileSync(baseline, 'utf8').matchAll(/^ +- (\S+)/gm)].map(([, entry]) => entry);
}
