// A workbook with the queries that the alerts use.
param name string
param displayName string
param location string
param tags object
param workspaceId string

var queries = [
  { title: 'Refused tokens', query: loadTextContent('../kql/authentication-failures.kql') }
  { title: 'Failed exchanges', query: loadTextContent('../kql/on-behalf-of-failures.kql') }
  { title: 'Durations in ms', query: loadTextContent('../kql/slow-requests.kql') }
  { title: 'Answers with 5xx', query: loadTextContent('../kql/server-errors.kql') }
  { title: 'Keys that could not be fetched', query: loadTextContent('../kql/keys-not-refreshed.kql') }
]
var charts = map(queries, entry => {
  type: 3
  content: {
    version: 'KqlItem/1.0'
    title: entry.title
    query: entry.query
    size: 1
    timeContext: { durationMs: 86400000 }
    queryType: 0
    resourceType: 'microsoft.operationalinsights/workspaces'
    visualization: 'timechart'
  }
})

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: displayName
    category: 'workbook'
    sourceId: workspaceId
    serializedData: string({
      version: 'Notebook/1.0'
      items: charts
      '$schema': 'https://github.com/Microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json'
    })
  }
}
