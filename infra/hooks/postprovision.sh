#!/usr/bin/env bash
# After provisioning: complete the registration, publish the package, prove the set-up, say how to connect.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "${ENTRA_APP_MODE:-bicep}" = script ]; then
    infra/hooks/entra-app.sh complete
fi

cargo package-function
echo "publishing to ${AZURE_FUNCTION_APP_NAME:?}"
if ! (cd target/package/stage && func azure functionapp publish "$AZURE_FUNCTION_APP_NAME" --custom --no-build); then
    echo "func could not publish; trying the zip itself" >&2
    az functionapp deployment source config-zip --resource-group "${AZURE_RESOURCE_GROUP:?}" \
        --name "$AZURE_FUNCTION_APP_NAME" --src target/package/function.zip
fi

# The managed identity can be asked on the app only; all that clients see is proven from here. A first start takes a moment.
echo
export TENANT_ID CLIENT_ID MANAGED_IDENTITY_CLIENT_ID RESOURCE_SERVER_URL
for attempt in 1 2 3; do
    if cargo run --quiet --bin handler -- doctor --as-client; then
        break
    fi
    [ "$attempt" = 3 ] && echo "postprovision: the deployment is not in order yet; see above" >&2
    sleep "${DOCTOR_PAUSE:-20}"
done

cat <<END

Connect your client
  MCP URL          $RESOURCE_SERVER_URL/mcp
  client ID        ${PUBLIC_CLIENT_ID:-of your own public client}   (no secret)
  VS Code          { "servers": { "mcp": { "type": "http", "url": "$RESOURCE_SERVER_URL/mcp" } } }
  Admin consent    https://login.microsoftonline.com/${TENANT_ID:?}/adminconsent?client_id=${CLIENT_ID:?}
END
