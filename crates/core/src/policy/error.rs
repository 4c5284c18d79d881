//! What can be wrong with a policy, or with a set of them.

use http::Method;

use super::PolicyName;

/// Why a policy, or a set of policies, was refused. Each text names the policy or its part, and
/// the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A name that cannot be part of a key name.
    #[error("policy name {name:?}: {reason}")]
    Name {
        /// The name as written.
        name: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A path pattern that cannot be read.
    #[error("path pattern {pattern:?}: {reason}")]
    Pattern {
        /// The pattern as written.
        pattern: String,
        /// What is wrong with it, with the segment if it is one.
        reason: String,
    },

    /// A host that no request can have.
    #[error("policy {policy}: host {host:?}: {reason}")]
    Host {
        /// The policy.
        policy: PolicyName,
        /// Its host as written.
        host: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A standard method in the wrong case, which would match no request.
    #[error("policy {policy}: method {method}: methods are compared by case, write {instead}")]
    MethodCase {
        /// The policy.
        policy: PolicyName,
        /// The method as written.
        method: Method,
        /// The standard method.
        instead: String,
    },

    /// A condition on the policy `default`.
    #[error("policy default: it matches every request and takes no {condition}")]
    RestrictedDefault {
        /// `methods`, `path` or `host`.
        condition: &'static str,
    },

    /// Two policies of one name.
    #[error("policy {name}: the name is used twice")]
    DuplicateName {
        /// The name.
        name: PolicyName,
    },

    /// Two policies of which neither is more specific than the other.
    #[error("policies {first} and {second} tie: neither is more specific, both match {requests}")]
    Tie {
        /// The policy that came first.
        first: PolicyName,
        /// The policy that came later.
        second: PolicyName,
        /// The requests that both match, such as `GET, /v1/people/{id}, any host`.
        requests: String,
    },
}
