using 'main.bicep'

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param zoneRedundant = bool(readEnvironmentVariable('ZONE_REDUNDANT', 'false'))
param alwaysReadyInstances = int(readEnvironmentVariable('ALWAYS_READY_INSTANCES', '1'))
param siteUpdateStrategy = readEnvironmentVariable('SITE_UPDATE_STRATEGY', 'Recreate')
param publicBaseUrl = readEnvironmentVariable('PUBLIC_BASE_URL', '')
// `script` runs hooks/entra-app.sh before provisioning, which leaves an existing application behind.
param entraAppMode = readEnvironmentVariable('ENTRA_APP_MODE', 'bicep') == 'bicep' ? 'bicep' : 'existing'
param existingClientId = readEnvironmentVariable('CLIENT_ID', '')
param useNetwork = bool(readEnvironmentVariable('USE_NETWORK', 'false'))
param useApiManagement = bool(readEnvironmentVariable('USE_APIM', 'false'))
param apiManagementPublisherEmail = readEnvironmentVariable('APIM_PUBLISHER_EMAIL', 'noreply@example.com')
param notificationEmail = readEnvironmentVariable('NOTIFICATION_EMAIL', '')
