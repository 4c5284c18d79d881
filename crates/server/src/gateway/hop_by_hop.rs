//! Header fields that end at this hop (RFC 9110, section 7.6.1).

use std::borrow::Cow;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, FORWARDED, HOST,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The prefix of the fields that say what stands before a proxy.
pub(super) const X_FORWARDED: &str = "x-forwarded-";
/// The address of the client, as some proxies note it.
pub(super) const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Taken away whether `Connection` names them or not. `Proxy` is no field at all, but a CGI
/// program behind the upstream would take it for the address of its own proxy.
const THIS_HOP_ONLY: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("proxy"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Kept although `Connection` names them: they are meant for every recipient, and a client that
/// could strip them could strip what a proxy before this one has noted about it.
const ALL_THE_WAY: [HeaderName; 10] = [
    AUTHORIZATION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    COOKIE,
    FORWARDED,
    HOST,
    VIA,
    X_REAL_IP,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// A name in the spelling in which servers behind a gateway compare it: to many a server
/// `X_Forwarded_For` and `X-Forwarded-For` are one.
pub(crate) fn spelled(name: &HeaderName) -> Cow<'_, str> {
    let name = name.as_str();
    if name.contains('_') { Cow::Owned(name.replace('_', "-")) } else { Cow::Borrowed(name) }
}

/// Takes away what ends here, and what is spelled like it. Fields that are meant for the next hop are to be added after.
pub(super) fn strip(fields: &mut HeaderMap) {
    let named: Vec<HeaderName> = options(fields, &CONNECTION)
        .filter_map(|option| HeaderName::from_bytes(option.as_bytes()).ok())
        .filter(|name| !is_for_all(name))
        .collect();
    for name in named.iter().chain(&THIS_HOP_ONLY) {
        fields.remove(name);
    }
    take_out(fields, |name| match spelled(name) {
        Cow::Owned(name) => {
            let is_framing = name == CONTENT_LENGTH.as_str();
            is_framing || THIS_HOP_ONLY.iter().any(|other| name == other.as_str())
        }
        Cow::Borrowed(_) => false,
    });
}

/// Takes away what has such a name.
pub(crate) fn take_out(fields: &mut HeaderMap, is: impl Fn(&HeaderName) -> bool) {
    let names: Vec<_> = fields.keys().filter(|name| is(name)).cloned().collect();
    for name in names {
        fields.remove(name);
    }
}

/// Takes away what ends here from a request, and says anew that trailers are welcome where the
/// client said so.
pub(super) fn strip_request(fields: &mut HeaderMap) {
    let trailers = options(fields, &TE).any(|option| option.eq_ignore_ascii_case("trailers"));
    strip(fields);
    if trailers {
        fields.insert(TE, HeaderValue::from_static("trailers"));
        fields.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

/// The members of a list over all lines of a field. A line that is not ASCII has none.
pub(super) fn options<'a>(
    fields: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> {
    let lines = fields.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

fn is_for_all(name: &HeaderName) -> bool {
    ALL_THE_WAY.contains(name) || name.as_str().starts_with(X_FORWARDED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        lines.collect()
    }

    fn stripped(lines: &[(&'static str, &'static str)]) -> Vec<&'static str> {
        let mut fields = fields(lines);
        strip_request(&mut fields);
        let known: Vec<_> = lines.iter().map(|(name, _)| *name).collect();
        known.into_iter().filter(|name| fields.contains_key(*name)).collect()
    }

    #[test]
    fn what_connection_names_on_any_line_ends_here() {
        let kept = stripped(&[
            ("connection", "keep-alive, X-One"),
            ("connection", "x-two ,,"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
        ]);
        assert_eq!(kept, ["x-three"]);
    }

    #[test]
    fn connection_cannot_take_away_what_is_meant_for_all() {
        let named = "host, content-length, content-type, authorization, cookie, forwarded, via, \
                     x-real-ip, x-forwarded-for, X-Forwarded-Anything, traceparent, tracestate";
        let lines = [
            ("host", "api"),
            ("content-length", "3"),
            ("content-type", "text/plain"),
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("forwarded", "for=192.0.2.1"),
            ("via", "1.1 lb"),
            ("x-real-ip", "192.0.2.1"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-anything", "x"),
            ("traceparent", "00-1-2-01"),
            ("tracestate", "a=b"),
        ];
        let mut all = lines.to_vec();
        all.push(("connection", named));
        let kept = stripped(&all);
        assert_eq!(kept, lines.map(|(name, _)| name));
    }

    #[test]
    fn fields_of_the_hop_end_here_unnamed() {
        let kept = stripped(&[
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("http2-settings", "x"),
            ("proxy", "http://attacker"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("transfer_encoding", "chunked"),
            ("content_length", "3"),
            ("x_one", "1"),
            ("trailer", "x-checksum"),
        ]);
        assert_eq!(kept, ["x_one", "trailer"]);
    }

    #[test]
    fn te_says_that_trailers_are_welcome_and_nothing_else() {
        let mut fields = fields(&[("te", "gzip, Trailers"), ("connection", "te, close")]);
        strip_request(&mut fields);
        assert_eq!(fields.get(TE).unwrap(), "trailers");
        assert_eq!(fields.get(CONNECTION).unwrap(), "te");
    }
}
