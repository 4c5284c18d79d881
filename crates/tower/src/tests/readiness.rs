//! Which inner service is called, and when it is let go.

use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::scripted::{admitted, denied};
use super::*;

/// A service that takes a permit when it is polled ready, and whose clones have none.
struct Permitted {
    permits: Permits,
    held: Option<Permits>,
}

/// Every clone beyond those of the services is a permit that is held.
type Permits = Arc<()>;

impl Permitted {
    fn new() -> Self {
        Self { permits: Arc::default(), held: None }
    }
}

impl Clone for Permitted {
    fn clone(&self) -> Self {
        Self { permits: Arc::clone(&self.permits), held: None }
    }
}

impl Service<Request<()>> for Permitted {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.held = Some(Arc::clone(&self.permits));
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let permit = self.held.take().ok_or("called before it was ready");
        ready(permit.map(|_| Response::default()))
    }
}

#[tokio::test]
async fn the_inner_service_called_is_the_one_that_was_ready() {
    let gate = Scripted::gate(Policies::default(), Ok(admitted()));
    let mut service = RateLimitLayer::new(gate, user_42).layer(Permitted::new());
    for _ in 0..2 {
        let ready = service.ready().await.unwrap();
        let response = ready.call(Request::new(())).await;
        assert_eq!(response.map(|response| response.status().as_u16()), Ok(200));
    }
}

#[tokio::test]
async fn the_inner_service_called_for_the_unidentified_was_ready_too() {
    let gate = Scripted::gate(Policies::default(), Ok(admitted()));
    let nobody = |_: &Parts| None::<Identity>;
    let layer = RateLimitLayer::new(gate, nobody).unidentified(crate::Unidentified::Pass);
    let response = layer.layer(Permitted::new()).oneshot(Request::new(())).await;
    assert_eq!(response.map(|response| response.status().as_u16()), Ok(200));
}

#[tokio::test]
async fn dropping_the_response_future_mid_check_releases_the_inner_service() {
    let gate = Scripted::silent();
    let mut service = RateLimitLayer::new(Arc::clone(&gate), user_42).layer(Permitted::new());
    let permits = Arc::downgrade(&service.get_ref().permits);
    let idle = permits.strong_count();
    {
        let mut response = pin!(service.ready().await.unwrap().call(Request::new(())));
        let polled = response.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        assert_eq!(gate.limiter().asked().len(), 1, "the check is under way");
        assert!(permits.strong_count() > idle, "the permit is held");
    }
    assert_eq!(permits.strong_count(), idle);
}

#[tokio::test]
async fn a_response_future_that_is_never_polled_charges_nothing() {
    let gate = Scripted::gate(Policies::default(), Ok(admitted()));
    let mut service = RateLimitLayer::new(Arc::clone(&gate), user_42).layer(Permitted::new());
    let permits = Arc::downgrade(&service.get_ref().permits);
    let idle = permits.strong_count();
    drop(service.ready().await.unwrap().call(Request::new(())));
    assert_eq!(gate.limiter().asked(), [""; 0]);
    assert_eq!(permits.strong_count(), idle);
}

#[tokio::test]
async fn a_refusal_releases_the_inner_service_before_it_is_sent() {
    let gate = Scripted::gate(Policies::default(), Ok(denied()));
    let mut service = RateLimitLayer::new(gate, user_42).layer(Permitted::new());
    let permits = Arc::downgrade(&service.get_ref().permits);
    let idle = permits.strong_count();
    let mut response = pin!(service.ready().await.unwrap().call(Request::new(())));
    let refusal = response.as_mut().await.unwrap();
    assert_eq!((refusal.status().as_u16(), permits.strong_count()), (429, idle));
}

#[test]
fn the_response_future_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let gate = Scripted::silent();
    let mut service = RateLimitLayer::new(gate, user_42).layer(Permitted::new());
    is_send(&service);
    is_send(&service.call(Request::new(())));
}
