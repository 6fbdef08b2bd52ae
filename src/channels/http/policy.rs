//! The outgoing policy: which addresses a request may go to.
//!
//! An endpoint's address comes from a tenant, and this program stands inside the operator's
//! network. So only addresses that are reachable from anywhere are permitted, but for those that
//! the operator lists. The base addresses of providers come from the operator, and are held to the
//! same rule: whoever puts one on a private address lists that too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    pub allowed: Vec<IpNet>,
    pub plain_http: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the address does not begin with https://")]
    Scheme,
    #[error("the address is not encrypted (http://), which is not allowed here")]
    PlainHttp,
    #[error("the address names no host")]
    NoHost,
    #[error("the address has a user name or password in it; use a header instead")]
    Credentials,
    #[error("{address} is {class}, and not on the list of allowed networks")]
    Address {
        address: IpAddr,
        class: &'static str,
    },
}

impl Refused {
    /// Whether another policy would permit it.
    pub fn is_permittable(&self) -> bool {
        match self {
            Self::PlainHttp | Self::Address { .. } => true,
            Self::Scheme | Self::NoHost | Self::Credentials => false,
        }
    }
}

impl Policy {
    /// Checks an address as written. A name may still resolve to an address that is refused when
    /// the connection is made.
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        match url.scheme() {
            "https" => {}
            "http" if self.plain_http => {}
            "http" => return Err(Refused::PlainHttp),
            _ => return Err(Refused::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Credentials);
        }
        match url.host() {
            None | Some(Host::Domain("" | ".")) => Err(Refused::NoHost),
            Some(Host::Domain(_)) => Ok(()),
            Some(Host::Ipv4(address)) => self.permits(address.into()),
            Some(Host::Ipv6(address)) => self.permits(address.into()),
        }
    }

    /// Checks an address to connect to.
    pub fn permits(&self, address: IpAddr) -> Result<(), Refused> {
        // What is reached through a mapped or translated address is the one within.
        let reached = match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => carried(v6).map_or(address, IpAddr::V4),
        };
        let listed = |address| {
            self.allowed
                .iter()
                .any(|network| network.contains(&address))
        };
        if listed(address) || listed(reached) {
            return Ok(());
        }
        let class = match reached {
            IpAddr::V4(v4) => class_of_v4(v4),
            IpAddr::V6(v6) => class_of_v6(v6),
        };
        match class {
            None => Ok(()),
            Some(class) => Err(Refused::Address { address, class }),
        }
    }
}

/// The IPv4 address that packets to an IPv6 address arrive at: mapped (`::ffff:0:0/96`), which
/// the system itself turns into IPv4, and translated by NAT64 (`64:ff9b::/96`), by which hosts
/// without IPv4 reach all of it.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = address.octets();
    let nat64 = address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    if nat64 {
        return Some(Ipv4Addr::new(a, b, c, d));
    }
    address.to_ipv4_mapped()
}

/// The IANA registry of special-purpose IPv4 addresses, as far as not everyone can reach them, and
/// multicast.
const SPECIAL_V4: [(Ipv4Net, &str); 17] = [
    (v4(0, 0, 0, 0, 32), "the unspecified address"),
    (v4(0, 0, 0, 0, 8), "an address of this network"),
    (v4(10, 0, 0, 0, 8), "a private address"),
    (v4(100, 64, 0, 0, 10), "a shared address (RFC 6598)"),
    (v4(127, 0, 0, 0, 8), "a loopback address"),
    (v4(169, 254, 0, 0, 16), "a link-local address"),
    (v4(172, 16, 0, 0, 12), "a private address"),
    (v4(192, 0, 0, 0, 24), "reserved for protocols"),
    (v4(192, 0, 2, 0, 24), "for documentation"),
    (v4(192, 88, 99, 0, 24), "a relay of 6to4"),
    (v4(192, 168, 0, 0, 16), "a private address"),
    (v4(198, 18, 0, 0, 15), "for benchmarks"),
    (v4(198, 51, 100, 0, 24), "for documentation"),
    (v4(203, 0, 113, 0, 24), "for documentation"),
    (v4(224, 0, 0, 0, 4), "a multicast address"),
    (v4(255, 255, 255, 255, 32), "the broadcast address"),
    (v4(240, 0, 0, 0, 4), "a reserved address"),
];

/// All that is global unicast; of the rest, nothing can be reached from everywhere.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0], 3);

