//! Which IP addresses a tool may reach.
//!
//! The registries of special-purpose addresses (IANA, after RFC 6890) say what an address is for. An address that carries
//! another one inside, as those of transition mechanisms do, counts as the one inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is of the public internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Public,
    /// Of this machine or its network: reached only by a service that is told so.
    Private,
    /// Never reached: metadata services of clouds, groups, addresses of documentation, of nobody.
    Never,
}

pub(super) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

/// Networks that are not of the public internet: address, bits, who may be reached there. The first that fits counts.
const V4: [(Ipv4Addr, u32, Reach); 19] = [
    // "This network".
    (Ipv4Addr::UNSPECIFIED, 8, Reach::Never),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Reach::Private),
    // Between carriers and their customers.
    (Ipv4Addr::new(100, 64, 0, 0), 10, Reach::Private),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Reach::Private),
    // Link-local, with the metadata services of clouds.
    (Ipv4Addr::new(169, 254, 0, 0), 16, Reach::Never),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Reach::Private),
    // Protocol assignments.
    (Ipv4Addr::new(192, 0, 0, 0), 24, Reach::Never),
    // Documentation.
    (Ipv4Addr::new(192, 0, 2, 0), 24, Reach::Never),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Reach::Never),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Reach::Never),
    // Relays and sinks.
    (Ipv4Addr::new(192, 31, 196, 0), 24, Reach::Never),
    (Ipv4Addr::new(192, 52, 193, 0), 24, Reach::Never),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Reach::Never),
    (Ipv4Addr::new(192, 175, 48, 0), 24, Reach::Never),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Reach::Private),
    // Benchmarks.
    (Ipv4Addr::new(198, 18, 0, 0), 15, Reach::Never),
    // Azure's own services, which are reached from any of its machines.
    (Ipv4Addr::new(168, 63, 129, 16), 32, Reach::Never),
    // Groups, and what is reserved, broadcast included.
    (Ipv4Addr::new(224, 0, 0, 0), 4, Reach::Never),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Reach::Never),
];

/// The same for IPv6, whose last line stands for all that was never given to anybody.
const V6: [(Ipv6Addr, u32, Reach); 9] = [
    (Ipv6Addr::LOCALHOST, 128, Reach::Private),
    // The metadata service of AWS is among the unique-local addresses.
    (Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0), 32, Reach::Never),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Reach::Private),
    // Protocol assignments, with Teredo and benchmarks.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Reach::Never),
    // Documentation.
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32, Reach::Never),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Reach::Never),
    // A sink.
    (Ipv6Addr::new(0x2620, 0x004f, 0x8000, 0, 0, 0, 0, 0), 48, Reach::Never),
    (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, Reach::Public),
    // Link-local, groups, unspecified.
    (Ipv6Addr::UNSPECIFIED, 0, Reach::Never),
];

fn reach_v4(address: Ipv4Addr) -> Reach {
    let is_within = |network: Ipv4Addr, bits: u32| {
        let mask = u32::MAX.checked_shl(u32::BITS - bits).unwrap_or(0);
        address.to_bits() & mask == network.to_bits()
    };
    let network = V4.into_iter().find(|(network, bits, _)| is_within(*network, *bits));
    network.map_or(Reach::Public, |(.., reach)| reach)
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if let Some(inside) = v4_inside(address) {
        return reach_v4(inside);
    }
    let is_within = |network: Ipv6Addr, bits: u32| {
        let mask = u128::MAX.checked_shl(u128::BITS - bits).unwrap_or(0);
        address.to_bits() & mask == network.to_bits()
    };
    let network = V6.into_iter().find(|(network, bits, _)| is_within(*network, *bits));
    network.map_or(Reach::Never, |(.., reach)| reach)
}

/// The address inside `::ffff:a.b.c.d` (mapped), `::a.b.c.d` (compatible), `64:ff9b::a.b.c.d` (NAT64) and `2002:…` (6to4).
fn v4_inside(address: Ipv6Addr) -> Option<Ipv4Addr> {
    if address.is_loopback() || address.is_unspecified() {
        return None;
    }
    let ([0, 0, 0, 0, 0, 0 | 0xffff, high, low]
    | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
    | [0x2002, high, low, ..]) = address.segments()
    else {
        return None;
    };
    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Reach {
        reach(text.parse().unwrap())
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        for text in [
            "8.8.8.8",
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "168.63.129.15",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "2001:200::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert_eq!(of(text), Reach::Public, "{text}");
        }
    }

    #[test]
    fn addresses_of_this_machine_and_its_network_are_private() {
        for text in [
            "127.0.0.1",
            "127.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.0.0",
            "192.168.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "::1",
            "fc00::1",
            "fdff:ffff::1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "::192.168.1.1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::1",
        ] {
            assert_eq!(of(text), Reach::Private, "{text}");
        }
    }

    #[test]
    fn what_is_nobodys_is_never_reached() {
        for text in [
            "0.0.0.0",
            "0.255.255.255",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.170.2",
            "169.254.255.255",
            "192.0.0.170",
            "192.0.2.1",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "192.88.99.1",
            "168.63.129.16",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "2002:a9fe:a9fe::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "3fff:0:1::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "5f00::1",
            "4000::1",
        ] {
            assert_eq!(of(text), Reach::Never, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_form_of_an_address_reaches_no_further_than_the_address(bits in 2_u32..) {
            let inside = Ipv4Addr::from(bits);
            let [a, b, c, d] = inside.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            for form in [
                inside.to_ipv6_mapped(),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            ] {
                prop_assert_eq!(reach(form.into()), reach(inside.into()));
            }
        }
    }
}
