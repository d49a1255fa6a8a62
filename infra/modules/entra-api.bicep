// The API's app registration: owner of the scopes, and the middle tier of the on-behalf-of flow. No secret: a federated
// credential trusts the managed identity.
extension microsoftGraphV1

@description('Makes the deployment repeatable: the same name is the same application.')
param uniqueName string
param displayName string

@description('To the letter what clients send as `resource`: the MCP URL and the base URL. Empty in the first pass.')
param identifierUris array

@description('Object (principal) ID of the managed identity.')
param identityPrincipalId string

@description('Our own public clients; known ones of others are in clients.json.')
param publicClientIds array

var scopes = loadJsonContent('../scopes.json')
var clients = loadJsonContent('../clients.json')
var graph = '00000003-0000-0000-c000-000000000000'

// Deterministic: the same scope keeps its ID over all deployments, and with it everybody's consent.
var scopeIds = map(scopes.delegated, scope => guid(uniqueName, 'scope', scope.value))
var audiences = {
  AzureCloud: 'api://AzureADTokenExchange'
  AzureUSGovernment: 'api://AzureADTokenExchangeUSGov'
  AzureChinaCloud: 'api://AzureADTokenExchangeChina'
}
var preAuthorized = concat(map(clients.preAuthorized, client => client.clientId), publicClientIds)

resource app 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: uniqueName
  displayName: displayName
  signInAudience: 'AzureADMyOrg'
  identifierUris: identifierUris
  api: {
    requestedAccessTokenVersion: 2
    oauth2PermissionScopes: [
      for (scope, at) in scopes.delegated: {
        id: scopeIds[at]
        value: scope.value
        type: 'User'
        isEnabled: true
        adminConsentDisplayName: scope.adminConsentDisplayName
        adminConsentDescription: scope.adminConsentDescription
        userConsentDisplayName: scope.userConsentDisplayName
        userConsentDescription: scope.userConsentDescription
      }
    ]
    preAuthorizedApplications: [
      for clientId in preAuthorized: {
        appId: clientId
        delegatedPermissionIds: scopeIds
      }
    ]
  }
  appRoles: [
    for role in scopes.appRoles: {
      id: guid(uniqueName, 'role', role.value)
      value: role.value
      displayName: role.displayName
      description: role.description
      allowedMemberTypes: ['Application']
      isEnabled: true
    }
  ]
  optionalClaims: {
    accessToken: [
      { name: 'idtyp', essential: false, additionalProperties: ['include_user_token'] }
      { name: 'xms_cc', essential: false, additionalProperties: [] }
      { name: 'acct', essential: false, additionalProperties: [] }
    ]
  }
  requiredResourceAccess: [
    {
      resourceAppId: graph
      resourceAccess: [for permission in scopes.graphDelegated: { id: permission.id, type: 'Scope' }]
    }
  ]
}

resource federation 'Microsoft.Graph/applications/federatedIdentityCredentials@v1.0' = {
  name: '${app.uniqueName}/managed-identity'
  description: 'The Function App\'s user-assigned identity proves to be this application.'
  audiences: [audiences[environment().name]]
  issuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
  subject: identityPrincipalId
}

resource principal 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: app.appId
}

output clientId string = app.appId
output principalId string = principal.id
