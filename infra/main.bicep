// The MCP server on Flex Consumption, without a secret anywhere.
//
// Order, and why there is no cycle: the app registration must carry the site's public URL, and the site's settings must carry
// the registration's client ID. So the site comes first without settings, then the registration, then the settings.
targetScope = 'subscription'

@minLength(1)
@maxLength(32)
@description('Name of the environment: part of every resource\'s name.')
param environmentName string

@minLength(1)
@description('Region. Must offer Flex Consumption.')
param location string

@description('Zone-redundant plan and at least two always-ready instances.')
param zoneRedundant bool = false

@minValue(1)
@maxValue(20)
@description('Instances that are always warm. One of them is the least for no cold starts; zone redundancy needs two.')
param alwaysReadyInstances int = 1

@allowed([512, 2048, 4096])
@description('Memory of an instance in MB; the host and the handler share it.')
param instanceMemoryMB int = 2048

@minValue(40)
@maxValue(1000)
@description('The most instances.')
param maximumInstanceCount int = 100

@minValue(1)
@maxValue(1000)
@description('Requests an instance takes at once before another one starts.')
param perInstanceConcurrency int = 64

@allowed(['Recreate', 'RollingUpdate'])
@description('RollingUpdate drains instances; it is in preview and not offered in every region.')
param siteUpdateStrategy string = 'Recreate'

@description('Browser origins that may call. The platform answers their preflight requests.')
param allowedOrigins array = []

@description('Public base URL where it is not the site\'s own: a custom domain, https and no slash at the end.')
param publicBaseUrl string = ''

@allowed(['bicep', 'existing'])
@description('Whether the app registrations are made here, or exist already (made by an administrator or by hooks/entra-app.sh).')
param entraAppMode string = 'bicep'

@description('The API registration\'s application (client) ID: with entraAppMode existing, and from the second deployment on.')
param existingClientId string = ''

@description('Further settings of the handler by name, such as { ALLOWED_CLIENT_IDS: \'...\' }. See the README\'s table.')
param handlerSettings object = {}

@description('A virtual network, and storage by private endpoint only.')
param useNetwork bool = false

@description('API Management in front: metadata and MCP on its URL, limits per caller.')
param useApiManagement bool = false

@description('Publisher\'s mail address for API Management.')
param apiManagementPublisherEmail string = 'noreply@example.com'

@description('Where alerts and budget notices go. Empty: alerts show in the portal only, and there is no budget.')
param notificationEmail string = ''

@minValue(1)
@description('Monthly budget in the subscription\'s currency; notices at 80 and 100 percent.')
param monthlyBudget int = 100

@description('First day of the month in which the budget begins.')
param budgetStart string = utcNow('yyyy-MM-01')

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }
// A custom domain, the gateway, or the site itself; the names of the latter two only Azure knows.
var baseUrl = !empty(publicBaseUrl) ? publicBaseUrl : useApiManagement ? apiManagement!.outputs.url : functionApp.outputs.url
var apiClientId = empty(existingClientId) ? apiFirst!.outputs.clientId : existingClientId

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  scope: group
  params: { name: 'id-${token}', location: location, tags: tags }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  params: { workspaceName: 'log-${token}', insightsName: 'appi-${token}', location: location, tags: tags }
}

module network 'modules/network.bicep' = if (useNetwork) {
  scope: group
  params: { name: 'vnet-${token}', location: location, tags: tags, storageAccountId: storage.outputs.id }
}

module storage 'modules/storage.bicep' = {
  scope: group
  params: { name: 'st${token}', location: location, tags: tags, privateOnly: useNetwork }
}

module roles 'modules/roles.bicep' = {
  scope: group
  params: {
    principalId: identity.outputs.principalId
    storageAccountName: storage.outputs.name
    insightsName: monitoring.outputs.insightsName
  }
}

module plan 'modules/plan.bicep' = {
  scope: group
  params: { name: 'plan-${token}', location: location, tags: tags, zoneRedundant: zoneRedundant }
}