/// Named exceptions, from the IANA registry of special-purpose IPv6 addresses.
const SPECIAL_V6: [(Ipv6Net, &str); 13] = [
    (v6([0, 0, 0], 128), "the unspecified address"),
    (
        Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128),
        "a loopback address",
    ),
    (v6([0, 0, 0], 96), "an IPv4-compatible address"),
    (v6([0x64, 0xff9b, 1], 48), "a local NAT64 address"),
    (v6([0x100, 0, 0], 64), "a discard address"),
    (v6([0x2001, 0, 0], 32), "a Teredo address"),
    (v6([0x2001, 0, 0], 23), "reserved for protocols"),
    (v6([0x2001, 0xdb8, 0], 32), "for documentation"),
    (v6([0x2002, 0, 0], 16), "a 6to4 address"),
    (v6([0x3fff, 0, 0], 20), "for documentation"),
    (v6([0xfc00, 0, 0], 7), "a private (unique local) address"),
    (v6([0xfe80, 0, 0], 10), "a link-local address"),
    (v6([0xff00, 0, 0], 8), "a multicast address"),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6([a, b, c]: [u16; 3], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), bits)
}

fn class_of_v4(address: Ipv4Addr) -> Option<&'static str> {
    let class = SPECIAL_V4
        .iter()
        .find(|(network, _)| network.contains(&address));
    class.map(|(_, class)| *class)
}

