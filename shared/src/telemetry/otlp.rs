//! Traces and metrics to a collector by OTLP over HTTP, from threads of their own: a collector that is slow or away costs
//! memory for one queue of spans and no request anything.
//!
//! Besides `OTEL_EXPORTER_OTLP_ENDPOINT` the exporters themselves read OpenTelemetry's other variables:
//! `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`,
//! `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_BSP_SCHEDULE_DELAY`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Key, KeyValue};
use opentelemetry_http::{HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use reqwest::Url;
use tokio::runtime::Handle;
use tracing::{info, warn};

use crate::config::Config;
use crate::http::{self as client, HttpClient, HttpClientError, Limits};

/// One export. Answers are empty or a short message.
const EXPORT: Limits = Limits { total: Duration::from_secs(10), body: 64 * 1024 };

/// How long the end of the process waits for what is left to be exported.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// What exports, until the process ends.
#[derive(Debug)]
pub(crate) struct Exporting {
    pub(crate) traces: SdkTracerProvider,
    pub(crate) metrics: SdkMeterProvider,
}

/// Why exporting cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// A variable of OpenTelemetry's own that the exporters cannot follow.
    #[error("OTEL_EXPORTER_OTLP_*: {0}")]
    Settings(#[from] ExporterBuildError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Client(#[from] HttpClientError),
}

impl Exporting {
    /// Starts the exporters.
    pub(crate) fn start(config: &Config, endpoint: &str, runtime: &Handle) -> Result<Self, OtlpError> {
        let http = HttpClient::new()?;
        let spans = SpanExporter::builder()
            .with_http()
            .with_http_client(ExportClient::new(http.clone(), runtime.clone()))
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .with_timeout(EXPORT.total)
            .build()?;
        let measurements = MetricExporter::builder()
            .with_http()
            .with_http_client(ExportClient::new(http, runtime.clone()))
            .with_endpoint(format!("{endpoint}/v1/metrics"))
            .with_timeout(EXPORT.total)
            .build()?;
        let resource = resource(config);
        Ok(Self {
            traces: SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource.clone()).build(),
            metrics: SdkMeterProvider::builder().with_periodic_exporter(measurements).with_resource(resource).build(),
        })
    }

    pub(crate) fn tracer(&self) -> SdkTracer {
        self.traces.tracer(env!("CARGO_PKG_NAME"))
    }

    /// Exports what is left, within a few seconds.
    pub(crate) fn finish(&self) {
        let traces = self.traces.shutdown_with_timeout(LAST_EXPORT);
        let metrics = self.metrics.shutdown_with_timeout(LAST_EXPORT);
        for failed in [traces, metrics].into_iter().filter_map(Result::err) {
            warn!("the last telemetry was not exported: {failed}");
        }
    }
}

/// Who sends: `OTEL_SERVICE_NAME` or else `SERVER_NAME`, and our version.
fn resource(config: &Config) -> Resource {
    let name = Key::from_static_str("service.name");
    let detected = Resource::builder().build();
    let named = detected.get(&name).is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let builder = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let builder = if named { builder } else { builder.with_service_name(config.server_name.clone()) };
    builder.build()
}

/// The exporters' way out: our HTTP client with its limits, on our runtime; the exporters' threads have none.
#[derive(Debug)]
struct ExportClient {
    http: HttpClient,
    runtime: Handle,
    failing: AtomicBool,
}

impl ExportClient {
    fn new(http: HttpClient, runtime: Handle) -> Self {
        Self { http, runtime, failing: AtomicBool::new(false) }
    }

    /// Says when exporting begins to fail and when it works again; not each time.
    fn note(&self, failure: Option<&str>) {
        let failed_before = self.failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(cause) if !failed_before => warn!("telemetry cannot be exported: {cause}"),
            None if failed_before => info!("telemetry is exported again"),
            _ => {}
        }
    }
}

#[async_trait]
impl opentelemetry_http::HttpClient for ExportClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string())?;
        let post = self.http.post(url).headers(parts.headers).body(body);
        let answer = match self.runtime.spawn(client::send(post, EXPORT)).await? {
            Ok(answer) => answer,
            Err(cause) => {
                self.note(Some(&cause.to_string()));
                return Err(cause.into());
            }
        };
        let refused = !answer.status.is_success();
        self.note(refused.then(|| format!("the collector answers {}", answer.status)).as_deref());
        let mut response = Response::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}
