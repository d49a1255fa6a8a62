#!/usr/bin/env bash
# Before provisioning: what would fail late, said early.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    echo "preprovision: $1" >&2
    exit 1
}

need() {
    command -v "$1" >/dev/null || fail "$1 is not installed; $2"
}

need az "see https://aka.ms/install-az-cli"
need func "see https://aka.ms/func-core-tools (4.5 or newer)"
need cargo "see https://rustup.rs"

# Core Tools below 4.5 do not know Flex Consumption's publishing.
version=$(func --version)
case "$version" in
    [0-3].* | 4.[0-4].*) fail "func is $version; 4.5 or newer is needed" ;;
esac

az account show --output none 2>/dev/null || fail "not signed in; run az login"

for provider in Microsoft.App Microsoft.Web Microsoft.Storage Microsoft.ManagedIdentity Microsoft.Insights \
    Microsoft.OperationalInsights Microsoft.AlertsManagement; do
    state=$(az provider show --namespace "$provider" --query registrationState --output tsv 2>/dev/null || echo unknown)
    if [ "$state" != Registered ]; then
        echo "registering $provider (it is $state)"
        az provider register --namespace "$provider" --wait ||
            fail "cannot register $provider; ask a subscription owner: az provider register --namespace $provider"
    fi
done

location=${AZURE_LOCATION:-$(azd env get-value AZURE_LOCATION)}
# Into a variable first: grep -q stops reading early, and the pipe would break.
offered=$(az functionapp list-flexconsumption-locations --query "[].name" --output tsv)
grep -qix "${location// /}" <<<"$offered" ||
    fail "$location does not offer Flex Consumption; choose one of: az functionapp list-flexconsumption-locations"

case "${ENTRA_APP_MODE:-bicep}" in
    bicep) ;;
    existing)
        [ -n "${CLIENT_ID:-}" ] ||
            fail "ENTRA_APP_MODE=existing needs CLIENT_ID: azd env set CLIENT_ID <application (client) ID>"
        ;;
    script) infra/hooks/entra-app.sh create ;;
    *) fail "ENTRA_APP_MODE must be bicep, existing or script" ;;
esac
