//! The layer with a scripted limiter around small services, and with the in-process limiter
//! inside a real axum router.

mod answers;
mod readiness;
mod routers;
mod scripted;
mod unidentified;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;
use transom_core::{Identity, Mode, OnFailure, Policies, Policy};

use self::scripted::Scripted;
use crate::{RateLimitLayer, ResponseBody};

/// The one caller of most tests.
fn user_42(_: &Parts) -> Option<Identity> {
    Identity::user("42").ok()
}

/// `default` alone, changed by `change`.
fn policies(change: impl FnOnce(&mut Policy)) -> Policies {
    let mut policy = Policy::clone(Policies::default().default_policy());
    change(&mut policy);
    Policies::new(vec![policy]).unwrap()
}

fn on_failure(on_failure: OnFailure) -> Policies {
    policies(|policy| policy.on_failure = on_failure)
}

fn in_mode(mode: Mode) -> Policies {
    policies(|policy| policy.mode = mode)
}

/// An inner service that counts its calls and answers 200 with fields that contradict the limit.
#[derive(Clone, Default)]
struct Upstream(Arc<AtomicUsize>);

impl Upstream {
    fn calls(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn service(
        &self,
    ) -> impl Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible> + Clone
    {
        let calls = Arc::clone(&self.0);
        tower::service_fn(move |_: Request<()>| {
            calls.fetch_add(1, Ordering::SeqCst);
            async {
                let response = Response::builder()
                    .header("x-ratelimit-remaining", "999")
                    .header("x-ratelimit-degraded", "upstream")
                    .header("x-own", "kept")
                    .body(Full::from("from upstream"));
                Ok(response.unwrap())
            }
        })
    }
}

/// What `layer` in front of `upstream` answers to one request.
async fn answer<I: crate::Identify>(
    layer: &RateLimitLayer<Scripted, I>,
    upstream: &Upstream,
) -> Response<ResponseBody<Full<Bytes>>> {
    let service = layer.layer(upstream.service());
    service.oneshot(Request::new(())).await.unwrap()
}

async fn text<B>(response: Response<B>) -> String
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A field as text.
fn field<'a>(fields: &'a HeaderMap, name: &str) -> Option<&'a str> {
    fields.get(name).map(|value| value.to_str().unwrap())
}

/// The names of the rate-limit fields that are there.
fn limit_fields(fields: &HeaderMap) -> Vec<&str> {
    let names = fields.keys().map(http::HeaderName::as_str);
    names.filter(|name| name.contains("ratelimit")).collect()
}
