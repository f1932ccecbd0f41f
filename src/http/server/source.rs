//! Where a request comes from, as far as that can be believed.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// What counts as one sender: an address of IPv4, or the network of IPv6 that a household or a machine is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source(IpAddr);

/// The half of an IPv6 address that its owner does not choose.
const NETWORK: u128 = u128::MAX << 64;

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
            address @ IpAddr::V4(_) => address,
        })
    }
}

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The peer; or, when that is a proxy that we trust, the last address of `X-Forwarded-For` that is not one. What stands
/// before that was written by whoever sent the request.
pub(super) fn of_request(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> Source {
    if !is_trusted(peer, proxies) {
        return peer.into();
    }
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    let mut nearest = peer;
    for hop in hops {
        let Some(address) = address(hop.trim()) else { break };
        nearest = address;
        if !is_trusted(address, proxies) {
            break;
        }
    }
    nearest.into()
}

/// Some proxies add the port.
fn address(hop: &str) -> Option<IpAddr> {
    let with_port = || hop.parse().map(|address: SocketAddr| address.ip());
    hop.parse().or_else(|_| with_port()).ok()
}

pub(super) fn is_trusted(address: IpAddr, proxies: &[IpNet]) -> bool {
    let address = address.to_canonical();
    proxies.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, forwarded: &[&'static str]) -> Source {
        let proxies: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let headers = forwarded.iter().map(|line| (FORWARDED_FOR.parse().unwrap(), line.parse().unwrap()));
        of_request(peer.parse().unwrap(), &headers.collect(), &proxies)
    }

    fn source(address: &str) -> Source {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        for (peer, forwarded, expected) in [
            ("192.0.2.1", &["198.51.100.9"][..], "192.0.2.1"),
            ("10.1.2.3", &["198.51.100.9"], "198.51.100.9"),
            ("::ffff:10.1.2.3", &["198.51.100.9"], "198.51.100.9"),
            ("10.1.2.3", &["203.0.113.5, 198.51.100.9, 10.7.7.7"], "198.51.100.9"),
            ("10.1.2.3", &["203.0.113.5", "198.51.100.9:4711"], "198.51.100.9"),
            ("fd00::1", &["2001:db8::7"], "2001:db8::"),
            ("10.1.2.3", &["198.51.100.9, unknown, 10.7.7.7"], "10.7.7.7"),
            ("10.1.2.3", &["nonsense"], "10.1.2.3"),
            ("10.1.2.3", &[], "10.1.2.3"),
        ] {
            assert_eq!(of(peer, forwarded), source(expected), "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn addresses_of_one_owner_are_one_source() {
        assert_eq!(source("2001:db8:1:2:3:4:5:6"), source("2001:db8:1:2::9"));
        assert_ne!(source("2001:db8:1:2::9"), source("2001:db8:1:3::9"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }
}
