#!/usr/bin/env python3
"""Writes types.json: what Azure publishes about the resource types that infra/ uses, as far as infra/ could use it.

    npm install @azure/mcp-linux-x64@2.0.5     # in a folder of its own; works offline afterwards
    tests/infra/regenerate-types.py <that folder>/node_modules/@azure/mcp-linux-x64/dist/azmcp

Kept are only objects that are reached by property names which occur in the Bicep files.
"""
import json, os, pathlib, re, subprocess, sys

TYPES = [
    "Microsoft.ApiManagement/service",
    "Microsoft.ApiManagement/service/apis",
    "Microsoft.ApiManagement/service/apis/diagnostics",
    "Microsoft.ApiManagement/service/apis/operations",
    "Microsoft.ApiManagement/service/apis/policies",
    "Microsoft.ApiManagement/service/loggers",
    "Microsoft.Authorization/roleAssignments",
    "Microsoft.Consumption/budgets",
    "Microsoft.Insights/components",
    "Microsoft.Insights/workbooks",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    "Microsoft.Network/privateEndpoints",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
    "Microsoft.Network/virtualNetworks",
    "Microsoft.OperationalInsights/workspaces",
    "Microsoft.Resources/resourceGroups",
    "Microsoft.Storage/storageAccounts",
    "Microsoft.Storage/storageAccounts/blobServices/containers",
    "Microsoft.Web/serverfarms",
    "Microsoft.Web/sites",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies",
]

azmcp = sys.argv[1]
root = pathlib.Path(__file__).resolve().parents[2]
text = "\n".join(path.read_text() for path in (root / "infra").rglob("*.bicep"))
words = set(re.findall(r"([A-Za-z_]\w*)\s*:", text))


def properties(entry):
    kept = {}
    for prop in entry["properties"]:
        flags = [flag for flag in ("Required", "ReadOnly") if flag in prop.get("flags", "")]
        kept[prop["name"]] = " ".join([prop["type"], *(f"({flag})" for flag in flags)])
    return kept


def types_of(name):
    environment = {**os.environ, "AZURE_MCP_COLLECT_TELEMETRY": "false"}
    command = [azmcp, "bicepschema", "get", "--resource-type", name]
    answer = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    entries = answer["results"]["BicepSchemaResult"]
    resource = next(e for e in entries if e["$type"] == "Resource" and e["name"].lower().startswith(name.lower() + "@"))
    objects = {e["name"]: e for e in entries if e["$type"] == "Object"}
    body = properties(resource["bodyType"]) if "properties" in resource["bodyType"] else {}
    kept, open_ = {}, [body]
    while open_:
        for prop, kind in open_.pop().items():
            for part in re.findall(r"[A-Za-z_]\w*", kind):
                if prop in words and part in objects and part not in kept:
                    kept[part] = properties(objects[part])
                    open_.append(kept[part])
    return {"version": resource["name"].split("@")[1], "body": body, "objects": dict(sorted(kept.items()))}


types = {name: types_of(name) for name in TYPES}
(pathlib.Path(__file__).parent / "types.json").write_text(json.dumps(types, indent=1, sort_keys=True) + "\n")
print(len(types), "types")
