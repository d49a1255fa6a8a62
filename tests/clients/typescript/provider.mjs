// What the host of an SDK must bring to a sign-in: storage, and a browser. The SDK does the rest.
import { signIn } from '../lib/browser.mjs';

/** Entra ignores the port of a loopback redirect; nobody listens here, the redirect is read and not followed. */
const REDIRECT_URL = 'http://127.0.0.1:33418/callback';

/**
 * `OAuthClientProvider` of either SDK generation: a public client registered beforehand, so there is no
 * `saveClientInformation`, and an SDK that wanted to register itself would have to fail.
 */
export class Provider {
  #clientId;
  #user;
  #tokens;
  #verifier;
  #discovery;
  /** Every authorization URL the SDK built. */
  authorizationUrls = [];
  /** The last redirect back to the client: `code`, `state`, `iss`. */
  callback;

  constructor(clientId, user) {
    this.#clientId = clientId;
    this.#user = user;
  }

  get redirectUrl() {
    return REDIRECT_URL;
  }

  get clientMetadata() {
    return {
      client_name: 'clients test',
      redirect_uris: [REDIRECT_URL],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
  }

  clientInformation() {
    return { client_id: this.#clientId };
  }

  state() {
    return `state-${this.authorizationUrls.length}`;
  }

  tokens() {
    return this.#tokens;
  }

  saveTokens(tokens) {
    this.#tokens = tokens;
  }

  codeVerifier() {
    return this.#verifier;
  }

  saveCodeVerifier(verifier) {
    this.#verifier = verifier;
  }

  discoveryState() {
    return this.#discovery;
  }

  saveDiscoveryState(discovery) {
    this.#discovery = discovery;
  }

  async redirectToAuthorization(url) {
    const state = url.searchParams.get('state');
    this.authorizationUrls.push(url);
    this.callback = await signIn(url, this.#user);
    if (this.callback.searchParams.get('state') !== state) {
      throw new Error('the redirect carries another state');
    }
  }

  /** The claims of the access token, read and not verified: to know who the server ought to name. */
  claims() {
    return JSON.parse(Buffer.from(this.#tokens.access_token.split('.')[1], 'base64url').toString());
  }
}
