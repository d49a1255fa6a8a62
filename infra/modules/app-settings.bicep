// The handler's settings and the platform's. No secret among them: host storage, telemetry and Entra go by identity.
param functionAppName string
param tenantId string
param clientId string

@description('Client ID of the managed identity (not its principal ID).')
param identityClientId string
param baseUrl string
param allowedOrigins array
param blobEndpoint string
param insightsConnectionString string

@description('Optional settings of the handler by name; what is left out keeps the handler\'s own default.')
param handlerSettings object

resource site 'Microsoft.Web/sites@2024-11-01' existing = {
  name: functionAppName

  resource settings 'config' = {
    name: 'appsettings'
    properties: {
      // The platform's.
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: identityClientId
      AzureWebJobsStorage__blobServiceUri: blobEndpoint
      APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
      // The handler's.
      TENANT_ID: tenantId
      CLIENT_ID: clientId
      MANAGED_IDENTITY_CLIENT_ID: identityClientId
      RESOURCE_SERVER_URL: baseUrl
      ALLOWED_ORIGINS: join(allowedOrigins, ',')
      // An empty value counts as not set.
      AUDIENCE: handlerSettings.?AUDIENCE ?? ''
      SCOPE_URI: handlerSettings.?SCOPE_URI ?? ''
      RESOURCE_DOCUMENTATION: handlerSettings.?RESOURCE_DOCUMENTATION ?? ''
      AZURE_AUTHORITY_HOST: handlerSettings.?AZURE_AUTHORITY_HOST ?? ''
      GRAPH_BASE_URL: handlerSettings.?GRAPH_BASE_URL ?? ''
      ACCEPT_V1_TOKENS: handlerSettings.?ACCEPT_V1_TOKENS ?? ''
      ALLOWED_CLIENT_IDS: handlerSettings.?ALLOWED_CLIENT_IDS ?? ''
      JWKS_REFRESH_INTERVAL: handlerSettings.?JWKS_REFRESH_INTERVAL ?? ''
      JWKS_KEY_TTL: handlerSettings.?JWKS_KEY_TTL ?? ''
      OBO_MIN_ASSERTION_TTL: handlerSettings.?OBO_MIN_ASSERTION_TTL ?? ''
      MAX_CONNECTIONS: handlerSettings.?MAX_CONNECTIONS ?? ''
      MAX_HEADER_BYTES: handlerSettings.?MAX_HEADER_BYTES ?? ''
      MAX_BODY_BYTES: handlerSettings.?MAX_BODY_BYTES ?? ''
      MAX_BODY_VALUES: handlerSettings.?MAX_BODY_VALUES ?? ''
      HEADER_TIMEOUT: handlerSettings.?HEADER_TIMEOUT ?? ''
      BODY_TIMEOUT: handlerSettings.?BODY_TIMEOUT ?? ''
      IDLE_TIMEOUT: handlerSettings.?IDLE_TIMEOUT ?? ''
      CALL_TIMEOUT: handlerSettings.?CALL_TIMEOUT ?? ''
      MAX_REQUESTS_IN_FLIGHT: handlerSettings.?MAX_REQUESTS_IN_FLIGHT ?? ''
      MAX_REQUESTS_PER_SECOND: handlerSettings.?MAX_REQUESTS_PER_SECOND ?? ''
      MAX_CALLER_REQUESTS_PER_MINUTE: handlerSettings.?MAX_CALLER_REQUESTS_PER_MINUTE ?? ''
      MAX_CALLER_GRAPH_REQUESTS: handlerSettings.?MAX_CALLER_GRAPH_REQUESTS ?? ''
      MAX_CALLER_EXCHANGES: handlerSettings.?MAX_CALLER_EXCHANGES ?? ''
      MAX_VERIFIED_TOKENS: handlerSettings.?MAX_VERIFIED_TOKENS ?? ''
      OTEL_EXPORTER_OTLP_ENDPOINT: handlerSettings.?OTEL_EXPORTER_OTLP_ENDPOINT ?? ''
      OTEL_EXPORTER_OTLP_PROTOCOL: handlerSettings.?OTEL_EXPORTER_OTLP_PROTOCOL ?? ''
      OTEL_EXPORTER_OTLP_HEADERS: handlerSettings.?OTEL_EXPORTER_OTLP_HEADERS ?? ''
      SERVER_NAME: handlerSettings.?SERVER_NAME ?? ''
      DEBUG: handlerSettings.?DEBUG ?? ''
    }
  }
}
