"""The Python SDK signs people in and calls the tools.

It starts with the MCP URL and a client ID that was registered beforehand, and finds out the rest.
Argument: how the SDK negotiates, `legacy` (initialize), `auto` (server/discover) or a version it takes for granted.
"""

import asyncio
import base64
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from mcp.shared.exceptions import MCPError

MODE = sys.argv[1]
LABEL = f"python {version('mcp')}, {MODE}"
MCP_URL = os.environ["MCP_URL"]
AUTHORITY = os.environ["AUTHORITY"]
TENANT_ID = os.environ["TENANT_ID"]
ISSUER = f"{AUTHORITY}/{TENANT_ID}/v2.0"
CLIENT_ID = os.environ["PUBLIC_CLIENT_ID"]
# Entra ignores the port of a loopback redirect; nobody listens here, the redirect is read and not followed.
REDIRECT_URL = "http://127.0.0.1:33418/callback"

failed = False


class Storage:
    """`TokenStorage` that knows the public client and, at first, no token."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull:
        return OAuthClientInformationFull(client_id=CLIENT_ID, token_endpoint_auth_method="none")

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        raise AssertionError("the SDK registered a client")


@dataclass
class Person:
    """One person with a browser and an MCP client; records every HTTP exchange of the client."""

    login: str
    trace: list[httpx2.Response] = field(default_factory=list)
    sign_ins: list[dict[str, str]] = field(default_factory=list)
    storage: Storage = field(default_factory=Storage)
    redirect: dict[str, str] = field(default_factory=dict)
    auth: OAuthClientProvider = field(init=False)
    client: Client = field(init=False)

    async def connect(self, stack: AsyncExitStack) -> None:
        self.auth = OAuthClientProvider(
            server_url=MCP_URL,
            client_metadata=OAuthClientMetadata(client_name="clients test", redirect_uris=[REDIRECT_URL]),
            storage=self.storage,
            redirect_handler=self.sign_in,
            callback_handler=self.come_back,
        )
        http = httpx2.AsyncClient(auth=self.auth, timeout=20, event_hooks={"response": [self.record]}, trust_env=False)
        await stack.enter_async_context(http)
        transport = streamable_http_client(MCP_URL, http_client=http)
        self.client = await stack.enter_async_context(Client(transport, mode=MODE, read_timeout_seconds=20))

    async def sign_in(self, authorization_url: str) -> None:
        self.sign_ins.append(query_of(authorization_url))
        async with httpx2.AsyncClient(trust_env=False) as browser:
            page = await browser.get(f"{authorization_url}&login_hint={self.login}", follow_redirects=False)
        assert page.status_code == 302, f"the sign-in page answered {page.status_code}: {page.text[:300]}"
        self.redirect = query_of(page.headers["location"])
        assert "error" not in self.redirect, f"sign-in ended with {self.redirect}"

    async def come_back(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(
            code=self.redirect["code"], state=self.redirect.get("state"), iss=self.redirect.get("iss")
        )

    async def record(self, response: httpx2.Response) -> None:
        self.trace.append(response)

    async def call(self, tool: str) -> dict[str, Any]:
        result = await self.client.call_tool(tool, {})
        assert not result.is_error, result.content
        assert isinstance(result.structured_content, dict), result
        return result.structured_content

    def claims(self) -> dict[str, Any]:
        """The claims of the access token, read and not verified: to know who the server ought to name."""
        assert self.storage.tokens is not None
        payload = self.storage.tokens.access_token.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def check(what: str, body: Callable[[], Awaitable[None]]) -> None:
    global failed
    try:
        await body()
        print(f"PASS {LABEL}: {what}")
    except (Exception, BaseExceptionGroup, asyncio.CancelledError) as error:  # the last two from the SDK's task groups
        failed = True
        print(f"FAIL {LABEL}: {what}: {one_line(error)}")


def one_line(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return " | ".join(one_line(each) for each in error.exceptions)
    return re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")[:600]


async def main(stack: AsyncExitStack) -> None:
    alice = Person("alice@contoso.example")

    async def starts_a_sign_in() -> None:
        await alice.connect(stack)
        if MODE not in ("legacy", "auto"):  # nothing is sent at connect time
            await alice.client.list_tools()
        first = alice.trace[0]
        assert (first.request.method, str(first.request.url), first.status_code) == ("POST", MCP_URL, 401), first
        challenge = first.headers["www-authenticate"]
        assert challenge.startswith("Bearer ") and "error=" not in challenge, challenge
        assert len(alice.sign_ins) == 1, alice.sign_ins

    async def discovers() -> None:
        found = {str(each.request.url) for each in alice.trace if each.status_code == 200}
        assert MCP_URL.removesuffix("/mcp") + "/.well-known/oauth-protected-resource/mcp" in found, found
        assert f"{ISSUER}/.well-known/openid-configuration" in found, found
        assert not [each for each in alice.trace if "register" in str(each.request.url)], "a registration was tried"

    async def asks_well() -> None:
        [asked] = alice.sign_ins
        assert asked["client_id"] == CLIENT_ID, asked
        assert asked["code_challenge_method"] == "S256", asked
        assert asked["resource"] == MCP_URL, asked
        assert {f"{MCP_URL}/access_as_user", f"{MCP_URL}/MCP.Tools"} <= set(asked["scope"].split()), asked
        assert alice.redirect["iss"] == ISSUER, alice.redirect

    async def negotiated() -> None:
        expected = "2025-11-25" if MODE == "legacy" else "2026-07-28"
        assert alice.client.protocol_version == expected, alice.client.protocol_version

    async def lists() -> None:
        tools = (await alice.client.list_tools()).tools
        assert sorted(tool.name for tool in tools) == ["get_my_profile", "whoami"], tools

    async def names_alice() -> None:
        who = await alice.call("whoami")
        assert who["objectId"] == alice.claims()["oid"], who
        assert who["tenantId"] == TENANT_ID and who["clientId"] == CLIENT_ID, who
        assert sorted(who["scopes"]) == ["MCP.Tools", "access_as_user"], who

    async def alice_from_graph() -> None:
        profile = await alice.call("get_my_profile")
        assert profile["id"] == alice.claims()["oid"], profile
        assert profile["displayName"].startswith("Alice"), profile

    async def refreshes() -> None:
        assert alice.storage.tokens is not None and alice.storage.tokens.refresh_token, "no refresh token was issued"
        alice.auth.context.token_expiry_time = 1  # as if the hour had passed
        await alice.call("whoami")
        assert len(alice.sign_ins) == 1, "the person was asked again"

    async def survives_a_rollover() -> None:
        async with httpx2.AsyncClient(trust_env=False) as admin:
            rotated = await admin.post(f"{AUTHORITY}/emulator/rotate-keys")
        assert rotated.is_success, rotated
        await alice.call("whoami")  # signed with the old key
        async with AsyncExitStack() as later:
            newcomer = Person(alice.login)
            await newcomer.connect(later)
            who = await newcomer.call("whoami")  # signed with the new key
        assert who["objectId"] == alice.claims()["oid"], who

    async def answers_a_claims_challenge() -> None:
        async with AsyncExitStack() as later:
            newcomer = Person(alice.login)
            await newcomer.connect(later)
            await newcomer.call("whoami")
            fault = {"error": "invalid_grant", "code": 50076, "suberror": "basic_action", "claims": "{}"}
            async with httpx2.AsyncClient(trust_env=False) as admin:
                order = {"endpoint": "token", "fault": {"entra": fault}, "times": 1}  # the next exchange
                assert (await admin.post(f"{AUTHORITY}/emulator/faults", json=order)).is_success
            profile = await newcomer.call("get_my_profile")
        [*_, refusal] = [each for each in newcomer.trace if each.status_code == 401]
        assert 'error="insufficient_claims"' in refusal.headers["www-authenticate"], refusal.headers
        assert len(newcomer.sign_ins) == 2, "alice was not asked to sign in again"
        assert profile["id"] == alice.claims()["oid"], profile

    bob = Person("bob@contoso.example")

    async def names_bob() -> None:
        await bob.connect(stack)
        who = await bob.call("whoami")
        assert who["objectId"] == bob.claims()["oid"] != alice.claims()["oid"], who
        assert who["scopes"] == ["access_as_user"], who

    async def bob_steps_up() -> None:
        profile = await bob.call("get_my_profile")
        [refusal] = [each for each in bob.trace if each.status_code == 403]
        challenge = refusal.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge, challenge
        assert re.search(r'scope="[^"]*MCP\.Tools', challenge), challenge
        assert len(bob.sign_ins) == 2, "the SDK did not step up"
        assert "MCP.Tools" in bob.claims()["scp"], bob.claims()["scp"]
        assert profile["id"] == bob.claims()["oid"], profile

    carol = Person("carol@contoso.example")

    async def carol_is_told() -> None:
        await carol.connect(stack)
        await carol.call("whoami")  # signs her in: the SDK answers one challenge a request, a 401 or a 403
        refused: Exception | None = None
        try:
            await carol.call("get_my_profile")
        except MCPError as error:
            refused = error
        assert refused is not None, "carol got a profile"
        answers = [each.status_code for each in carol.trace if str(each.request.url) == MCP_URL]
        assert answers[-1] == 403, answers
        assert len(carol.sign_ins) == 2, f"{len(carol.sign_ins)} sign-ins"

    await check("the first request is refused with 401 and a challenge, which starts a sign-in", starts_a_sign_in)
    await check("RFC 9728 metadata leads to the issuer; nothing is registered", discovers)
    await check("the sign-in asks with PKCE, for this resource, for qualified scopes, and checks iss", asks_well)
    await check("speaks " + ("2025-11-25" if MODE == "legacy" else "2026-07-28"), negotiated)
    await check("alice lists the tools", lists)
    await check("whoami names alice", names_alice)
    await check("get_my_profile brings alice from Graph", alice_from_graph)
    await check("an expired token is refreshed without asking alice", refreshes)
    await check("a key rollover breaks neither old nor new tokens", survives_a_rollover)
    await check("a claims challenge of the exchange brings alice back to the sign-in", answers_a_claims_challenge)
    await check("whoami names bob, whose first token lacks MCP.Tools", names_bob)
    await check("bob is refused with 403, steps up, and gets his own profile", bob_steps_up)
    await check("carol, whom no step-up can help, ends with the refusal and not in a loop", carol_is_told)


async def run() -> None:
    async with AsyncExitStack() as stack:
        await main(stack)


asyncio.run(run())
sys.exit(failed)