module functionApp 'modules/function-app.bicep' = {
  scope: group
  params: {
    name: 'func-${token}'
    location: location
    tags: union(tags, { 'azd-service-name': 'mcp' })
    planId: plan.outputs.id
    identityId: identity.outputs.id
    deploymentContainerUrl: storage.outputs.deploymentContainerUrl
    // Azure refuses fewer than two where the plan is zone redundant.
    alwaysReadyInstances: zoneRedundant ? max(2, alwaysReadyInstances) : alwaysReadyInstances
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    perInstanceConcurrency: perInstanceConcurrency
    siteUpdateStrategy: siteUpdateStrategy
    allowedOrigins: allowedOrigins
    subnetId: useNetwork ? network!.outputs.functionSubnetId : ''
  }
  // The host reads its package as soon as it is there.
  dependsOn: [roles]
}

// At first twice, because `api://<client ID>` needs a client ID. The first pass sets the token version, which must come before
// identifier URIs: only v2.0 applications may carry a URL of a domain that the directory has not verified. Later deployments
// know the client ID and leave it out, or the URIs would be gone for a moment.
module apiFirst 'modules/entra-api.bicep' = if (entraAppMode == 'bicep' && empty(existingClientId)) {
  scope: group
  params: {
    uniqueName: 'mcp-${token}'
    displayName: 'MCP server (${environmentName})'
    identifierUris: []
    identityPrincipalId: identity.outputs.principalId
    publicClientIds: []
  }
}

module publicClient 'modules/entra-client.bicep' = if (entraAppMode == 'bicep') {
  scope: group
  params: {
    uniqueName: 'mcp-clients-${token}'
    displayName: 'MCP clients (${environmentName})'
    apiClientId: apiClientId
    apiUniqueName: 'mcp-${token}'
  }
}

module api 'modules/entra-api.bicep' = if (entraAppMode == 'bicep') {
  scope: group
  params: {
    uniqueName: 'mcp-${token}'
    displayName: 'MCP server (${environmentName})'
    identifierUris: ['${baseUrl}/mcp', baseUrl, 'api://${apiClientId}']
    identityPrincipalId: identity.outputs.principalId
    publicClientIds: [publicClient!.outputs.clientId]
  }
}

module appSettings 'modules/app-settings.bicep' = {
  scope: group
  params: {
    functionAppName: functionApp.outputs.name
    tenantId: tenant().tenantId
    clientId: entraAppMode == 'bicep' ? api!.outputs.clientId : existingClientId
    identityClientId: identity.outputs.clientId
    baseUrl: baseUrl
    allowedOrigins: allowedOrigins
    blobEndpoint: storage.outputs.blobEndpoint
    insightsConnectionString: monitoring.outputs.connectionString
    handlerSettings: handlerSettings
  }
}

module apiManagement 'modules/api-management.bicep' = if (useApiManagement) {
  scope: group
  params: {
    name: 'apim-${token}'
    location: location
    tags: tags
    publisherEmail: apiManagementPublisherEmail
    backendUrl: functionApp.outputs.url
    insightsId: monitoring.outputs.insightsId
    insightsConnectionString: monitoring.outputs.connectionString
  }
}

module alerts 'modules/alerts.bicep' = {
  scope: group
  params: {
    name: 'alert-${token}'
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    notificationEmail: notificationEmail
  }
}

module workbook 'modules/workbook.bicep' = {
  scope: group
  params: {
    name: guid(group.id, 'workbook')
    displayName: 'MCP server (${environmentName})'
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module budget 'modules/budget.bicep' = if (!empty(notificationEmail)) {
  scope: group
  params: {
    name: 'budget-${token}'
    amount: monthlyBudget
    startDate: budgetStart
    notificationEmail: notificationEmail
  }
}

output AZURE_LOCATION string = location
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_FUNCTION_APP_NAME string = functionApp.outputs.name
output TENANT_ID string = tenant().tenantId
output CLIENT_ID string = entraAppMode == 'bicep' ? api!.outputs.clientId : existingClientId
output PUBLIC_CLIENT_ID string = entraAppMode == 'bicep' ? publicClient!.outputs.clientId : ''
output MANAGED_IDENTITY_CLIENT_ID string = identity.outputs.clientId
output MANAGED_IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
output RESOURCE_SERVER_URL string = baseUrl