fn class_of_v6(address: Ipv6Addr) -> Option<&'static str> {
    let class = SPECIAL_V6
        .iter()
        .find(|(network, _)| network.contains(&address));
    match class {
        Some((_, class)) => Some(class),
        None if GLOBAL_V6.contains(&address) => None,
        None => Some("not a public address"),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use proptest::prelude::*;

    fn outcome(policy: &Policy, url: &str) -> String {
        let judged = policy.check(&url.parse().expect("an address"));
        judged.map_or_else(|refused| refused.to_string(), |()| "permitted".to_owned())
    }

    fn outcomes(policy: &Policy, urls: &str) -> String {
        let mut table = String::new();
        for url in urls.split_whitespace() {
            let _ = writeln!(table, "{url}  {}", outcome(policy, url));
        }
        table
    }

    #[test]
    fn addresses_as_written() {
        insta::assert_snapshot!(outcomes(&Policy::default(), "
            https://hooks.example.com/x  https://1.1.1.1/  https://[2606:4700:4700::1111]/
            http://hooks.example.com/  ftp://example.com/  file:///etc/passwd  https://u:p@example.com/
            https://0.0.0.0/ https://0.1.2.3/ https://10.0.0.1/ https://100.64.0.1/ https://100.127.255.255/
            https://127.0.0.1/ https://127.255.255.254/ https://2130706433/ https://0x7f.1/ https://0177.0.0.1/
            https://127.0.0.1./ https://169.254.169.254/ https://172.31.255.255/ https://192.168.1.1/ https://192.0.0.8/
            https://192.0.2.1/ https://198.51.100.1/ https://203.0.113.1/ https://198.19.0.1/ https://192.88.99.1/
            https://224.0.0.1/ https://239.255.255.250/ https://240.0.0.1/ https://255.255.255.255/
            https://[::]/ https://[::1]/ https://[::127.0.0.1]/ https://[::8.8.8.8]/
            https://[::ffff:10.0.0.1]/ https://[::ffff:169.254.169.254]/ https://[::ffff:8.8.8.8]/
            https://[64:ff9b::10.0.0.1]/ https://[64:ff9b::169.254.169.254]/ https://[64:ff9b::8.8.8.8]/ https://[64:ff9b:1::8.8.8.8]/
            https://[2002:0a00:0001::1]/ https://[2002:808:808::1]/ https://[2001:0:4136:e378::1]/ https://[2001:2::1]/
            https://[2001:db8::1]/ https://[3fff::1]/ https://[fc00::1]/ https://[fd12::1]/ https://[fe80::1]/ https://[fec0::1]/
            https://[ff02::1]/ https://[100::1]/ https://[4000::1]/ https://[5f00::1]/"), @"
        https://hooks.example.com/x  permitted
        https://1.1.1.1/  permitted
        https://[2606:4700:4700::1111]/  permitted
        http://hooks.example.com/  the address is not encrypted (http://), which is not allowed here
        ftp://example.com/  the address does not begin with https://
        file:///etc/passwd  the address does not begin with https://
        https://u:p@example.com/  the address has a user name or password in it; use a header instead
        https://0.0.0.0/  0.0.0.0 is the unspecified address, and not on the list of allowed networks
        https://0.1.2.3/  0.1.2.3 is an address of this network, and not on the list of allowed networks
        https://10.0.0.1/  10.0.0.1 is a private address, and not on the list of allowed networks
        https://100.64.0.1/  100.64.0.1 is a shared address (RFC 6598), and not on the list of allowed networks
        https://100.127.255.255/  100.127.255.255 is a shared address (RFC 6598), and not on the list of allowed networks
        https://127.0.0.1/  127.0.0.1 is a loopback address, and not on the list of allowed networks
        https://127.255.255.254/  127.255.255.254 is a loopback address, and not on the list of allowed networks
        https://2130706433/  127.0.0.1 is a loopback address, and not on the list of allowed networks
        https://0x7f.1/  127.0.0.1 is a loopback address, and not on the list of allowed networks
        https://0177.0.0.1/  127.0.0.1 is a loopback address, and not on the list of allowed networks
        https://127.0.0.1./  127.0.0.1 is a loopback address, and not on the list of allowed networks
        https://169.254.169.254/  169.254.169.254 is a link-local address, and not on the list of allowed networks
        https://172.31.255.255/  172.31.255.255 is a private address, and not on the list of allowed networks
        https://192.168.1.1/  192.168.1.1 is a private address, and not on the list of allowed networks
        https://192.0.0.8/  192.0.0.8 is reserved for protocols, and not on the list of allowed networks
        https://192.0.2.1/  192.0.2.1 is for documentation, and not on the list of allowed networks
        https://198.51.100.1/  198.51.100.1 is for documentation, and not on the list of allowed networks
        https://203.0.113.1/  203.0.113.1 is for documentation, and not on the list of allowed networks
        https://198.19.0.1/  198.19.0.1 is for benchmarks, and not on the list of allowed networks
        https://192.88.99.1/  192.88.99.1 is a relay of 6to4, and not on the list of allowed networks
        https://224.0.0.1/  224.0.0.1 is a multicast address, and not on the list of allowed networks
        https://239.255.255.250/  239.255.255.250 is a multicast address, and not on the list of allowed networks
        https://240.0.0.1/  240.0.0.1 is a reserved address, and not on the list of allowed networks
        https://255.255.255.255/  255.255.255.255 is the broadcast address, and not on the list of allowed networks
        https://[::]/  :: is the unspecified address, and not on the list of allowed networks
        https://[::1]/  ::1 is a loopback address, and not on the list of allowed networks
        https://[::127.0.0.1]/  ::7f00:1 is an IPv4-compatible address, and not on the list of allowed networks
        https://[::8.8.8.8]/  ::808:808 is an IPv4-compatible address, and not on the list of allowed networks
        https://[::ffff:10.0.0.1]/  ::ffff:10.0.0.1 is a private address, and not on the list of allowed networks
        https://[::ffff:169.254.169.254]/  ::ffff:169.254.169.254 is a link-local address, and not on the list of allowed networks
        https://[::ffff:8.8.8.8]/  permitted
        https://[64:ff9b::10.0.0.1]/  64:ff9b::a00:1 is a private address, and not on the list of allowed networks
        https://[64:ff9b::169.254.169.254]/  64:ff9b::a9fe:a9fe is a link-local address, and not on the list of allowed networks
        https://[64:ff9b::8.8.8.8]/  permitted
        https://[64:ff9b:1::8.8.8.8]/  64:ff9b:1::808:808 is a local NAT64 address, and not on the list of allowed networks
        https://[2002:0a00:0001::1]/  2002:a00:1::1 is a 6to4 address, and not on the list of allowed networks
        https://[2002:808:808::1]/  2002:808:808::1 is a 6to4 address, and not on the list of allowed networks
        https://[2001:0:4136:e378::1]/  2001:0:4136:e378::1 is a Teredo address, and not on the list of allowed networks
        https://[2001:2::1]/  2001:2::1 is reserved for protocols, and not on the list of allowed networks
        https://[2001:db8::1]/  2001:db8::1 is for documentation, and not on the list of allowed networks
        https://[3fff::1]/  3fff::1 is for documentation, and not on the list of allowed networks
        https://[fc00::1]/  fc00::1 is a private (unique local) address, and not on the list of allowed networks
        https://[fd12::1]/  fd12::1 is a private (unique local) address, and not on the list of allowed networks
        https://[fe80::1]/  fe80::1 is a link-local address, and not on the list of allowed networks
        https://[fec0::1]/  fec0::1 is not a public address, and not on the list of allowed networks
        https://[ff02::1]/  ff02::1 is a multicast address, and not on the list of allowed networks
        https://[100::1]/  100::1 is a discard address, and not on the list of allowed networks
        https://[4000::1]/  4000::1 is not a public address, and not on the list of allowed networks
        https://[5f00::1]/  5f00::1 is not a public address, and not on the list of allowed networks
        ");
    }

    #[test]
    fn allowed_networks_are_permitted_in_every_form() {
        let policy = Policy {
            allowed: vec![
                "10.1.0.0/16".parse().expect("a network"),
                "fd00::/8".parse().expect("a network"),
            ],
            plain_http: true,
        };
        insta::assert_snapshot!(outcomes(&policy, "http://example.com/ http://10.1.2.3/ https://10.2.0.0/
            https://[::ffff:10.1.2.3]/ https://[64:ff9b::10.1.2.3]/ https://[fd00::1]/ https://[fc00::1]/ http://127.0.0.1/"), @"
        http://example.com/  permitted
        http://10.1.2.3/  permitted
        https://10.2.0.0/  10.2.0.0 is a private address, and not on the list of allowed networks
        https://[::ffff:10.1.2.3]/  permitted
        https://[64:ff9b::10.1.2.3]/  permitted
        https://[fd00::1]/  permitted
        https://[fc00::1]/  fc00::1 is a private (unique local) address, and not on the list of allowed networks
        http://127.0.0.1/  127.0.0.1 is a loopback address, and not on the list of allowed networks
        ");
    }

    #[test]
    fn the_rule_agrees_with_its_edges() {
        // First and last of each network, and the neighbours outside.
        let permitted = |address: &str| {
            Policy::default()
                .permits(address.parse().expect("an address"))
                .is_ok()
        };
        for (outside, inside) in [
            ("1.0.0.0", "0.255.255.255"),
            ("9.255.255.255", "10.0.0.0"),
            ("11.0.0.0", "10.255.255.255"),
            ("100.63.255.255", "100.64.0.0"),
            ("100.128.0.0", "100.127.255.255"),
            ("126.255.255.255", "127.0.0.0"),
            ("128.0.0.0", "127.255.255.255"),
            ("169.253.255.255", "169.254.0.0"),
            ("169.255.0.0", "169.254.255.255"),
            ("172.15.255.255", "172.16.0.0"),
            ("172.32.0.0", "172.31.255.255"),
            ("192.167.255.255", "192.168.0.0"),
            ("192.169.0.0", "192.168.255.255"),
            ("198.17.255.255", "198.18.0.0"),
            ("198.20.0.0", "198.19.255.255"),
            ("223.255.255.255", "224.0.0.0"),
            ("2003::", "2002:ffff::"),
            ("2001:200::", "2001:1ff::"),
            ("2001:db7::", "2001:db8::"),
            ("2001:db9::", "2001:db8:ffff::"),
            ("3ffe::", "3fff::"),
            ("3fff:1000::", "3fff:fff::"),
            ("2000::", "1fff::"),
            ("3fff:ffff::", "4000::"),
        ] {
            assert!(permitted(outside), "{outside}");
            assert!(!permitted(inside), "{inside}");
        }
    }

    proptest! {
        #[test]
        fn the_standard_library_refuses_nothing_that_is_permitted(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            if Policy::default().permits(address.into()).is_ok() {
                prop_assert!(!(address.is_private() || address.is_loopback() || address.is_link_local()
                    || address.is_broadcast() || address.is_documentation() || address.is_multicast()
                    || address.is_unspecified()));
            }
        }

        #[test]
        fn a_refused_address_is_refused_in_every_form(bits: u32) {
            let policy = Policy::default();
            let address = Ipv4Addr::from_bits(bits);
            let ok = policy.permits(address.into()).is_ok();
            let [.., a, b] = address.to_ipv6_mapped().segments();
            prop_assert_eq!(policy.permits(address.to_ipv6_mapped().into()).is_ok(), ok);
            let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b);
            prop_assert_eq!(policy.permits(nat64.into()).is_ok(), ok);
            prop_assert!(policy.permits(Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1).into()).is_err());
            prop_assert!(policy.permits(Ipv6Addr::new(0, 0, 0, 0, 0, 0, a, b).into()).is_err());
        }
    }
}
