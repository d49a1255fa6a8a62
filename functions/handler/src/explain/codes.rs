//! The explanations, as data: one entry a code. Texts are this project's own; `source` says where the facts are from.
//!
//! "The client's sign-in" is the browser's journey and the token request of the MCP client; "the exchange" is what this
//! server asks of Entra on behalf of the user. Past the length of other files because it is a table, by ascending code.

use super::Explanation;

pub(super) static ALL: &[Explanation] = &[
    Explanation {
        code: 28000,
        title: "the scopes belong to more than one API",
        meaning: "One token is for one API. In the client's sign-in: the client asked for this server's scopes together \
            with another API's, often Graph's. In this server's exchange: a tool names permissions of two APIs.",
        fix: &[
            "In the client, ask only for what this server's metadata advertises. Graph permissions do not belong there: \
             the server obtains them itself, by the exchange.",
            "For a tool of your own, keep its list of downstream permissions to one API; a second API is a second exchange.",
        ],
        source: "v2-permissions-and-consent; PrefectHQ/fastmcp#2447",
    },
    Explanation {
        code: 50011,
        title: "the redirect URI is not registered",
        meaning: "In the client's sign-in: the address the client wants the browser sent back to is not in the client's \
            registration. Scheme, host and path must be equal; only on localhost the port does not count.",
        fix: &[
            "Copy the redirect URI from the error page.",
            "Add it to the client's registration (not the API's), under Authentication > Mobile and desktop applications. \
             The command replaces the list, so give it the URIs that shall stay, too:",
            SET_REDIRECT_URIS,
        ],
        source: "reference-error-codes; error-code-aadsts50011-reply-url-mismatch",
    },
    Explanation {
        code: 50013,
        title: "the caller's token cannot be exchanged",
        meaning: "In this server's exchange: Entra does not accept the user's token as proof, because it expired, it \
            is signed with a key of the application's own, or its version does not fit. The client gets a 401 and \
            signs in again, so once in a while this is nothing to worry about.",
        fix: &[
            "If it stays: look at the token with `handler doctor --token -`, which reads it from standard input.",
            "Let the API's registration issue v2.0 tokens:",
            TOKEN_VERSION,
            "Remove claims mapping or an own signing key from the API's registration: such applications cannot exchange \
             tokens.",
            "Check the server's clock; `handler doctor` compares it with Entra's.",
        ],
        source: "reference-error-codes; v2-oauth2-on-behalf-of-flow",
    },
    Explanation {
        code: 50020,
        title: "the user is not in this directory",
        meaning: "In the client's sign-in: the browser uses an account of another organization, or a personal one, and this \
            server's directory knows no guest of that name.",
        fix: &[
            "Sign out in the browser (or use a private window) and sign in with an account of the server's directory.",
            "Otherwise invite the person as a guest, in the Entra admin center under Users > Invite external user.",
        ],
        source: "reference-error-codes",
    },
    Explanation {
        code: 50057,
        title: "the account is disabled",
        meaning: "At sign-in or in this server's exchange: an administrator has disabled the user's account. The client gets \
            a 401.",
        fix: &["Nothing is to be changed here: an administrator enables the account, or the user has to stay out."],
        source: "reference-error-codes",
    },
    Explanation {
        code: 50074,
        title: "multi-factor authentication was not completed",
        meaning: MFA_MEANING,
        fix: MFA_FIX,
        source: MFA_SOURCE,
    },
    Explanation {
        code: 50076,
        title: "multi-factor authentication is required",
        meaning: MFA_MEANING,
        fix: MFA_FIX,
        source: MFA_SOURCE,
    },
    Explanation {
        code: 50079,
        title: "the user must first set up multi-factor authentication",
        meaning: MFA_MEANING,
        fix: &[
            "The user registers a method at https://aka.ms/mysecurityinfo.",
            "Then the user signs out of this server in the client, and signs in again.",
        ],
        source: MFA_SOURCE,
    },
    Explanation {
        code: 50105,
        title: "the user is not assigned to the application",
        meaning: "In the client's sign-in: the enterprise application of the client or of the API only lets in users who are \
            assigned to it, and this user is not. The message names the application.",
        fix: &[
            "If that is intended: assign the user or a group, in the Entra admin center under Enterprise applications > \
             the application > Users and groups.",
            "If everyone in the directory may use it, take the requirement away (put the named application in place of \
             CLIENT_ID):",
            "az ad sp update --id $CLIENT_ID --set appRoleAssignmentRequired=false",
        ],
        source: "reference-error-codes; error-code-aadsts50105-user-not-assigned-role",
    },
    Explanation {
        code: 50173,
        title: "the user's sessions were revoked",
        meaning: "At the client's refresh or in this server's exchange: since this token was issued the password was changed, \
            or someone revoked the user's sessions. The client gets a 401.",
        fix: &["The user signs in again in the client. Nothing is wrong with the server."],
        source: "reference-error-codes",
    },
    Explanation {
        code: 50194,
        title: "the client signs in at /common, the application has one tenant only",
        meaning: "In the client's sign-in: the client uses the endpoint for all organizations instead of this server's \
            directory. The server's metadata names the right one, so the client was configured by hand.",
        fix: &[
            "In the client, remove the configured authorization server, or set it to \
             https://login.microsoftonline.com/<TENANT_ID>/v2.0.",
            "`handler doctor` shows whether the metadata that clients read is what it should be.",
        ],
        source: "reference-error-codes",
    },
    Explanation {
        code: 50196,
        title: "Entra sees the same request over and over",
        meaning: "At sign-in or in the exchange: an application repeats one request so often that Entra takes it for a loop \
            and blocks it for some minutes. Usually a client that signs in again after each refusal without changing \
            anything.",
        fix: &[
            "Stop the client and wait five minutes.",
            "Look in the server's log for what was refused before that, and mend it first: `handler doctor` names most of \
             the causes.",
            "If the server itself is the one (the message names CLIENT_ID): make sure one process serves many calls, for \
             the cache of exchanged tokens lives in the process.",
        ],
        source: "reference-error-codes; AzureAD/microsoft-authentication-library-for-dotnet#2808",
    },
    Explanation {
        code: 53000,
        title: "conditional access wants a compliant device",
        meaning: CONDITIONAL_ACCESS_MEANING,
        fix: &[
            "The user works on a device that the organization manages, and signs in there again.",
            "An administrator sees which policy it was in the Entra admin center: Sign-in logs > the entry > Conditional \
             Access. Exchanges are under user sign-ins (non-interactive).",
        ],
        source: "reference-error-codes; troubleshoot-conditional-access",
    },
    Explanation {
        code: 53003,
        title: "conditional access blocks the token",
        meaning: CONDITIONAL_ACCESS_MEANING,
        fix: &[
            "An administrator finds the policy in the Entra admin center: Sign-in logs > the entry > Conditional Access. \
             For the exchange the entry is under user sign-ins (non-interactive), with this API as the application.",
            "The exchange carries no device and no browser of the user's. If the policy asks for what only they can show, \
             the administrator leaves this API out of it, or asks for something else.",
            "Let the policy cover this API as it covers Graph: then it shows at sign-in, where the user can react.",
        ],
        source: "reference-error-codes; anthropics/claude-plugins-official#1494",
    },
    Explanation {
        code: 65001,
        title: "consent is missing",
        meaning: "In this server's exchange (the message names CLIENT_ID): nobody has allowed the API to reach Graph for the \
            user; the tool then shows a page to consent. In the client's sign-in (the message names the client): the client \
            has no consent to this API's scopes.",
        fix: &[
            "For the exchange: make sure the API's registration asks for the permission (here User.Read; a tool may need \
             more), and consent for everyone, as an administrator:",
            ADD_GRAPH_PERMISSION,
            "az ad app permission admin-consent --id $CLIENT_ID",
            "For the client: pre-authorize it at the API (Expose an API > Add a client application), or consent for \
             everyone:",
            GRANT_CLIENT,
            "Wait a minute, then sign in again in the client.",
        ],
        source: "reference-error-codes; v2-oauth2-on-behalf-of-flow",
    },
    Explanation {
        code: 65002,
        title: "Microsoft's own client asked Microsoft's own API",
        meaning: "In the client's sign-in: Entra says this only if both are Microsoft's. So a client such as VS Code asked \
            Graph (00000003-0000-0000-c000-000000000000 in the message) or another of Microsoft's APIs in place of this \
            server, mostly because a bare scope was sent. Or a program uses an application ID that is Microsoft's.",
        fix: &[
            "Scopes must carry the API's URI in front: <MCP_URL>/access_as_user. This server advertises them so; remove \
             short names from the client's configuration, and let it read the metadata anew.",
            "Pre-authorize the client at this API: Expose an API > Add a client application, with all scopes. VS Code is \
             aebc6443-996d-45c2-90f0-388ff96faa56.",
            "In a program of your own, use the ID of a registration of your own.",
        ],
        source: "reference-error-codes; microsoft/vscode#332596",
    },
    Explanation {
        code: 65004,
        title: "the user declined to consent",
        meaning: "In the client's sign-in: the user saw the consent page and cancelled it.",
        fix: &[
            "Sign in again and accept.",
            "If users should not be asked at all, consent for everyone as an administrator:",
            GRANT_CLIENT,
        ],
        source: "reference-error-codes",
    },
    Explanation {
        code: 70011,
        title: "the scope is not valid",
        meaning: "In the client's sign-in: a scope is misspelt, or the client asked for nothing but offline_access, which is \
            no permission of any API. In this server's exchange: a tool's downstream permission is misspelt.",
        fix: &[
            "Let the client take its scopes from the server's metadata, or configure them in full: \
             <MCP_URL>/access_as_user and <MCP_URL>/MCP.Tools.",
            "Compare with the scopes that the API exposes:",
            LIST_SCOPES,
            "For a tool of your own, check the name of the Graph permission.",
        ],
        source: "reference-error-codes; PrefectHQ/fastmcp#4467",
    },
    Explanation {
        code: 70021,
        title: "no federated credential fits the managed identity",
        meaning: "In this server's exchange: Entra read the managed identity's token, but the API's registration trusts no \
            identity with that issuer, subject and audience. All three are compared to the letter. This is the older number; \
            700211, 700212 and 700213 say which of them it is.",
        fix: FEDERATE,
        source: FEDERATION_SOURCE,
    },
    Explanation {
        code: 70043,
        title: "the sign-in is older than the organization allows",
        meaning: "At the client's refresh or in this server's exchange: conditional access limits how long a sign-in lasts, \
            and this one is past it. The client gets a 401.",
        fix: &[
            "The user signs in again in the client.",
            "If it is too often, an administrator reviews the sign-in frequency of the policy.",
        ],
        source: "reference-error-codes",
    },
    Explanation {
        code: 90002,
        title: "there is no such directory",
        meaning: "In the client's sign-in and in the exchange: no directory has the ID in the address, or it is in another \
            cloud than the address.",
        fix: &[
            "Set TENANT_ID to the directory (tenant) ID on the registration's overview page. When signed in to that \
             directory, this shows it:",
            "az account show --query tenantId --output tsv",
            "For US Government or China set AZURE_AUTHORITY_HOST and GRAPH_BASE_URL as well.",
        ],
        source: "reference-error-codes",
    },
    Explanation {
        code: 90009,
        title: "the client and the API are one registration",
        meaning: "Mostly at the client's refresh, an hour after a sign-in that went well: client and API share one \
            application ID, and the client does not repeat its scopes when it refreshes. Entra then takes the application \
            to ask for a token for itself.",
        fix: &[
            "Register the client as an application of its own (public client, Mobile and desktop), pre-authorize it at the \
             API, and configure its ID in the client. That helps whatever the client sends.",
            "Or use a client version that sends `scope` with every refresh.",
        ],
        source: "reference-error-codes; modelcontextprotocol/typescript-sdk#2718; CyberDrain/CIPP#537",
    },
    Explanation {
        code: 90024,
        title: "Entra had a passing fault",
        meaning: TRANSIENT_MEANING,
        fix: TRANSIENT_FIX,
        source: "reference-error-codes",
    },
    Explanation {
        code: 90033,
        title: "Entra's directory is not available",
        meaning: TRANSIENT_MEANING,
        fix: TRANSIENT_FIX,
        source: "reference-error-codes",
    },
    Explanation {
        code: 90055,
        title: "Entra throttles the directory",
        meaning: "In the client's sign-in and in the exchange: the whole directory sends more requests than Entra admits. The \
            server asks users to try again later.",
        fix: &[
            "Wait some minutes.",
            "Look for what sends so much, in the Entra admin center's sign-in logs by application. This server needs one \
             exchange per user's token and keeps the result; many short-lived processes undo that.",
            "If it stays, open a support request with Microsoft: limits of a directory are not settings.",
        ],
        source: "reference-error-codes",
    },
    Explanation {
        code: 90094,
        title: "only an administrator may consent",
        meaning: "In the client's sign-in: users of this directory may not consent by themselves, or not to these scopes. A \
            client that always forces the consent page meets this even after an administrator has consented.",
        fix: &[
            "An administrator consents for everyone, to the client and to what the API reaches:",
            GRANT_CLIENT,
            "az ad app permission admin-consent --id $CLIENT_ID",
            "Pre-authorize the client at the API (Expose an API > Add a client application): then no consent is needed \
             for its scopes.",
        ],
        source: "reference-error-codes; anthropics/claude-ai-mcp#104",
    },
    Explanation {
        code: 240_002,
        title: "an ID token was used in place of an access token",
        meaning: "In an exchange: the assertion is an ID token, which proves a sign-in to a client and cannot be exchanged. \
            This server refuses such tokens with a 401 before it asks Entra, so another program probably reported this.",
        fix: &[
            "Let the client send the access token, and ask for this API's scopes (not only openid and profile).",
            "`handler doctor --token -` tells which kind a token is.",
        ],
        source: "reference-error-codes; Azure/azure-sdk-for-java#20004",
    },
    Explanation {
        code: 500_011,
        title: "the directory has no application with this Application ID URI",
        meaning: "In the client's sign-in: nothing in the directory answers to the resource in the client's scopes. The \
            API's Application ID URI is not the MCP URL, or the registration has no enterprise application (service \
            principal), or the client signs in to another directory. In the exchange: a tool names an unknown API.",
        fix: &[
            "Compare the resource in the message with the API's Application ID URIs, and the tenant in the message with \
             TENANT_ID:",
            "az ad app show --id $CLIENT_ID --query identifierUris",
            "If it is missing there, set the token version first, then the URIs. The second command replaces the list:",
            TOKEN_VERSION,
            IDENTIFIER_URIS,
            "If the enterprise application is missing, create it:",
            "az ad sp create --id $CLIENT_ID",
        ],
        source: "reference-error-codes; secure-mcp-server-with-entra-id",
    },
    Explanation {
        code: 500_131,
        title: "the caller's token is for another application",
        meaning: "In this server's exchange: the audience of the user's token is not the application that wants to exchange \
            it. With v2.0 tokens the server checks that itself; so this mostly means v1.0 tokens (ACCEPT_V1_TOKENS, \
            AUDIENCE) of another registration than CLIENT_ID.",
        fix: &[
            "CLIENT_ID must be the registration that exposes the scopes and that holds the credential: one and the same.",
            "Walk a token through the checks with `handler doctor --token -`: it shows the audience.",
            "Let the registration issue v2.0 tokens, and remove AUDIENCE and ACCEPT_V1_TOKENS:",
            TOKEN_VERSION,
        ],
        source: "login.microsoftonline.com/error?code=500131; v2-oauth2-on-behalf-of-flow",
    },
    Explanation {
        code: 500_133,
        title: "the caller's token has expired",
        meaning: "In this server's exchange: the user's token ended between the server's own check and Entra's. The client \
            gets a 401, refreshes, and repeats the call.",
        fix: &[
            "Once in a while: nothing to do.",
            "If often, the server's clock is slow: `handler doctor` compares it with Entra's.",
            "Keep OBO_MIN_ASSERTION_TTL at its default of 300 seconds, which prevents most of it.",
        ],
        source: "reference-error-codes",
    },
    Explanation {
        code: 650_053,
        title: "the API has no scope of that name",
        meaning: "In the client's sign-in: if the resource in the message is 00000003-0000-0000-c000-000000000000, the client \
            sent a bare scope such as access_as_user, and Entra looked for it at Graph. Otherwise the API does not expose \
            that scope.",
        fix: &[
            "Scopes must carry the API's URI in front: <MCP_URL>/access_as_user. This server advertises them so; remove \
             short names from the client's configuration, and let it read the metadata anew.",
            "Compare with the scopes that the API exposes, and add what is missing under Expose an API (access_as_user, \
             MCP.Tools):",
            LIST_SCOPES,
        ],
        source: "anthropics/claude-code#73460; anthropics/claude-code#89438",
    },
    Explanation {
        code: 650_057,
        title: "the client's registration does not list this API",
        meaning: "In the client's sign-in: the client asks for an API that is not among the permissions of its own \
            registration.",
        fix: &[
            "Look up the IDs of the API's scopes, and add them to the client's registration, one command a scope:",
            LIST_SCOPES,
            "az ad app permission add --id $PUBLIC_CLIENT_ID --api $CLIENT_ID \\\n  --api-permissions $SCOPE_ID=Scope",
            "Consent for everyone:",
            GRANT_CLIENT,
            "Or pre-authorize the client at the API (Expose an API > Add a client application).",
        ],
        source: "reference-error-codes",
    },
    Explanation {
        code: 700_016,
        title: "the directory does not know the application",
        meaning: "In the client's sign-in: the client's ID is mistyped, or registered in another directory. In the exchange: \
            the same of CLIENT_ID. The message names the ID and the directory.",
        fix: &[
            "Use the application (client) ID from the registration's overview, not its object ID, and not a managed \
             identity's client ID.",
            "See whether it is in this directory (sign in with az login --tenant first):",
            "az ad app show --id $CLIENT_ID --query displayName",
            "If the registration is there and the error stays, create its enterprise application:",
            "az ad sp create --id $CLIENT_ID",
        ],
        source: "reference-error-codes",
    },
    Explanation {
        code: 700_024,
        title: "the server's proof of itself is out of date",
        meaning: "In this server's exchange: the client assertion (the managed identity's token, the workload's token file, \
            or what is signed with the certificate) is expired or not valid yet. The user's token is not the matter.",
        fix: &[
            "Check the server's clock; `handler doctor` compares it with Entra's.",
            "With AZURE_FEDERATED_TOKEN_FILE: make sure the platform renews the file, and that it is the file that the \
             variable names.",
            "With a managed identity: restart the app; it then fetches a new token.",
        ],
        source: "certificate-credentials; Azure/azure-cli#28915",
    },
    Explanation {
        code: 700_025,
        title: "a public client sent a secret",
        meaning: "At the token request of the client: its redirect URI is registered under Mobile and desktop, where no \
            secret may be sent, and the client sends one.",
        fix: &[
            "Remove the client secret from the client's configuration.",
            "If the client insists on a secret (Copilot Studio does), register its redirect URI under Web instead.",
        ],
        source: "reference-error-codes",
    },
    Explanation {
        code: 700_027,
        title: "the registration does not know the certificate",
        meaning: "In this server's exchange: the signature of the client assertion belongs to no certificate of the API's \
            registration, or to one that has expired there.",
        fix: &[
            "See what the registration has, and until when:",
            "az ad app credential list --id $CLIENT_ID --cert --output table",
            "Write the certificate alone, without the private key, to a file: \
             openssl x509 -in <CLIENT_CERTIFICATE_PATH> -out cert.pem",
            "Upload that. Without --append all other credentials would go:",
            "az ad app credential reset --id $CLIENT_ID --append --cert @cert.pem",
            "In Azure rather use a managed identity: then there is no key to keep.",
        ],
        source: "certificate-credentials; reference-error-codes",
    },
    Explanation {
        code: 700_082,
        title: "the refresh token lay unused for too long",
        meaning: "At the client's refresh: nobody used the client for weeks.",
        fix: &["The user signs in again in the client. Nothing is wrong with the server."],
        source: "reference-error-codes",
    },
    Explanation {
        code: 700_211,
        title: "no federated credential has this issuer",
        meaning: "In this server's exchange: the API's registration trusts no identity of this issuer. For a managed identity \
            the issuer is https://login.microsoftonline.com/<TENANT_ID>/v2.0, without a slash at the end, and identity and \
            registration are in one directory.",
        fix: FEDERATE,
        source: FEDERATION_SOURCE,
    },
    Explanation {
        code: 700_212,
        title: "no federated credential has this audience",
        meaning: "In this server's exchange: the federated credential names another audience than the identity's token was \
            fetched for. It is api://AzureADTokenExchange; in US Government api://AzureADTokenExchangeUSGov, in China \
            api://AzureADTokenExchangeChina. Never the API's own URI.",
        fix: FEDERATE,
        source: FEDERATION_SOURCE,
    },
    Explanation {
        code: 700_213,
        title: "no federated credential has this subject",
        meaning: "In this server's exchange: the federated credential trusts another identity. Its subject must be the \
            managed identity's object (principal) ID; the identity's client ID is the usual mistake. Or the app has several \
            identities and used another one.",
        fix: FEDERATE,
        source: FEDERATION_SOURCE,
    },
    Explanation {
        code: 700_229,
        title: "a user's token was sent as the server's own",
        meaning: "In this server's exchange: the client assertion is a token of a user. Only the token of an identity without \
            a user, such as a managed identity's, can stand for the server.",
        fix: &[
            "Set MANAGED_IDENTITY_CLIENT_ID to a user-assigned managed identity that is assigned to the app; at a \
             developer's desk use CLIENT_CERTIFICATE_PATH or CLIENT_SECRET instead.",
            "With AZURE_FEDERATED_TOKEN_FILE: the file must hold the workload's token, not one from az.",
        ],
        source: "reference-error-codes",
    },
    Explanation {
        code: 900_144,
        title: "the request lacks a parameter, mostly scope",
        meaning: "In the client's sign-in, at its token request, or at its refresh: the client sent no scope, and Entra \
            requires one. The message names the parameter.",
        fix: &[
            "Configure the scopes in the client, in full: <MCP_URL>/access_as_user <MCP_URL>/MCP.Tools. In Claude Code \
             that is oauth.scopes in .mcp.json; in Copilot Studio the field Scopes.",
            "Update the client: some versions leave scope out although this server advertises its scopes.",
        ],
        source: "anthropics/claude-code#72440; CyberDrain/CIPP#278; github/copilot-cli#4582",
    },
    Explanation {
        code: 901_002,
        title: "the endpoint takes no resource parameter",
        meaning: "In the client's sign-in: the client sends `resource` (RFC 8707), as MCP requires, to an endpoint that does \
            not take it. Entra's v2.0 endpoint refused it that way before 2026; today it compares it, see AADSTS9010010.",
        fix: &[
            "Let the client sign in at https://login.microsoftonline.com/<TENANT_ID>/v2.0, which this server's metadata \
             names: remove any other authorization server from its configuration.",
            "If it stays, let the client leave the parameter out where it can: mcp-remote from 0.1.43 has \
             --disable-resource-parameter.",
        ],
        source: "reference-error-codes; PrefectHQ/fastmcp#2116; punkpeye/mcp-remote#217",
    },
    Explanation {
        code: 7_000_114,
        title: "there is no user to act for",
        meaning: "In an exchange: the assertion is an application's own token, and Entra exchanges only tokens of users. This \
            server answers such callers with a 403 and never sends their tokens, unless a tool of your own does.",
        fix: &[
            "Let the client sign a user in (authorization code with PKCE) instead of using client credentials or a managed \
             identity.",
            "For a caller without a user, write a tool that declares an app role and reaches nothing on behalf of a user.",
        ],
        source: "reference-error-codes; microsoft/mcp#2192",
    },
    Explanation {
        code: 7_000_215,
        title: "the client secret is wrong",
        meaning: "In this server's exchange: CLIENT_SECRET is none of the API registration's secrets. Often the secret's ID \
            was copied instead of its value, or the secret of the client's registration.",
        fix: &[
            "Make a new secret, and put `password` of the answer into CLIENT_SECRET. Without --append all others would go:",
            NEW_SECRET,
            "In Azure rather use a managed identity (MANAGED_IDENTITY_CLIENT_ID): nothing to copy, nothing to expire.",
        ],
        source: "reference-error-codes",
    },
    Explanation {
        code: 7_000_218,
        title: "a secret or an assertion is expected",
        meaning: "At the token request of the client: its redirect URI is registered under Web, where Entra wants a secret, \
            and MCP clients have none. In this server's exchange it would mean that no credential is set.",
        fix: &[
            "Move the redirect URI to Mobile and desktop applications and allow public client flows. The command replaces \
             the list of that platform; remove the URI under Web by hand:",
            SET_REDIRECT_URIS,
            "If the message names CLIENT_ID: give the client a registration of its own; the API's stays without redirect \
             URIs. If the server logged it, set a credential and run `handler doctor`.",
        ],
        source: "reference-error-codes; Softeria/ms-365-mcp-server#411",
    },
    Explanation {
        code: 7_000_222,
        title: "the client secret has expired",
        meaning: "In this server's exchange: the secret in CLIENT_SECRET was right once. Every tool that reaches Graph fails \
            until it is replaced.",
        fix: &[
            "Make a new secret, put `password` of the answer into CLIENT_SECRET, and restart:",
            NEW_SECRET,
            "In Azure rather use a managed identity (MANAGED_IDENTITY_CLIENT_ID): it never expires.",
        ],
        source: "reference-error-codes",
    },
    Explanation {
        code: 7_002_138,
        title: "the federated credential differs in upper or lower case",
        meaning: "In this server's exchange: a federated credential is there that would fit if letters' case did not count. \
            Entra compares to the letter.",
        fix: FEDERATE,
        source: "reference-breaking-changes; Azure/login#517",
    },
    Explanation {
        code: 9_002_313,
        title: "Entra cannot read the request",
        meaning: "At a token request: some part of it is damaged, mostly a code or token that was cut, changed in case, or \
            encoded twice.",
        fix: &[
            "Sign out of this server in the client and sign in again: that replaces a damaged code or refresh token.",
            "If the server's own exchange gets it, look for a gateway in front that rewrites the Authorization header, and \
             check AZURE_AUTHORITY_HOST.",
        ],
        source: "reference-error-codes; AzureAD/microsoft-authentication-library-for-android#558",
    },
    Explanation {
        code: 9_002_326,
        title: "a browser redeemed the code, its redirect URI is not for that",
        meaning: "At the token request of a client that runs in a web page, such as MCP Inspector: Entra lets pages do that \
            only for redirect URIs of the single-page platform.",
        fix: &["Register this client's redirect URI under Authentication > Single-page application of the client's \
             registration, and remove it from other platforms. MCP Inspector: http://localhost:6274/oauth/callback."],
        source: "vibber-ai/fastapi-azure-auth#47",
    },
    Explanation {
        code: 9_002_327,
        title: "the redirect URI is registered for web pages only",
        meaning: "At the token request of the client: its redirect URI is under Single-page application, where only a web \
            page (a request with Origin) may redeem the code. Claude, ChatGPT and VS Code are not pages.",
        fix: &[
            "Register the URI under Mobile and desktop applications and allow public client flows. The command replaces \
             the list of that platform:",
            SET_REDIRECT_URIS,
            "Remove it under Single-page application, by hand.",
        ],
        source: "Softeria/ms-365-mcp-server#411; AzureAD/microsoft-authentication-library-for-js#2482",
    },
    Explanation {
        code: 9_010_010,
        title: "the resource and the scopes do not belong together",
        meaning: "In the client's sign-in, before any page: MCP clients send `resource` (the URL of this server), and Entra \
            wants it equal, byte for byte, to an Application ID URI of the API whose scopes are asked for. Registrations \
            made from most templates only have api://<CLIENT_ID>, and then every sign-in ends here.",
        fix: &[
            "Let the API issue v2.0 tokens. This comes first: for v1.0 applications most directories refuse a URL of a \
             domain they do not own. With such URIs set there is no way back to v1.0.",
            TOKEN_VERSION,
            "Set the Application ID URIs: the MCP URL and the base URL, both without a slash at the end. The command \
             replaces the list, so add what shall stay.",
            IDENTIFIER_URIS,
            "If the directory refuses the URL all the same, serve from a domain that is verified in it (RESOURCE_SERVER_URL).",
            "Leave SCOPE_URI unset: the server then advertises scopes under the MCP URL, as Entra wants them. In the client, \
             use exactly the MCP URL, and remove api://… scopes and short scope names from its configuration.",
            "Run `handler doctor`: it reads the metadata as clients do. Remove the server in the client and add it again, \
             for clients remember the old metadata.",
        ],
        source: "secure-mcp-server-with-entra-id; identifier-uri-restrictions; microsoft/vscode#321249",
    },
];

