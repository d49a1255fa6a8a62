// API Management in front, passing through: the handler checks tokens, the gateway limits callers. Nothing buffers or reads
// bodies: either would break streamed answers.
param name string
param location string
param tags object
param publisherEmail string

@description('The Function App\'s own URL.')
param backendUrl string
param insightsId string
param insightsConnectionString string

resource service 'Microsoft.ApiManagement/service@2024-05-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: 'BasicV2', capacity: 1 }
  identity: { type: 'SystemAssigned' }
  properties: {
    publisherName: 'MCP server'
    publisherEmail: publisherEmail
  }

  resource mcp 'apis' = {
    name: 'mcp'
    properties: {
      displayName: 'MCP server'
      path: ''
      protocols: ['https']
      serviceUrl: backendUrl
      subscriptionRequired: false
    }

    resource policy 'policies' = {
      name: 'policy'
      properties: {
        format: 'rawxml'
        value: loadTextContent('api-management-policy.xml')
      }
    }

    resource call 'operations' = {
      name: 'call'
      properties: { displayName: 'MCP', method: 'POST', urlTemplate: '/mcp' }
    }

    resource listen 'operations' = {
      name: 'listen'
      properties: { displayName: 'MCP (405)', method: 'GET', urlTemplate: '/mcp' }
    }

    resource end 'operations' = {
      name: 'end'
      properties: { displayName: 'MCP (405)', method: 'DELETE', urlTemplate: '/mcp' }
    }

    resource metadata 'operations' = {
      name: 'metadata'
      properties: {
        displayName: 'Protected-resource metadata'
        method: 'GET'
        urlTemplate: '/.well-known/*'
      }
    }

    resource health 'operations' = {
      name: 'health'
      properties: { displayName: 'Health', method: 'GET', urlTemplate: '/health/*' }
    }

    // No bodies in the logs: reading them would buffer.
    resource diagnostics 'diagnostics' = {
      name: 'applicationinsights'
      properties: {
        loggerId: logger.id
        alwaysLog: 'allErrors'
        sampling: { samplingType: 'fixed', percentage: 100 }
        frontend: { request: { body: { bytes: 0 } }, response: { body: { bytes: 0 } } }
        backend: { request: { body: { bytes: 0 } }, response: { body: { bytes: 0 } } }
      }
    }
  }

  resource logger 'loggers' = {
    name: 'insights'
    properties: {
      loggerType: 'applicationInsights'
      resourceId: insightsId
      credentials: { connectionString: insightsConnectionString, identityClientId: 'SystemAssigned' }
    }
  }
}

output url string = service.properties.gatewayUrl
