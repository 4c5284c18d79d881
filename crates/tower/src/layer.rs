//! What an application configures.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;
use transom_core::body::Messages;
use transom_core::{Gate, headers};

use crate::{Identify, RateLimit, Unidentified};

/// Puts a rate limit in front of a service.
///
/// All services made from one layer, and from its clones, share the windows of its gate.
///
/// ```
/// use std::sync::Arc;
///
/// use http::request::Parts;
/// use transom_core::body::Messages;
/// use transom_core::headers::{Reset, Style};
/// use transom_core::{Gate, Identity, Mode, Policies};
/// use transom_local::LocalLimiter;
/// use transom_tower::RateLimitLayer;
///
/// // A header that a proxy in front sets, and that clients cannot.
/// let account = |request: &Parts| {
///     let id = request.headers.get("x-account")?.to_str().ok()?;
///     Identity::user(id).ok()
/// };
/// let gate = Gate::new(Policies::default(), Mode::Enforce, LocalLimiter::default());
/// let layer = RateLimitLayer::new(Arc::new(gate), account)
///     .style(Style { reset: Reset::Epoch, ..Style::default() })
///     .messages(Messages { user: "Slow down, please.".into(), ..Messages::default() });
/// # drop(layer);
/// ```
pub struct RateLimitLayer<L, I> {
    pub(crate) gate: Arc<Gate<L>>,
    pub(crate) identify: Arc<I>,
    pub(crate) style: headers::Style,
    pub(crate) messages: Messages,
    pub(crate) unidentified: Unidentified,
}

impl<L, I: Identify> RateLimitLayer<L, I> {
    /// Limits by what `gate` decides for whom `identify` finds, with default fields and messages.
    /// A request in which nobody is found is refused.
    pub fn new(gate: Arc<Gate<L>>, identify: I) -> Self {
        Self {
            gate,
            identify: Arc::new(identify),
            style: headers::Style::default(),
            messages: Messages::default(),
            unidentified: Unidentified::default(),
        }
    }

    /// How header fields are written.
    #[must_use]
    pub fn style(self, style: headers::Style) -> Self {
        Self { style, ..self }
    }

    /// What refused clients are told.
    #[must_use]
    pub fn messages(self, messages: Messages) -> Self {
        Self { messages, ..self }
    }

    /// What happens to a request in which nobody is found.
    #[must_use]
    pub fn unidentified(self, unidentified: Unidentified) -> Self {
        Self { unidentified, ..self }
    }
}

/// Everything but the service is shared, so that a clone per request costs little.
impl<S, L, I> Layer<S> for RateLimitLayer<L, I> {
    type Service = RateLimit<S, L, I>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, Arc::new(self.clone()))
    }
}

impl<L, I> Clone for RateLimitLayer<L, I> {
    fn clone(&self) -> Self {
        Self {
            gate: Arc::clone(&self.gate),
            identify: Arc::clone(&self.identify),
            style: self.style,
            messages: self.messages.clone(),
            unidentified: self.unidentified.clone(),
        }
    }
}

impl<L, I> fmt::Debug for RateLimitLayer<L, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("style", &self.style)
            .field("messages", &self.messages)
            .field("unidentified", &self.unidentified)
            .finish_non_exhaustive()
    }
}
