//! Envoy's rate limit service, version 3: `envoy.service.ratelimit.v3.RateLimitService`, over HTTP/2
//! without TLS.
//!
//! Envoy asks about a request in descriptors. `descriptor` says what one means, and `reply` what
//! Envoy is told. Each descriptor is decided for itself and at the same time as the others: what one
//! has admitted stays charged where another denies.
//!
//! A request that does not say who asks for what is answered with `INVALID_ARGUMENT` and what is
//! wrong, and nothing is charged for it. Bytes that are no message are `INTERNAL`, and more than
//! are taken `OUT_OF_RANGE`, as gRPC has it. Where no decision could be had and the policy says
//! `deny`, the answer is `UNAVAILABLE`, never `OVER_LIMIT`; then Envoy does as its
//! `failure_mode_deny` says, which is to let the request pass unless it is set.
//! `deploy/envoy/envoy.yaml` sets it.
//!
//! The listener trusts whoever reaches it, so it belongs on an inner network. It is served as every
//! other: with the same bounds of connections and time, and the same end. A response is counted
//! under the status that it stands for, since in gRPC each is a 200.

mod descriptor;
mod reply;
#[cfg(test)]
mod tests;
pub mod wire;

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::any;
use futures_util::future::join_all;
use http::StatusCode;
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use crate::front::SharedFront;
use crate::telemetry::decided_under;
use crate::telemetry::request::Counted;
use wire::{RateLimitRequest, RateLimitResponse};

/// Where the one method of the service is.
pub const PATH: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// The longest request, in bytes: as many descriptors as may be, each with all that a head holds
/// that Envoy takes (60 KiB by default). What is longer Envoy may let pass.
const REQUEST_MAX: usize = descriptor::DESCRIPTORS_MAX * 64 * 1024;

/// The routes of the service.
pub fn router(front: SharedFront) -> Router {
    let service = ShouldRateLimit(front);
    Router::new()
        .route(PATH, any(move |request: Request| answered(service.clone(), request)))
        .fallback(unimplemented)
        .layer(middleware::from_fn(counted))
}

async fn answered(service: ShouldRateLimit, request: Request) -> http::Response<tonic::body::Body> {
    let codec = ProstCodec::<RateLimitResponse, RateLimitRequest>::default();
    Grpc::new(codec).max_decoding_message_size(REQUEST_MAX).unary(service, request).await
}

async fn unimplemented() -> http::Response<tonic::body::Body> {
    Status::unimplemented(format!("there is only {PATH}")).into_http()
}

/// Has an error counted under the status that it stands for.
async fn counted(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let status = match Status::from_header_map(response.headers()).map(|status| status.code()) {
        None | Some(Code::Ok) => return response,
        Some(Code::InvalidArgument | Code::OutOfRange) => StatusCode::BAD_REQUEST,
        Some(Code::Unimplemented) => StatusCode::NOT_FOUND,
        Some(Code::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
        Some(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    response.extensions_mut().insert(Counted(status));
    response
}

/// The one method of the service.
#[derive(Clone)]
struct ShouldRateLimit(SharedFront);

impl UnaryService<RateLimitRequest> for ShouldRateLimit {
    type Response = RateLimitResponse;
    type Future =
        Pin<Box<dyn Future<Output = tonic::Result<tonic::Response<Self::Response>>> + Send>>;

    fn call(&mut self, request: tonic::Request<RateLimitRequest>) -> Self::Future {
        let front = Arc::clone(&self.0);
        Box::pin(async move {
            let front = front.load_full();
            let asked = descriptor::read(request.get_ref())
                .map_err(|error| Status::invalid_argument(error.to_string()))?;
            let decided = join_all(asked.iter().map(|asked| asked.decide(&front))).await;
            let (reply, told) = reply::of(&front, &decided)?;
            let is_denied = reply.overall_code == i32::from(wire::Code::OverLimit);
            let mut response = tonic::Response::new(reply);
            if is_denied {
                response.extensions_mut().insert(Counted(StatusCode::TOO_MANY_REQUESTS));
            }
            if let Some(decided) = decided.get(told) {
                decided_under(&decided.answer.policy.name);
            }
            Ok(response)
        })
    }
}
