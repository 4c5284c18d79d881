//! Why an operator's wish was not met.

use http::StatusCode;
use transom_core::Unavailable;

/// Why an operator's wish was not met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// It cannot be read, or asks for what cannot be.
    #[error("{0}")]
    Bad(String),
    /// There is nothing of this name.
    #[error("{0}")]
    NotFound(String),
    /// It needs a store that this worker does not have.
    #[error("{0}")]
    NoStore(&'static str),
    /// The store does not answer, or refuses. A change may have been made all the same.
    #[error("{0}")]
    Unavailable(#[from] Unavailable),
}

impl OperatorError {
    /// The status with which it is answered.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::NoStore(_) => StatusCode::CONFLICT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A value that cannot be, by the name of its field.
    pub(crate) fn bad(field: &str, reason: impl std::fmt::Display) -> Self {
        Self::Bad(format!("{field}: {reason}"))
    }
}
