#!/usr/bin/env bash
# Before `azd down`: app registrations are no Azure resources and would stay.
set -euo pipefail

for id in "${CLIENT_ID:-}" "${PUBLIC_CLIENT_ID:-}"; do
    [ -n "$id" ] || continue
    if [ "${ENTRA_APP_MODE:-bicep}" = existing ]; then
        echo "the application $id existed before: it stays"
        continue
    fi
    answer=n
    read -r -p "Delete the app registration $id, too? Everybody's consent goes with it. [y/N] " answer || true
    case "$answer" in
        y | Y) az ad app delete --id "$id" && echo "deleted $id" ;;
        *) echo "kept $id: az ad app delete --id $id" ;;
    esac
done