const MFA_MEANING: &str = "At sign-in Entra asks the user by itself. In this server's exchange there is no user to ask: Graph \
    demands more than the sign-in to this server did. The server passes the demand on as a 401 with a claims challenge; a \
    client that understands it takes the user through the missing step.";

const MFA_FIX: &[&str] = &[
    "The user signs out of this server in the client, and signs in again with a second factor.",
    "An administrator lets the policy that covers Graph (or all resources) cover this API, too: then the step happens at \
     sign-in, and no client needs to understand challenges.",
    "Update the client: many do not yet act on a claims challenge.",
];

const MFA_SOURCE: &str = "reference-error-codes; claims-challenge; \
    AzureAD/microsoft-authentication-library-for-js#5491";

const CONDITIONAL_ACCESS_MEANING: &str = "In the client's sign-in, or in this server's exchange when a policy covers Graph \
    but not this API: a policy of the organization does not let the user have this token. If Entra says what would help, the \
    client gets it as a 401 with a claims challenge; otherwise only an administrator can change it.";

const TRANSIENT_MEANING: &str = "In the client's sign-in and in the exchange: a fault on Entra's side that passes. The server \
    tries again by itself where that is safe, and otherwise asks users to try again later.";

const TRANSIENT_FIX: &[&str] = &[
    "Try again in a minute.",
    "If it stays, look at https://azure.status.microsoft/status and open a support request with the correlation ID from the \
     message.",
];

