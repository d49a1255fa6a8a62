#!/usr/bin/env bash
# The API's app registration by script, for directories where the deployment itself may not make one. Repeatable: it says what
# differs, changes only that, and leaves everything else alone.
#
#   infra/hooks/entra-app.sh create      make it if it is not there, and set CLIENT_ID in the azd environment
#   infra/hooks/entra-app.sh complete    after provisioning: identifier URIs, scopes, federated credential
#   infra/hooks/entra-app.sh diff        say what complete would change
set -euo pipefail
cd "$(dirname "$0")/../.."

name="MCP server (${AZURE_ENV_NAME:?azd sets it})"

# Every `key=value` that the registration shall have, one a line.
wanted() {
    echo "requestedAccessTokenVersion=2"
    echo "identifierUri=${RESOURCE_SERVER_URL:?}/mcp"
    echo "identifierUri=$RESOURCE_SERVER_URL"
    echo "identifierUri=api://$CLIENT_ID"
    python3 -c 'import json; [print("scope=" + s["value"]) for s in json.load(open("infra/scopes.json"))["delegated"]]'
    echo "subject=${MANAGED_IDENTITY_PRINCIPAL_ID:?}"
}

present() {
    az ad app show --id "$CLIENT_ID" --output json | python3 -c '
import json, sys
app = json.load(sys.stdin)
print("requestedAccessTokenVersion=" + str(app["api"].get("requestedAccessTokenVersion")))
for uri in app.get("identifierUris", []): print("identifierUri=" + uri)
for scope in app["api"].get("oauth2PermissionScopes", []): print("scope=" + scope["value"])'
    az ad app federated-credential list --id "$CLIENT_ID" --query "[].subject" --output tsv | sed 's/^/subject=/'
}

difference() {
    # 1 is diff's word for "they differ".
    { diff <(present | sort) <(wanted | sort) || [ $? = 1 ]; } | sed -n 's/^>/+/p; s/^</-/p'
}

case "${1:-}" in
    create)
        CLIENT_ID=${CLIENT_ID:-$(az ad app list --display-name "$name" --query "[0].appId" --output tsv)}
        if [ -z "$CLIENT_ID" ]; then
            CLIENT_ID=$(az ad app create --display-name "$name" --sign-in-audience AzureADMyOrg --query appId --output tsv)
            az ad sp create --id "$CLIENT_ID" --output none
            echo "made the application $CLIENT_ID"
        else
            echo "the application $CLIENT_ID is there already"
        fi
        azd env set CLIENT_ID "$CLIENT_ID"
        ;;
    diff)
        difference
        ;;
    complete)
        changes=$(difference)
        if [ -z "$changes" ]; then
            echo "the application is as it shall be"
            exit 0
        fi
        echo "$changes"
        # The token version first: only then may identifier URIs be URLs of unverified domains.
        az rest --method PATCH --uri "https://graph.microsoft.com/v1.0/applications(appId='$CLIENT_ID')" \
            --body '{"api":{"requestedAccessTokenVersion":2}}'
        az ad app update --id "$CLIENT_ID" \
            --identifier-uris "$RESOURCE_SERVER_URL/mcp" "$RESOURCE_SERVER_URL" "api://$CLIENT_ID"
        body=$(az ad app show --id "$CLIENT_ID" --output json | python3 -c '
import json, sys, uuid
app = json.load(sys.stdin)
scopes = app["api"].get("oauth2PermissionScopes", [])
have = {scope["value"] for scope in scopes}
for scope in json.load(open("infra/scopes.json"))["delegated"]:
    if scope["value"] not in have:
        scopes.append({**scope, "id": str(uuid.uuid5(uuid.NAMESPACE_URL, app["appId"] + scope["value"])), "type": "User", "isEnabled": True})
print(json.dumps({"api": {"oauth2PermissionScopes": scopes}}))')
        az rest --method PATCH --uri "https://graph.microsoft.com/v1.0/applications(appId='$CLIENT_ID')" --body "$body"
        have=$(present)
        if ! grep -qx "subject=$MANAGED_IDENTITY_PRINCIPAL_ID" <<<"$have"; then
            cloud=$(az cloud show --query name --output tsv)
            case "$cloud" in
                AzureUSGovernment) audience=api://AzureADTokenExchangeUSGov ;;
                AzureChinaCloud) audience=api://AzureADTokenExchangeChina ;;
                *) audience=api://AzureADTokenExchange ;;
            esac
            authority=$(az cloud show --query endpoints.activeDirectory --output tsv)
            az ad app federated-credential create --id "$CLIENT_ID" --parameters "{
              \"name\": \"managed-identity\",
              \"issuer\": \"${authority%/}/${TENANT_ID:?}/v2.0\",
              \"subject\": \"$MANAGED_IDENTITY_PRINCIPAL_ID\",
              \"audiences\": [\"$audience\"]
            }" --output none
        fi
        az ad app permission add --id "$CLIENT_ID" --api 00000003-0000-0000-c000-000000000000 \
            --api-permissions e1fe6dd8-ba31-4d61-89e7-88639da4683d=Scope
        ;;
    *)
        echo "usage: entra-app.sh create | complete | diff" >&2
        exit 2
        ;;
esac
