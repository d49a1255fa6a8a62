// The MCP Inspector's CLI, which signs in by itself (`--client-id`, `--callback-url`): it prints the authorization URL
// and listens on loopback. This script is only the person: it opens the printed URL and says yes to a step-up.
// Argument: the protocol era, `legacy` or `modern`.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { signIn } from '../lib/browser.mjs';
import { check, finish } from '../lib/report.mjs';

const { MCP_URL, PUBLIC_CLIENT_ID, SCENARIO_DIR, SPARE_PORT, TENANT_ID } = process.env;
const [era] = process.argv.slice(2);

const packageJson = createRequire(import.meta.url).resolve('@modelcontextprotocol/inspector/package.json');
const launcher = join(packageJson, '../clients/launcher/build/index.js');
const { version } = createRequire(import.meta.url)(packageJson);

/** Not port 0: the CLI would then send the person back to port 0. */
const CALLBACK_URL = `http://127.0.0.1:${SPARE_PORT}/callback`;
/** The CLI's exit status when it may not ask a person. */
const AUTH_REQUIRED = 3;

/** One person's Inspector: a home of its own, so that tokens outlive one command and nothing of the machine's is read. */
class Inspector {
  #user;
  #home;

  constructor(user) {
    this.#user = user;
    this.#home = join(SCENARIO_DIR, user);
    mkdirSync(this.#home, { recursive: true });
  }

  /** Runs one command; gives the result, how often the person signed in, and what was said on stderr. */
  run(...args) {
    const server = [MCP_URL, '--transport', 'http', '--protocol-era', era];
    const oauth = ['--client-id', PUBLIC_CLIENT_ID, '--callback-url', CALLBACK_URL];
    const command = [launcher, '--cli', ...server, ...oauth, '--format', 'json', ...args];
    const child = spawn(process.execPath, command, {
      env: {
        PATH: process.env.PATH,
        HOME: this.#home,
        MCP_STORAGE_DIR: join(this.#home, 'storage'),
        MCP_INSPECTOR_SECRET_STORE: 'file',
        MCP_AUTO_OPEN_ENABLED: 'true', // without it, or a terminal, the CLI refuses to sign anybody in
        BROWSER: 'true', // the browser that it opens is /bin/true: this script is the person
      },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const run = { code: undefined, result: undefined, stdout: '', stderr: '', signIns: 0, stepUps: 0 };
    return new Promise((resolve, reject) => {
      const giveUp = setTimeout(() => child.kill('SIGKILL'), 45_000);
      let seen = 0;
      child.stdout.on('data', (data) => (run.stdout += data));
      child.stderr.on('data', (data) => {
        process.stderr.write(data);
        run.stderr += data;
        for (const line of completeLines()) {
          const [, url] = /Please navigate to: (http\S+)/.exec(line) ?? [];
          if (url !== undefined) {
            run.signIns += 1;
            followBrowser(url, this.#user).catch((error) => {
              child.kill();
              reject(error);
            });
          }
        }
        if (run.stderr.endsWith('[y/N] ')) {
          run.stepUps += 1;
          child.stdin.write('y\n');
        }
      });
      child.on('error', reject);
      child.on('close', (code, signal) => {
        clearTimeout(giveUp);
        run.code = code ?? signal;
        try {
          run.result = JSON.parse(run.stdout);
        } catch {
          // A refusal prints its JSON on stderr.
        }
        resolve(run);
      });

      function completeLines() {
        const end = run.stderr.lastIndexOf('\n') + 1;
        const lines = run.stderr.slice(seen, end).split('\n');
        seen = end;
        return lines;
      }
    });
  }

  async call(tool, ...args) {
    const run = await this.run('--method', 'tools/call', '--tool-name', tool, ...args);
    succeeded(run);
    return { ...run, content: structured(run.result) };
  }
}

async function followBrowser(url, user) {
  const back = await signIn(url, user);
  const page = await fetch(back);
  assert.equal(page.status, 200, `the Inspector's callback answered ${page.status}`);
}

function succeeded(run) {
  assert.equal(run.code, 0, `exit ${run.code}: ${run.stderr.slice(-500)}`);
}

function structured(result) {
  const { structuredContent, isError } = result.result ?? result;
  assert.ok(!isError, JSON.stringify(result));
  return structuredContent;
}

const named = (what, body) => check(`inspector ${version} cli, ${era}: ${what}`, body);
const alice = new Inspector('alice@contoso.example');
const bob = new Inspector('bob@contoso.example');
let aliceOid;

await named('without a stored token, --stored-auth-only ends with auth_required', async () => {
  const run = await alice.run('--method', 'tools/list', '--stored-auth-only');
  assert.equal(run.code, AUTH_REQUIRED, run.stderr.slice(-500));
  assert.match(run.stderr, /auth_required/);
});
await named('signs alice in by itself and lists the tools', async () => {
  const run = await alice.run('--method', 'tools/list');
  succeeded(run);
  assert.equal(run.signIns, 1);
  const { tools } = run.result.result ?? run.result;
  assert.deepEqual(tools.map((tool) => tool.name).sort(), ['get_my_profile', 'whoami']);
});
await named('whoami names alice, with the stored token', async () => {
  const { content, signIns } = await alice.call('whoami', '--stored-auth-only');
  assert.equal(signIns, 0);
  assert.deepEqual([content.tenantId, content.clientId], [TENANT_ID, PUBLIC_CLIENT_ID]);
  assert.deepEqual(content.scopes.sort(), ['MCP.Tools', 'access_as_user']);
  aliceOid = content.objectId;
});
await named('get_my_profile brings alice from Graph', async () => {
  const { content } = await alice.call('get_my_profile', '--stored-auth-only');
  assert.equal(content.id, aliceOid);
  assert.match(content.displayName, /^Alice/);
});
await named('whoami names bob', async () => {
  const { content } = await bob.call('whoami');
  assert.notEqual(content.objectId, aliceOid);
  assert.deepEqual(content.scopes, ['access_as_user']);
});
await named('bob is refused, steps up after a yes, and gets his own profile', async () => {
  const { content, stepUps, signIns } = await bob.call('get_my_profile');
  assert.equal(stepUps, 1, 'the CLI did not offer the step-up');
  assert.equal(signIns, 1);
  assert.match(content.displayName, /^Bob/);
});
await named('carol, whom no step-up can help, is told so', async () => {
  const carol = new Inspector('carol@contoso.example');
  const run = await carol.run('--method', 'tools/call', '--tool-name', 'get_my_profile');
  assert.notEqual(run.code, 0);
  assert.equal(run.stepUps, 1);
  assert.match(run.stderr, /MCP\.Tools/);
});
finish();
