//! Which policy a request falls under: one lookup in a tree built at start.
//!
//! The most specific policy that matches wins, compared in this order:
//!
//! 1. the host: a policy with the host of the request goes before one without a host;
//! 2. the path, segment by segment from the left: a literal before a parameter before a catch-all,
//!    and any pattern before no path;
//! 3. the methods: a policy that lists the method goes before one for any method.
//!
//! A policy that does not take the method of a request does not match it, however well the path
//! fits; the next best is taken. Methods are compared as they are: `GET` does not cover `HEAD`.
//! Two policies of which neither is more specific, for requests that both match, are refused.
//!
//! The tree is written here and not taken from matchit, which refuses a parameter and a catch-all
//! at the same place (`/v1/{id}` beside `/v1/{*rest}`) and does not try the next best route when
//! the best is for other methods.

mod host;
mod routes;

use std::collections::HashSet;
use std::sync::Arc;

use http::Method;

use self::host::{Host, HostKey};
use self::routes::Routes;
use crate::limits::Limits;
use crate::path::normalise;
use crate::policy::{Policy, PolicyError, PolicyName};

/// The policies of a deployment, ready to be matched.
///
/// There is always one named `default`, which matches every request that no other does.
///
/// ```
/// use http::Method;
/// use transom_core::{Limits, PathPattern, Policies, Policy, PolicyName};
///
/// let mut search = Policy::new(PolicyName::new("search")?, Limits { minute: 30, second: 1 });
/// search.methods = vec![Method::GET];
/// search.path = Some(PathPattern::parse("/v1/search/{*rest}")?);
/// let policies = Policies::new(vec![search])?;
///
/// let name = |method, path| policies.find(method, None, path).name.as_str();
/// assert_eq!(name(&Method::GET, "/v1//search/people/?q=ada"), "search");
/// assert_eq!(name(&Method::POST, "/v1/search/people"), "default");
/// # Ok::<(), transom_core::PolicyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policies {
    policies: Vec<Arc<Policy>>,
    /// Place of `default` in `policies`.
    default: usize,
    /// Routes of policies with a host, in the order of the hosts.
    hosts: Vec<(HostKey, Routes)>,
    /// Routes of policies without a host.
    any_host: Routes,
}

impl Policies {
    /// Builds the matcher. A missing `default` is added at the end, with [`Limits::DEFAULT`].
    /// Hosts are put in lower case, without a trailing dot.
    ///
    /// # Errors
    ///
    /// - [`PolicyError::DuplicateName`] if two policies have one name.
    /// - [`PolicyError::RestrictedDefault`] if `default` has methods, a path or a host.
    /// - [`PolicyError::Host`] for a host that no request can have.
    /// - [`PolicyError::MethodCase`] for a standard method that is not in upper case.
    /// - [`PolicyError::Tie`] if two policies match the same requests and neither is more
    ///   specific: same host, same path but for the names of parameters, and either a method that
    ///   both list or both without methods.
    pub fn new(mut policies: Vec<Policy>) -> Result<Self, PolicyError> {
        if !policies.iter().any(|policy| policy.name.is_default()) {
            policies.push(Policy::new(PolicyName::default(), Limits::DEFAULT));
        }
        let mut names = HashSet::new();
        if let Some(again) = policies.iter().find(|policy| !names.insert(&policy.name)) {
            return Err(PolicyError::DuplicateName { name: again.name.clone() });
        }
        let mut built = Self {
            policies: Vec::with_capacity(policies.len()),
            default: 0,
            hosts: Vec::new(),
            any_host: Routes::default(),
        };
        for policy in policies {
            built.add(policy)?;
        }
        Ok(built)
    }

    /// The policy of a request.
    ///
    /// `host` is a `Host` field or an authority, with or without a port: case, port, a trailing
    /// dot and the brackets of an IPv6 address do not count. `path` is taken as received, which
    /// may include a query, and is matched in its normal form ([`normalise`]). Nothing is
    /// allocated if it is in that form already.
    pub fn find(&self, method: &Method, host: Option<&str>, path: &str) -> &Arc<Policy> {
        let path = normalise(path);
        let found = host
            .and_then(|host| self.routes_of(&Host::parse(host)))
            .and_then(|routes| routes.find(method, &path))
            .or_else(|| self.any_host.find(method, &path));
        &self.policies[found.unwrap_or(self.default)]
    }

