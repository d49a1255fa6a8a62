// The conformance suite cannot send a token, so it speaks to this loopback proxy, which adds one and changes nothing
// else: `Host` and `Origin` pass as sent (one scenario forges them), bodies stream both ways, disconnects are handed on.
import { createServer, request } from 'node:http';

/** Listens on 127.0.0.1:`port` and forwards to `target`, with `token` where a request has no `Authorization`. */
export function startProxy({ port, target, token }) {
  const { hostname, port: targetPort } = new URL(target);
  const server = createServer((incoming, outgoing) => {
    const headers = [...incoming.rawHeaders];
    if (incoming.headers.authorization === undefined) {
      headers.push('Authorization', `Bearer ${token}`);
    }
    const { method, url: path } = incoming;
    const upstream = request({ hostname, port: targetPort, method, path, headers, setHost: false }, (response) => {
      outgoing.writeHead(response.statusCode, response.statusMessage, response.rawHeaders);
      outgoing.flushHeaders();
      response.pipe(outgoing);
      response.on('error', () => outgoing.destroy());
    });
    upstream.on('error', () => outgoing.destroy());
    outgoing.on('close', () => upstream.destroy());
    incoming.pipe(upstream);
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
