//! Requests that are not limited, whoever sends them.

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{HeaderMap, Method};
use transom_core::{PathPattern, normalise};

/// Which requests are not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExemptRequests {
    /// Whether CORS preflights are among them.
    pub preflight: bool,
    /// Those to a path that matches one of these, by any method and to any host.
    pub paths: Vec<PathPattern>,
}

impl ExemptRequests {
    /// Whether a request is a preflight and preflights are exempt. A browser makes one out of
    /// `OPTIONS`, `Origin` and `Access-Control-Request-Method`; so can anybody.
    pub fn has_preflight(&self, method: &Method, headers: &HeaderMap) -> bool {
        self.preflight
            && method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// Whether a path, as received, is exempt; matched in its normal form, as by policies.
    pub fn has_path(&self, path: &str) -> bool {
        if self.paths.is_empty() {
            return false;
        }
        let path = normalise(path);
        self.paths.iter().any(|pattern| pattern.matches(&path))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_preflight_is_made_of_three_things() {
        let exempt = ExemptRequests { preflight: true, ..ExemptRequests::default() };
        let (origin, asked) = ("origin", "access-control-request-method");
        for (method, names, expected) in [
            (Method::OPTIONS, &[origin, asked][..], true),
            (Method::OPTIONS, &[origin], false),
            (Method::OPTIONS, &[asked], false),
            (Method::OPTIONS, &[], false),
            (Method::GET, &[origin, asked], false),
            (Method::HEAD, &[origin, asked], false),
        ] {
            let mut headers = HeaderMap::new();
            for name in names {
                headers.insert(*name, HeaderValue::from_static("x"));
            }
            assert_eq!(exempt.has_preflight(&method, &headers), expected, "{method} {names:?}");
            assert!(!ExemptRequests::default().has_preflight(&method, &headers));
        }
    }

    #[test]
    fn a_path_is_exempt_in_every_spelling_and_so_is_no_other() {
        let paths = ["/healthz", "/status/{*rest}"].map(|path| PathPattern::parse(path).unwrap());
        let exempt = ExemptRequests { paths: paths.to_vec(), ..ExemptRequests::default() };
        for path in ["/healthz", "/healthz/", "//healthz?x=1", "/a/../%68ealthz", "/status/a/b"] {
            assert!(exempt.has_path(path), "{path}");
        }
        for path in ["/", "/Healthz", "/healthz/x", "/healthz/../v1", "/v1?/healthz", "/status", ""]
        {
            assert!(!exempt.has_path(path), "{path}");
        }
        assert!(!ExemptRequests::default().has_path("/healthz"));
    }
}
