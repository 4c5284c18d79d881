//! The URL of a Redis server, which may hold a password.

use std::fmt;

use http::uri::Authority;

use super::network::is_host_and_port;

/// The URL of a Redis server, checked. `Debug` and `Display` show neither user nor password.
///
/// ```text
/// redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]      rediss:// for TLS
/// unix:///PATH[?db=DATABASE&user=USER&pass=PASSWORD]
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// The URL as written, which may hold a password. It belongs in no log and no error.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("rediss:") || self.0.starts_with("valkeys:")
    }

    /// Whether it is the path of a Unix socket.
    pub(super) fn is_socket(&self) -> bool {
        self.parts().place.is_empty()
    }

    /// The number of the database that it names, else 0.
    pub(super) fn database(&self) -> u16 {
        self.parts().database.parse().unwrap_or(0)
    }

    /// What beside the host and the port is not as in another one.
    pub(super) fn difference(&self, other: &Self) -> Option<&'static str> {
        let (one, two) = (self.parts(), other.parts());
        [
            ("scheme", one.scheme != two.scheme),
            ("user or password", one.login != two.login),
            ("database", self.database() != other.database()),
            ("query", one.query != two.query),
        ]
        .into_iter()
        .find_map(|(what, differs)| differs.then_some(what))
    }

    fn parts(&self) -> Parts<'_> {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        Parts { scheme, login, place, database, query }
    }

    /// Reads a URL. The reason repeats nothing of it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(NO_URL.to_owned());
        };
        if rest.contains('#') {
            return Err("a Redis URL has no fragment; write # in a password as %23".to_owned());
        }
        let (place, _query) = rest.split_once('?').unwrap_or((rest, ""));
        match scheme {
            "redis" | "rediss" | "valkey" | "valkeys" => check_server(place)?,
            "unix" | "redis+unix" | "valkey+unix" => {
                if !place.starts_with('/') || place.len() == 1 {
                    return Err("no path of a socket; write unix:///run/redis.sock".to_owned());
                }
            }
            _ => return Err(NO_URL.to_owned()),
        }
        Ok(Self(text.to_owned()))
    }
}

/// What the URL of a server is made of.
struct Parts<'a> {
    scheme: &'a str,
    login: &'a str,
    /// Host and port; empty for a socket.
    place: &'a str,
    database: &'a str,
    query: &'a str,
}

/// Checks `[USER:PASSWORD@]HOST[:PORT][/DATABASE]`.
fn check_server(place: &str) -> Result<(), String> {
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    if !authority.parse().is_ok_and(|authority: Authority| is_host_and_port(&authority)) {
        return Err(
            "no host and port; in a password write / ? # @ : as %2F %3F %23 %40 %3A".to_owned()
        );
    }
    if database.parse::<u16>().is_err() && !database.is_empty() {
        return Err("what follows the host is the number of a database".to_owned());
    }
    Ok(())
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("redis", &self.0));
        let (place, query) = rest.split_once('?').map_or((rest, false), |(place, _)| (place, true));
        let (secret, place) = match place.rsplit_once('@') {
            Some((_, place)) => ("***@", place),
            None => ("", place),
        };
        write!(f, "{scheme}://{secret}{place}{}", if query { "?***" } else { "" })
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

const NO_URL: &str = "no Redis URL; write redis://HOST:PORT, rediss:// for TLS, or unix:///PATH";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_user_and_password() {
        for (url, shown) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("rediss://app:hunter2@redis.example/3", "rediss://***@redis.example/3"),
            ("redis://:hunter2@[::1]:6379", "redis://***@[::1]:6379"),
            ("redis://:%2F%3F%23%40%3A!$&'()*+,;=~@h", "redis://***@h"),
            ("redis://redis?protocol=resp3", "redis://redis?***"),
            ("unix:///run/redis.sock?pass=hunter2", "unix:///run/redis.sock?***"),
        ] {
            let parsed = RedisUrl::parse(url).unwrap();
            assert_eq!(parsed.expose(), url);
            assert_eq!(parsed.to_string(), shown);
            assert_eq!(format!("{parsed:?}"), format!("RedisUrl({shown})"));
        }
    }

    #[test]
    fn the_reason_against_a_url_repeats_nothing_of_it() {
        for url in [
            "hunter2",
            "http://hunter2@host",
            "redis://",
            "redis://:hunter2",
            "redis://:hunter2@",
            "redis://:hunter2@host:99999",
            "redis://:hunter/2@host",
            "redis://:hunter?2@host",
            "redis://:hunter#2@host",
            "redis://host/hunter2",
            "unix://hunter2",
            "unix:///",
        ] {
            let reason = RedisUrl::parse(url).unwrap_err();
            assert!(!reason.contains("hunter"), "{url}: {reason}");
        }
    }
}
