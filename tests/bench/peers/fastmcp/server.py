"""An MCP server on FastMCP with one tool, for the bench to measure beside the handler.

Put together as FastMCP's documentation does it, and set up as for production:

- `mcp.run` with the HTTP transport: one process of uvicorn with FastMCP's own settings, on the event loop and the HTTP parser
  that FastMCP installs.
- `stateless_http` and `json_response`: a call needs no session and is answered by plain JSON, as the handler does.
- `JWTVerifier` with `jwks_uri`: keys are cached for an hour; RS256, issuer, audience, expiry and the scope are checked for each
  request (a token without expiry passes, as FastMCP has it). `AzureJWTVerifier` is the same verifier with Entra's public addresses, which a test cannot use.
- No access log, no banner, and nothing below warnings: no request costs a line of log.
- The tool is asynchronous: FastMCP runs others on a thread pool, which costs more.
- No protected resource metadata: it is not measured, and every route less is to this server's advantage.

Environment: PORT, JWKS_URI, ISSUER, AUDIENCE. One process; SIGTERM ends it.
"""

import os
import time

from fastmcp import FastMCP
from fastmcp.server.auth.providers.jwt import JWTVerifier
from fastmcp.server.dependencies import get_access_token
from pydantic import BaseModel, Field

verifier = JWTVerifier(
    jwks_uri=os.environ["JWKS_URI"],
    issuer=os.environ["ISSUER"],
    audience=os.environ["AUDIENCE"],
    algorithm="RS256",
    required_scopes=["access_as_user"],
)

mcp = FastMCP("peer-fastmcp", auth=verifier)


class WhoAmI(BaseModel):
    """The verified caller."""

    tenantId: str = Field(description="The tenant the caller signed in to (tid).")
    objectId: str = Field(description="The caller's object in that tenant (oid).")
    clientId: str | None = Field(description="The client application that calls (azp).")
    scopes: list[str] = Field(description="Delegated permissions in the token (scp), short names.")
    roles: list[str] = Field(description="App roles in the token (roles).")
    tokenExpiresInSeconds: int = Field(ge=0, description="Seconds until the token expires.")


@mcp.tool(title="Who am I")
async def whoami() -> WhoAmI:
    """Tells as whom you are signed in to this server."""
    token = get_access_token()
    claims = token.claims
    return WhoAmI(
        tenantId=claims["tid"],
        objectId=claims["oid"],
        clientId=claims.get("azp"),
        scopes=token.scopes,
        roles=claims.get("roles", []),
        tokenExpiresInSeconds=max(0, token.expires_at - int(time.time())),
    )


if __name__ == "__main__":
    mcp.run(
        transport="http",
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        stateless_http=True,
        json_response=True,
        show_banner=False,
        log_level="WARNING",
        uvicorn_config={"access_log": False},
    )
