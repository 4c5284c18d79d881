//! The places of a listener, of which one address cannot take all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use transom_core::DEFAULT_IPV6_PREFIX;

/// How many connections each address has, IPv6 by its network.
#[derive(Debug)]
pub(super) struct Places {
    of_one: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// A place of an address, until this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    /// At most `of_one` for one address.
    pub(super) fn new(of_one: usize) -> Arc<Self> {
        Arc::new(Self { of_one, taken: Mutex::default() })
    }

    /// Takes one, if the address has one left.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Taken> {
        let address = network(peer);
        let mut taken = self.taken();
        let own = taken.entry(address).or_default();
        if *own >= self.of_one {
            return None;
        }
        *own += 1;
        Some(Taken { places: Arc::clone(self), address })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(own) = taken.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let mask = u128::MAX << (128 - u32::from(DEFAULT_IPV6_PREFIX));
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_places_and_leaves_nothing_behind() {
        let places = Places::new(2);
        let take = |address: &str| places.take(address.parse().unwrap());
        let first = take("192.0.2.1").unwrap();
        let _mapped = take("::ffff:192.0.2.1").unwrap();
        assert!(take("192.0.2.1").is_none());
        drop(first);
        let _again = take("192.0.2.1").unwrap();
        let _host = take("2001:db8::1").unwrap();
        let other = take("2001:db8::2").unwrap();
        assert!(take("2001:db8:0:0:ffff::").is_none(), "a network is one");
        assert!(take("2001:db8:0:1::").is_some());
        assert_eq!(places.taken().len(), 2);
        drop((_mapped, _again, _host, other));
        assert!(places.taken().is_empty());
    }
}