const FEDERATION_SOURCE: &str = "workload-identity-federation-config-app-trust-managed-identity";

/// Registers the identity that the app has.
const FEDERATE: &[&str] = &[
    "Run `handler doctor` where the server runs, or read its log: both show the issuer, subject and audience that the \
     identity's token really has.",
    "Otherwise look up the identity's object (principal) ID for PRINCIPAL_ID. It must be a user-assigned identity, and the \
     one that MANAGED_IDENTITY_CLIENT_ID or FEDERATED_CREDENTIAL_OID names:",
    "az identity show --name $IDENTITY --resource-group $RESOURCE_GROUP \\\n  --query principalId --output tsv",
    "See what the registration trusts now:",
    "az ad app federated-credential list --id $CLIENT_ID \\\n  --query \"[].[name,issuer,subject,audiences[0]]\" --output table",
    "Add the identity (if the name is taken, choose another, or delete the wrong one first):",
    REGISTER_IDENTITY,
    "Wait some minutes: a new credential is not known everywhere at once.",
];

const REGISTER_IDENTITY: &str = r#"az ad app federated-credential create --id $CLIENT_ID --parameters "{
  \"name\": \"mcp-server\",
  \"issuer\": \"https://login.microsoftonline.com/$TENANT_ID/v2.0\",
  \"subject\": \"$PRINCIPAL_ID\",
  \"audiences\": [\"api://AzureADTokenExchange\"]
}""#;

