//! Why a worker cannot be what its configuration describes.

use std::net::SocketAddr;

use crate::identity::KeyError;

/// Why a worker cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be listened on, most often because another process does.
    #[error("listen.{listener}: cannot listen on {address}")]
    Listen {
        /// The listener's name in the configuration.
        listener: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Redis cannot be used whether it answers or not.
    #[error("redis")]
    Redis(#[from] transom_redis::OpenError),
    /// A file that the configuration names cannot be read.
    #[error("{key}: cannot read {path}")]
    File {
        /// The key in the configuration.
        key: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that the configuration names holds no key by which tokens can be verified.
    #[error("{key}: cannot use {path}")]
    Keys {
        /// The key in the configuration.
        key: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it.
        source: KeyError,
    },
    /// Requests cannot go to the upstream.
    #[error("gateway.upstream")]
    Upstream(#[from] crate::gateway::UpstreamError),
}
