//! Where traces go.

use http::Uri;
use http::uri::Scheme;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::network::is_host_and_port;
use super::value::optional;

/// Traces, `[tracing]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracingConfig {
    /// The collector that takes spans as OTLP over HTTP: `http://`, a host, a port unless it is
    /// 80, and a path if `/v1/traces` is below one. Absent by default, which is no tracing;
    /// `tracing.otlp_endpoint` or `TRANSOM__TRACING__OTLP_ENDPOINT`.
    #[serde(deserialize_with = "otlp_endpoint")]
    pub otlp_endpoint: Option<Uri>,
    /// The part of the traces that are recorded, of those that no trusted proxy decides. Default
    /// 1, which is all, 0 to 1; `tracing.sample_ratio` or `TRANSOM__TRACING__SAMPLE_RATIO`.
    #[serde(deserialize_with = "sample_ratio")]
    pub sample_ratio: f64,
}

impl Default for TracingConfig {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample_ratio: 1.0 }
    }
}

fn otlp_endpoint<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Uri>, D::Error> {
    optional(source, |text| {
        let uri: Uri = text.parse().map_err(|_| NO_COLLECTOR.to_owned())?;
        let Some(authority) = uri.authority() else {
            return Err(NO_COLLECTOR.to_owned());
        };
        if uri.scheme() == Some(&Scheme::HTTPS) {
            Err("a collector over https is not in this build; write http://HOST:PORT".to_owned())
        } else if uri.scheme() != Some(&Scheme::HTTP) || !is_host_and_port(authority) {
            Err(NO_COLLECTOR.to_owned())
        } else if authority.as_str().contains('@') || uri.query().is_some() {
            Err("a collector carries no user, password or query".to_owned())
        } else {
            Ok(uri)
        }
    })
}

const NO_COLLECTOR: &str = "no collector; write http://HOST:PORT";

fn sample_ratio<'de, D: Deserializer<'de>>(source: D) -> Result<f64, D::Error> {
    let ratio = f64::deserialize(source)?;
    // Not a number is in no range.
    if (0.0..=1.0).contains(&ratio) {
        Ok(ratio)
    } else {
        Err(D::Error::custom(format!("must be 0 to 1, not {ratio}")))
    }
}