    /// All policies, in the order in which they were given; a `default` that was added is last.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Policy>> {
        self.policies.iter()
    }

    /// The policy of a name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Policy>> {
        self.policies.iter().find(|policy| policy.name.as_str() == name)
    }

    /// The policy that matches every request that no other does.
    pub fn default_policy(&self) -> &Arc<Policy> {
        &self.policies[self.default]
    }

    fn routes_of(&self, host: &Host<'_>) -> Option<&Routes> {
        let place = self.hosts.binary_search_by(|(key, _)| key.compare(host)).ok()?;
        Some(&self.hosts[place].1)
    }

    fn add(&mut self, mut policy: Policy) -> Result<(), PolicyError> {
        let place = self.policies.len();
        if policy.name.is_default() {
            refuse_restricted_default(&policy)?;
            self.default = place;
        }
        refuse_method_in_wrong_case(&policy)?;
        let routes = match policy.host.take() {
            None => &mut self.any_host,
            Some(host) => {
                let key = HostKey::parse(&host).map_err(|reason| PolicyError::Host {
                    policy: policy.name.clone(),
                    host,
                    reason,
                })?;
                policy.host = Some(key.to_string());
                routes_at(&mut self.hosts, key)
            }
        };
        if let Err(conflict) = routes.insert(&policy, place) {
            return Err(PolicyError::Tie {
                first: self.policies[conflict.with].name.clone(),
                requests: describe(&policy, conflict.method),
                second: policy.name,
            });
        }
        self.policies.push(Arc::new(policy));
        Ok(())
    }
}

/// Only `default`, with [`Limits::DEFAULT`].
impl Default for Policies {
    fn default() -> Self {
        Self {
            policies: vec![Arc::new(Policy::new(PolicyName::default(), Limits::DEFAULT))],
            default: 0,
            hosts: Vec::new(),
            any_host: Routes::default(),
        }
    }
}

/// The routes of a host, made if there are none yet.
fn routes_at(hosts: &mut Vec<(HostKey, Routes)>, key: HostKey) -> &mut Routes {
    let place = match hosts.binary_search_by(|(other, _)| other.cmp(&key)) {
        Ok(place) => place,
        Err(place) => {
            hosts.insert(place, (key, Routes::default()));
            place
        }
    };
    &mut hosts[place].1
}

fn refuse_restricted_default(policy: &Policy) -> Result<(), PolicyError> {
    let condition = match policy {
        Policy { path: Some(_), .. } => "path",
        Policy { host: Some(_), .. } => "host",
        Policy { methods, .. } if !methods.is_empty() => "methods",
        _ => return Ok(()),
    };
    Err(PolicyError::RestrictedDefault { condition })
}

/// `get` is an extension method to the `http` crate, and a limit that never matches to the user.
fn refuse_method_in_wrong_case(policy: &Policy) -> Result<(), PolicyError> {
    for method in &policy.methods {
        let instead = method.as_str().to_ascii_uppercase();
        if STANDARD_METHODS.contains(&instead.as_str()) && instead != method.as_str() {
            return Err(PolicyError::MethodCase {
                policy: policy.name.clone(),
                method: method.clone(),
                instead,
            });
        }
    }
    Ok(())
}

/// The requests that a tie is about, in words.
fn describe(policy: &Policy, method: Option<Method>) -> String {
    let method = method.map_or("any method".to_owned(), |method| method.to_string());
    let path = policy.path.as_ref().map_or("any path", |path| path.as_str());
    let host = policy.host.as_deref().unwrap_or("any host");
    format!("{method}, {path}, {host}")
}

/// RFC 9110, section 9.3, and RFC 5789.
const STANDARD_METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

#[cfg(test)]
mod tests;
