// @modelcontextprotocol/sdk, first generation: 2025-11-25 and the initialize handshake.
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

import { finish } from '../lib/report.mjs';
import { scenario } from './scenario.mjs';

const sdk = {
  open: ({ provider, fetch }) => ({
    client: new Client({ name: 'clients-test', version: '1.0.0' }),
    transport: new StreamableHTTPClientTransport(new URL(process.env.MCP_URL), { authProvider: provider, fetch }),
  }),
  finishAuth: (transport, callback) => transport.finishAuth(callback.searchParams.get('code')),
  protocolVersion: ({ transport }) => transport.protocolVersion,
};

await scenario('typescript sdk 1.x', sdk, { UnauthorizedError, protocolVersion: '2025-11-25' });
finish();
