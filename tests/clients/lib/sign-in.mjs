import { auth } from '@modelcontextprotocol/client';

import { Provider } from '../typescript/provider.mjs';

const { MCP_URL, PUBLIC_CLIENT_ID } = process.env;

/** A real sign-in by the TypeScript SDK, for those who cannot do it themselves: an access token. */
export async function signIn(user) {
  const provider = new Provider(PUBLIC_CLIENT_ID, user);
  await auth(provider, { serverUrl: MCP_URL });
  const { searchParams } = provider.callback;
  const authorizationCode = searchParams.get('code');
  await auth(provider, { serverUrl: MCP_URL, authorizationCode, iss: searchParams.get('iss') ?? undefined });
  return provider.tokens().access_token;
}
