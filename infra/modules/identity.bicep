// The one identity of the app: host storage, package, telemetry, and the proof towards Entra (federated credential).
param name string
param location string
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

output id string = identity.id
output clientId string = identity.properties.clientId
@description('Object (principal) ID: the subject of the federated credential.')
output principalId string = identity.properties.principalId