const TOKEN_VERSION: &str = "az ad app update --id $CLIENT_ID --set api.requestedAccessTokenVersion=2";

const IDENTIFIER_URIS: &str =
    "az ad app update --id $CLIENT_ID \\\n  --identifier-uris $MCP_URL $BASE_URL api://$CLIENT_ID";

const LIST_SCOPES: &str =
    "az ad app show --id $CLIENT_ID \\\n  --query \"api.oauth2PermissionScopes[].[value,id]\" --output tsv";

/// Delegated `User.Read` of Graph.
const ADD_GRAPH_PERMISSION: &str = "az ad app permission add --id $CLIENT_ID \\\n  \
    --api 00000003-0000-0000-c000-000000000000 \\\n  \
    --api-permissions e1fe6dd8-ba31-4d61-89e7-88639da4683d=Scope";

const GRANT_CLIENT: &str =
    "az ad app permission grant --id $PUBLIC_CLIENT_ID --api $CLIENT_ID \\\n  --scope \"access_as_user MCP.Tools\"";

/// Redirect URIs of the platform "Mobile and desktop applications".
const SET_REDIRECT_URIS: &str = "az ad app update --id $PUBLIC_CLIENT_ID --is-fallback-public-client true \\\n  \
    --public-client-redirect-uris $REDIRECT_URIS";

const NEW_SECRET: &str = "az ad app credential reset --id $CLIENT_ID --append --display-name mcp-server";
