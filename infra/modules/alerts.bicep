// Alerts over the logs. Each query is the same file that the workbook shows.
param name string
param location string
param tags object
param workspaceId string

@description('Empty: alerts show in the portal only.')
param notificationEmail string

var rules = [
  {
    name: 'authentication-failures'
    description: 'Many tokens are refused: a client is set up wrongly, or somebody tries tokens.'
    query: loadTextContent('../kql/authentication-failures.kql')
    column: 'refusals'
    operator: 'GreaterThan'
    threshold: 100
    window: 'PT15M'
    severity: 2
  }
  {
    name: 'on-behalf-of-failures'
    description: 'Exchanges fail. handler doctor on the app says why.'
    query: loadTextContent('../kql/on-behalf-of-failures.kql')
    column: 'failures'
    operator: 'GreaterThan'
    threshold: 20
    window: 'PT15M'
    severity: 1
  }
  {
    name: 'keys-not-refreshed'
    description: 'Signing keys cannot be fetched. The known ones serve for JWKS_KEY_TTL.'
    query: loadTextContent('../kql/keys-not-refreshed.kql')
    column: 'failures'
    operator: 'GreaterThan'
    threshold: 3
    window: 'PT1H'
    severity: 1
  }
  {
    name: 'slow-requests'
    description: 'The 95th percentile of requests is above two seconds.'
    query: loadTextContent('../kql/slow-requests.kql')
    column: 'p95'
    operator: 'GreaterThan'
    threshold: 2000
    window: 'PT15M'
    severity: 3
  }
  {
    name: 'server-errors'
    description: 'Requests end in 5xx.'
    query: loadTextContent('../kql/server-errors.kql')
    column: 'errors'
    operator: 'GreaterThan'
    threshold: 10
    window: 'PT15M'
    severity: 1
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(notificationEmail)) {
  name: name
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'mcp'
    emailReceivers: [{ name: 'operators', emailAddress: notificationEmail, useCommonAlertSchema: true }]
  }
}

resource alerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for rule in rules: {
    name: '${name}-${rule.name}'
    location: location
    tags: tags
    properties: {
      displayName: rule.name
      description: rule.description
      enabled: true
      severity: rule.severity
      scopes: [workspaceId]
      evaluationFrequency: 'PT5M'
      windowSize: rule.window
      autoMitigate: true
      criteria: {
        allOf: [
          {
            query: rule.query
            metricMeasureColumn: rule.column
            timeAggregation: rule.column == 'p95' ? 'Maximum' : 'Total'
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: { actionGroups: empty(notificationEmail) ? [] : [people.id] }
    }
  }
]
