//! Who is limited: a user by its id, anyone else by address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

/// How many leading bits of an IPv6 address name its network, unless configured.
pub const DEFAULT_IPV6_PREFIX: u8 = 64;

/// What stands before the id of a user.
const USER: &str = "user:";

/// The longest user id, in bytes.
const USER_ID_MAX: usize = 1_024;

/// One caller: `user:ID` or `ip:ADDRESS`. Never empty, and cheap to clone.
///
/// An IPv4-mapped IPv6 address is the IPv4 address; any other IPv6 address stands for its whole
/// network, by the network's first address, since one host may take any address of it.
///
/// ```
/// use transom_core::Identity;
///
/// let address = "2001:db8::1:2:3:4".parse()?;
/// assert_eq!(Identity::ip(address, 64).as_str(), "ip:2001:db8::");
/// assert_eq!("ip:::ffff:192.0.2.7".parse::<Identity>()?.as_str(), "ip:192.0.2.7");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(Arc<str>);

/// Why a text is no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Neither `user:` nor `ip:` in front.
    #[error("an identity is user:ID or ip:ADDRESS, not {0:?}")]
    Kind(String),
    /// Nothing behind `user:`.
    #[error("a user id is not empty")]
    EmptyUser,
    /// A user id that is too long to be one.
    #[error("a user id has at most {USER_ID_MAX} bytes, not {0}")]
    LongUser(usize),
    /// What is behind `ip:` is no address.
    #[error("{0:?} is no IP address")]
    Address(String),
}

impl Identity {
    /// The user with this id.
    ///
    /// # Errors
    ///
    /// An id that is empty, or longer than 1,024 bytes.
    pub fn user(id: &str) -> Result<Self, IdentityError> {
        check_user(id)?;
        Ok(Self([USER, id].concat().into()))
    }

    /// The caller at this address; IPv6 is cut to its first `ipv6_prefix` bits (at most 128).
    pub fn ip(address: IpAddr, ipv6_prefix: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(format!("ip:{v4}").into()),
            IpAddr::V6(v6) => {
                let dropped = 128 - u32::from(ipv6_prefix.min(128));
                let mask = u128::MAX.checked_shl(dropped).unwrap_or(0);
                Self(format!("ip:{}", Ipv6Addr::from_bits(v6.to_bits() & mask)).into())
            }
        }
    }

    /// Reads `user:ID` or `ip:ADDRESS`, in any spelling of the address (brackets allowed), which
    /// is cut to `ipv6_prefix` bits as in [`Identity::ip`].
    ///
    /// # Errors
    ///
    /// What is neither, with the reason.
    pub fn parse(text: &str, ipv6_prefix: u8) -> Result<Self, IdentityError> {
        if let Some(id) = text.strip_prefix(USER) {
            check_user(id)?;
            Ok(Self(text.into()))
        } else if let Some(address) = text.strip_prefix("ip:") {
            let bare = address
                .strip_prefix('[')
                .and_then(|inner| inner.strip_suffix(']'))
                .unwrap_or(address);
            let parsed = bare.parse().map_err(|_| IdentityError::Address(address.to_owned()))?;
            Ok(Self::ip(parsed, ipv6_prefix))
        } else {
            Err(IdentityError::Kind(text.chars().take(64).collect()))
        }
    }

    /// `user:ID` or `ip:ADDRESS`, as in key names and JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an address is limited, not a user.
    pub fn is_ip(&self) -> bool {
        self.0.starts_with("ip:")
    }

    /// The address that is limited, if one is.
    pub fn address(&self) -> Option<IpAddr> {
        self.0.strip_prefix("ip:").and_then(|address| address.parse().ok())
    }
}

fn check_user(id: &str) -> Result<(), IdentityError> {
    match id.len() {
        0 => Err(IdentityError::EmptyUser),
        1..=USER_ID_MAX => Ok(()),
        long => Err(IdentityError::LongUser(long)),
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        Self::parse(text, DEFAULT_IPV6_PREFIX)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Shows the kind alone: an identity belongs in no log unless it is asked for.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_ip() { "Identity(ip:…)" } else { "Identity(user:…)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str, prefix: u8) -> String {
        Identity::ip(text.parse().unwrap(), prefix).to_string()
    }

    #[test]
    fn an_ipv6_address_stands_for_its_network() {
        assert_eq!(ip("2001:db8:1:2:3:4:5:6", 64), "ip:2001:db8:1:2::");
        assert_eq!(ip("2001:db8:1:2:3:4:5:6", 48), "ip:2001:db8:1::");
        assert_eq!(ip("2001:db8:1:2:3:4:5:6", 128), "ip:2001:db8:1:2:3:4:5:6");
        assert_eq!(ip("2001:db8:1:2:3:4:5:6", 0), "ip:::");
        assert_eq!(ip("2001:db8:1:2:3:4:5:6", 200), "ip:2001:db8:1:2:3:4:5:6");
    }

    #[test]
    fn a_mapped_ipv4_address_is_the_ipv4_address() {
        assert_eq!(ip("::ffff:192.0.2.7", 64), "ip:192.0.2.7");
        assert_eq!(ip("::ffff:c000:207", 64), "ip:192.0.2.7");
        assert_eq!(ip("192.0.2.7", 64), "ip:192.0.2.7");
    }

    #[test]
    fn any_spelling_of_an_address_is_one_identity() {
        for spelling in
            ["ip:2001:DB8:0:0::9", "ip:2001:db8::", "ip:[2001:db8::1]", "ip:2001:0db8:0::1:2"]
        {
            assert_eq!(spelling.parse::<Identity>().unwrap().as_str(), "ip:2001:db8::");
        }
    }

    #[test]
    fn what_is_no_identity_is_refused_by_name() {
        for (text, says) in [
            ("42", "an identity is user:ID or ip:ADDRESS, not \"42\""),
            ("", "an identity is user:ID or ip:ADDRESS, not \"\""),
            ("user:", "a user id is not empty"),
            ("ip:", "\"\" is no IP address"),
            ("ip:1.2.3.4:80", "\"1.2.3.4:80\" is no IP address"),
        ] {
            assert_eq!(text.parse::<Identity>().unwrap_err().to_string(), says);
        }
        assert!(Identity::user(&"x".repeat(1_025)).is_err());
    }

    #[test]
    fn debug_output_shows_no_identity() {
        assert_eq!(format!("{:?}", Identity::user("42").unwrap()), "Identity(user:…)");
    }

    #[test]
    fn a_user_is_never_taken_for_an_address() {
        let user = Identity::user("192.0.2.7").unwrap();
        assert_eq!((user.is_ip(), user.address()), (false, None));
        assert_eq!(
            Identity::ip("192.0.2.7".parse().unwrap(), 64).address(),
            "192.0.2.7".parse().ok()
        );
    }
}
