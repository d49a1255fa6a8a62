// @modelcontextprotocol/client, second generation. Argument: `legacy` (initialize) or `auto` (server/discover).
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';

import { finish } from '../lib/report.mjs';
import { scenario } from './scenario.mjs';

const [mode] = process.argv.slice(2);
const sdk = {
  open: ({ provider, fetch }) => ({
    client: new Client({ name: 'clients-test', version: '1.0.0' }, { versionNegotiation: { mode } }),
    transport: new StreamableHTTPClientTransport(new URL(process.env.MCP_URL), { authProvider: provider, fetch }),
  }),
  // The whole query, so that the SDK compares `iss` (RFC 9207).
  finishAuth: (transport, callback) => transport.finishAuth(callback.searchParams),
  protocolVersion: ({ client }) => client.getNegotiatedProtocolVersion(),
};

const protocolVersion = mode === 'legacy' ? '2025-11-25' : '2026-07-28';
await scenario(`typescript client 2.x, ${mode}`, sdk, { UnauthorizedError, protocolVersion });
finish();
