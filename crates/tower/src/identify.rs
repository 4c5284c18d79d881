//! Who asks. The layer cannot know it; the application says where to look.

use std::net::IpAddr;

use http::request::Parts;
use transom_core::{DEFAULT_IPV6_PREFIX, Identity};

/// Finds who asks in the head of a request.
///
/// An identity has to be one that a client cannot choose: take it from what the server knows (the
/// address of the peer) or has verified (a user that an authentication layer put among the
/// extensions of the request). A header as the client sent it is neither, unless a proxy in front
/// always sets it.
///
/// Every closure `Fn(&Parts) -> Option<Identity>` is one; write the type of its argument. `None`
/// says that the request does not tell; what happens then is the business of
/// [`Unidentified`](crate::Unidentified). Never return a constant in its place: all who get it
/// would share one limit.
///
/// ```
/// use std::net::SocketAddr;
///
/// use axum::extract::ConnectInfo;
/// use transom_core::Identity;
/// use transom_tower::{Identify, identify};
///
/// /// What this application's authentication puts among the extensions.
/// #[derive(Clone)]
/// struct User {
///     id: String,
/// }
///
/// let user = identify::extension(|user: &User| Identity::user(&user.id).ok());
/// let peer = identify::address(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| peer.ip());
/// let caller = user.or(peer);
///
/// let (mut request, ()) = http::Request::new(()).into_parts();
/// assert_eq!(caller.identify(&request), None);
/// request.extensions.insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 443))));
/// assert_eq!(caller.identify(&request), "ip:192.0.2.7".parse().ok());
/// request.extensions.insert(User { id: "42".into() });
/// assert_eq!(caller.identify(&request), "user:42".parse().ok());
/// ```
pub trait Identify: Send + Sync + 'static {
    /// Who asks, or `None` where the request does not tell.
    fn identify(&self, request: &Parts) -> Option<Identity>;

    /// Whom this finds, or else whom `other` finds.
    fn or<O: Identify>(self, other: O) -> Or<Self, O>
    where
        Self: Sized,
    {
        Or { first: self, other }
    }
}

impl<F> Identify for F
where
    F: Fn(&Parts) -> Option<Identity> + Send + Sync + 'static,
{
    fn identify(&self, request: &Parts) -> Option<Identity> {
        self(request)
    }
}

/// What an extension of the request of type `E` says: a user whom an authentication layer outside
/// of the rate limit has put there. Finds nobody where there is no such extension.
pub fn extension<E, F>(read: F) -> impl Identify
where
    E: Send + Sync + 'static,
    F: Fn(&E) -> Option<Identity> + Send + Sync + 'static,
{
    move |request: &Parts| request.extensions.get().and_then(&read)
}

/// The address in an extension of the request of type `E`. An IPv6 address stands for its /64;
/// for another prefix use [`extension`] and [`Identity::ip`].
///
/// With axum, `E` is `ConnectInfo<SocketAddr>`, which is there if the router is served by
/// `into_make_service_with_connect_info`. With another server it is what the application inserts,
/// for example `identify::address(SocketAddr::ip)`.
///
/// The peer must be the client. Behind a proxy it is the proxy, and all clients would share one
/// limit: have a layer outside find the client's address in what a *trusted* proxy has added, and
/// read that one's extension here.
pub fn address<E, F>(read: F) -> impl Identify
where
    E: Send + Sync + 'static,
    F: Fn(&E) -> IpAddr + Send + Sync + 'static,
{
    extension(move |found: &E| Some(Identity::ip(read(found), DEFAULT_IPV6_PREFIX)))
}

/// One way to find who asks, and another where it finds nobody; see [`Identify::or`].
#[derive(Clone, Copy, Debug)]
pub struct Or<I, O> {
    first: I,
    other: O,
}

impl<I: Identify, O: Identify> Identify for Or<I, O> {
    fn identify(&self, request: &Parts) -> Option<Identity> {
        self.first.identify(request).or_else(|| self.other.identify(request))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http::Request;

    use super::*;

    #[derive(Clone)]
    struct User(&'static str);

    fn user() -> impl Identify {
        extension(|User(id): &User| Identity::user(id).ok())
    }

    fn found(by: &impl Identify, insert: impl FnOnce(&mut http::Extensions)) -> Option<String> {
        let (mut request, ()) = Request::new(()).into_parts();
        insert(&mut request.extensions);
        by.identify(&request).map(|identity| identity.to_string())
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_identity() {
        let peer = address(SocketAddr::ip);
        for host in ["[2001:db8::1]:1", "[2001:db8::ffff:0:0:2]:2"] {
            let identity = found(&peer, |extensions| {
                extensions.insert(host.parse::<SocketAddr>().unwrap());
            });
            assert_eq!(identity.as_deref(), Some("ip:2001:db8::"), "{host}");
        }
    }

    #[test]
    fn a_user_without_an_id_is_limited_by_address() {
        let caller = user().or(address(|address: &IpAddr| *address));
        let identity = found(&caller, |extensions| {
            extensions.insert(User(""));
            extensions.insert(IpAddr::from([192, 0, 2, 7]));
        });
        assert_eq!(identity.as_deref(), Some("ip:192.0.2.7"));
    }

    #[test]
    fn nobody_is_found_where_no_extension_says_who_asks() {
        assert_eq!(found(&user().or(address(SocketAddr::ip)), |_| ()), None);
    }
}
