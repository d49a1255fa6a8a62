// An MCP server on the official TypeScript SDK, first generation, with one tool, for the bench to measure beside the handler.
//
// Put together as the SDK's own examples do it, and set up as for production:
//
// - `createMcpExpressApp` for 127.0.0.1: the SDK's Express application, which checks the Host header and parses JSON.
// - A McpServer and a transport of its own for each request: the SDK's stateless mode. A transport cannot be used twice.
// - `enableJsonResponse`: a call is answered by plain JSON instead of an event stream, as the handler does.
// - `requireBearerAuth` with a verifier on jose: `createRemoteJWKSet` caches the keys; RS256, issuer, audience, expiry and the
//   scope are checked for each request.
// - NODE_ENV is production, so that Express neither logs nor shows stack traces. There is no request log.
// - No protected resource metadata: it is not measured, and every middleware less is to this server's advantage.
//
// Runs on Node 26, the fastest here of 20, 24 and 26.
//
// Environment: PORT, JWKS_URI, ISSUER, AUDIENCE. One process; SIGTERM ends it.
process.env.NODE_ENV ??= 'production';

import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import { z } from 'zod';

const HOST = '127.0.0.1';

const port = Number(setting('PORT'));
const issuer = setting('ISSUER');
const audience = setting('AUDIENCE');
const keys = createRemoteJWKSet(new URL(setting('JWKS_URI')));

const verifier = {
  async verifyAccessToken(token) {
    const claims = await verifiedClaims(token);
    return {
      token,
      clientId: claims.azp,
      scopes: claims.scp?.split(' ') ?? [],
      expiresAt: claims.exp,
      extra: { tenantId: claims.tid, objectId: claims.oid, roles: claims.roles ?? [] },
    };
  },
};

async function verifiedClaims(token) {
  try {
    const { payload } = await jwtVerify(token, keys, {
      algorithms: ['RS256'],
      issuer,
      audience,
      requiredClaims: ['exp'],
    });
    return payload;
  } catch (error) {
    if (error instanceof errors.JOSEError) {
      throw new InvalidTokenError(error.message);
    }
    throw error;
  }
}

const whoAmI = {
  tenantId: z.string().describe('The tenant the caller signed in to (tid).'),
  objectId: z.string().describe("The caller's object in that tenant (oid)."),
  clientId: z.string().optional().describe('The client application that calls (azp).'),
  scopes: z.array(z.string()).describe('Delegated permissions in the token (scp), short names.'),
  roles: z.array(z.string()).describe('App roles in the token (roles).'),
  tokenExpiresInSeconds: z.number().int().nonnegative().describe('Seconds until the token expires.'),
};

function createServer() {
  const server = new McpServer({ name: 'peer-typescript', version: '1.0.0' });
  server.registerTool(
    'whoami',
    {
      title: 'Who am I',
      description: 'Tells as whom you are signed in to this server.',
      outputSchema: whoAmI,
    },
    async ({ authInfo }) => {
      const { tenantId, objectId, roles } = authInfo.extra;
      const structuredContent = {
        tenantId,
        objectId,
        clientId: authInfo.clientId,
        scopes: authInfo.scopes,
        roles,
        tokenExpiresInSeconds: Math.max(0, authInfo.expiresAt - Math.floor(Date.now() / 1000)),
      };
      return { content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent };
    },
  );
  return server;
}

const app = createMcpExpressApp({ host: HOST });

app.post('/mcp', requireBearerAuth({ verifier, requiredScopes: ['access_as_user'] }), async (request, response) => {
  const server = createServer();
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
  response.on('close', () => {
    transport.close();
    server.close();
  });
  await server.connect(transport);
  await transport.handleRequest(request, response, request.body);
});

app.listen(port, HOST, (error) => {
  if (error) {
    throw error;
  }
});

function setting(name) {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is missing`);
  }
  return value;
}
