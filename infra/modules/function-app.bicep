// The site, without app settings: they need the app registration, which needs the site's name. No Easy Auth: the handler
// checks tokens itself, and Easy Auth breaks streamed answers on Flex Consumption.
param name string
param location string
param tags object
param planId string
param identityId string

@description('Where the package lies: blob endpoint and container.')
param deploymentContainerUrl string

@minValue(1)
param alwaysReadyInstances int
param instanceMemoryMB int
param maximumInstanceCount int
param perInstanceConcurrency int
param siteUpdateStrategy string
param allowedOrigins array

@description('Subnet for outbound traffic; empty: none.')
param subnetId string

resource site 'Microsoft.Web/sites@2024-11-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: planId
    httpsOnly: true
    clientAffinityEnabled: false
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      cors: { allowedOrigins: allowedOrigins, supportCredentials: false }
    }
    functionAppConfig: {
      runtime: { name: 'custom', version: '1.0' }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: deploymentContainerUrl
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
        }
      }
      scaleAndConcurrency: {
        alwaysReady: [{ name: 'http', instanceCount: alwaysReadyInstances }]
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        triggers: { http: { perInstanceConcurrency: perInstanceConcurrency } }
      }
      // Newer than the types of this API version; older compilers warn (BCP037).
      #disable-next-line BCP037
      siteUpdateStrategy: { type: siteUpdateStrategy }
    }
  }

  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }
}

output name string = site.name
@description('The site\'s real name: newer ones carry a random part, so it is never put together here.')
output url string = 'https://${site.properties.defaultHostName}'
