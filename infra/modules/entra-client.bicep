// The public client that MCP clients sign in with: no secret, redirect URIs of the clients that are known. An application of
// its own, so that the API's carries no public-client flags.
extension microsoftGraphV1

param uniqueName string
param displayName string
param apiClientId string
param apiUniqueName string

var scopes = loadJsonContent('../scopes.json')
var clients = loadJsonContent('../clients.json')

resource app 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: uniqueName
  displayName: displayName
  signInAudience: 'AzureADMyOrg'
  isFallbackPublicClient: true
  // "Mobile and desktop": web asks for a secret (AADSTS7000218), spa for a browser (AADSTS9002327).
  publicClient: { redirectUris: clients.redirectUris.publicClient }
  requiredResourceAccess: [
    {
      resourceAppId: apiClientId
      resourceAccess: [
        for scope in scopes.delegated: { id: guid(apiUniqueName, 'scope', scope.value), type: 'Scope' }
      ]
    }
  ]
}

resource principal 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: app.appId
}

output clientId string = app.appId
output principalId string = principal.id
