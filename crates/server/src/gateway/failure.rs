//! Why the gateway answers in place of the upstream.

use std::error::Error;
use std::io;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper_util::client::legacy;
use serde::Serialize;

use super::body::ResponseBody;

/// Why a request that may pass gets no answer of the upstream's.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The request has more than one `Host`, or in HTTP/1.1 none.
    #[error("the request names no single host")]
    Host,
    /// The target cannot be put behind the path of the upstream.
    #[error("the request target is too long")]
    Target,
    /// `CONNECT`: this is no forward proxy.
    #[error("CONNECT is not served")]
    Connect,
    /// The body is larger than the configuration allows.
    #[error("the request body is too large")]
    BodyTooLarge,
    /// The client stopped sending its body.
    #[error("the request body did not arrive in time")]
    BodyStalled,
    /// The client's body is malformed or was broken off.
    #[error("the request body could not be read")]
    BodyBroken,
    /// No connection in time. Nothing was sent.
    #[error("no connection to the upstream in time")]
    ConnectTimeout(#[source] legacy::Error),
    /// No connection. Nothing was sent.
    #[error("no connection to the upstream")]
    Unreachable(#[source] legacy::Error),
    /// The connection broke, or what came over it was not HTTP. The request may have been
    /// processed, so it is not sent again.
    #[error("no response from the upstream")]
    NoResponse(#[source] legacy::Error),
    /// A switch of protocols that nobody asked for.
    #[error("the upstream switched protocols without being asked")]
    Unasked,
    /// No response in time. The request may have been processed.
    #[error("no response from the upstream in time")]
    ResponseTimeout,
}

impl Failure {
    /// Tells apart what the client to the upstream reports.
    pub(super) fn of_client(error: legacy::Error) -> Self {
        match (error.is_connect(), has_timed_out(&error)) {
            (true, true) => Self::ConnectTimeout(error),
            (true, false) => Self::Unreachable(error),
            (false, _) => Self::NoResponse(error),
        }
    }

    fn answer(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Host => (StatusCode::BAD_REQUEST, "The request must name one host."),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "The request body could not be read."),
            Self::BodyStalled => {
                (StatusCode::REQUEST_TIMEOUT, "The request body did not arrive in time.")
            }
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The request body is too large."),
            Self::Target => (StatusCode::URI_TOO_LONG, "The request target is too long."),
            Self::Connect => (StatusCode::NOT_IMPLEMENTED, "CONNECT is not served here."),
            Self::Unreachable(_) | Self::NoResponse(_) | Self::Unasked => {
                (StatusCode::BAD_GATEWAY, "The upstream API did not answer.")
            }
            Self::ConnectTimeout(_) | Self::ResponseTimeout => {
                (StatusCode::GATEWAY_TIMEOUT, "The upstream API did not answer in time.")
            }
        }
    }

    /// The response to the client, and a line in the log where it is not the client's doing.
    pub(super) fn response(&self) -> Response<ResponseBody> {
        let (status, message) = self.answer();
        if status.is_server_error() && !matches!(self, Self::Connect) {
            let cause = root(self).to_string();
            tracing::warn!(status = status.as_u16(), cause, "{self}");
        }
        json(status, &Refused { message, status_code: status.as_u16() })
    }
}

/// The body of a response that is made here.
#[derive(Serialize)]
struct Refused {
    message: &'static str,
    status_code: u16,
}

/// A response with a body in JSON.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<ResponseBody> {
    let body = serde_json::to_vec(body).map(Bytes::from).unwrap_or_default();
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn root(failure: &Failure) -> &(dyn Error + 'static) {
    causes(failure).last().unwrap_or(failure)
}

fn has_timed_out(error: &legacy::Error) -> bool {
    causes(error).any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
    })
}
