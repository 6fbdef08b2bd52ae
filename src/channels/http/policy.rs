//! The outgoing policy: which addresses a request may go to.
//!
//! An endpoint's address comes from a tenant, and this program stands inside the operator's
//! network. So only addresses that are reachable from anywhere are permitted, but for those that
//! the operator lists. The base addresses of providers come from the operator, and are held to the
//! same rule: whoever puts one on a private address lists that too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::IpNet;
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
        matches!(self, Self::PlainHttp | Self::Address { .. })
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
        match class_of(reached) {
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
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => address.to_ipv4_mapped(),
    }
}

/// What not everyone can reach: the IANA registries of special-purpose addresses, and multicast. The
/// first network that contains an address says what it is. Of IPv6, `2000::/3` alone is public.
const SPECIAL: [(&str, &str); 33] = [
    ("0.0.0.0/32", "the unspecified address"),
    ("0.0.0.0/8", "an address of this network"),
    ("10.0.0.0/8", "a private address"),
    ("100.64.0.0/10", "a shared address (RFC 6598)"),
    ("127.0.0.0/8", "a loopback address"),
    ("169.254.0.0/16", "a link-local address"),
    ("172.16.0.0/12", "a private address"),
    ("192.0.0.0/24", "reserved for protocols"),
    ("192.0.2.0/24", "for documentation"),
    ("192.88.99.0/24", "a relay of 6to4"),
    ("192.168.0.0/16", "a private address"),
    ("198.18.0.0/15", "for benchmarks"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("224.0.0.0/4", "a multicast address"),
    ("255.255.255.255/32", "the broadcast address"),
    ("240.0.0.0/4", "a reserved address"),
    ("::/128", "the unspecified address"),
    ("::1/128", "a loopback address"),
    ("::/96", "an IPv4-compatible address"),
    ("64:ff9b:1::/48", "a local NAT64 address"),
    ("100::/64", "a discard address"),
    ("2001::/32", "a Teredo address"),
    ("2001::/23", "reserved for protocols"),
    ("2001:db8::/32", "for documentation"),
    ("2002::/16", "a 6to4 address"),
    ("3fff::/20", "for documentation"),
    ("fc00::/7", "a private (unique local) address"),
    ("fe80::/10", "a link-local address"),
    ("ff00::/8", "a multicast address"),
    ("::/3", "not a public address"),
    ("4000::/2", "not a public address"),
    ("8000::/1", "not a public address"),
];

static NETWORKS: LazyLock<[(IpNet, &str); SPECIAL.len()]> = LazyLock::new(|| {
    SPECIAL.map(|(network, class)| {
        let network = network.parse();
        (network.unwrap_or_else(|_| unreachable!("a network")), class)
    })
});

fn class_of(address: IpAddr) -> Option<&'static str> {
    let mut networks = NETWORKS.iter();
    let (_, class) = networks.find(|(network, _)| network.contains(&address))?;
    Some(class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn assert_checked(policy: &Policy, table: &str) {
        for line in table.trim().lines() {
            let (url, expected) = line.trim().split_once(' ').expect("an address");
            let checked = policy.check(&url.parse().expect("an address"));
            let shown = checked.map_or_else(|refused| refused.to_string(), |()| "permitted".into());
            let shown = shown.replace(", and not on the list of allowed networks", ", unlisted");
            assert_eq!(shown, expected, "{url}");
        }
    }

    #[test]
    fn addresses_as_written() {
        assert_checked(
            &Policy::default(),
            "
            https://hooks.example.com/x permitted
            https://1.1.1.1/ permitted
            https://[2606:4700:4700::1111]/ permitted
            http://hooks.example.com/ the address is not encrypted (http://), which is not allowed here
            ftp://example.com/ the address does not begin with https://
            file:///etc/passwd the address does not begin with https://
            https://u:p@example.com/ the address has a user name or password in it; use a header instead
            https://0.0.0.0/ 0.0.0.0 is the unspecified address, unlisted
            https://127.255.255.254/ 127.255.255.254 is a loopback address, unlisted
            https://2130706433/ 127.0.0.1 is a loopback address, unlisted
            https://0x7f.1/ 127.0.0.1 is a loopback address, unlisted
            https://0177.0.0.1/ 127.0.0.1 is a loopback address, unlisted
            https://127.0.0.1./ 127.0.0.1 is a loopback address, unlisted
            https://255.255.255.255/ 255.255.255.255 is the broadcast address, unlisted
            https://[::]/ :: is the unspecified address, unlisted
            https://[::1]/ ::1 is a loopback address, unlisted
            https://[::127.0.0.1]/ ::7f00:1 is an IPv4-compatible address, unlisted
            https://[::ffff:10.0.0.1]/ ::ffff:10.0.0.1 is a private address, unlisted
            https://[::ffff:8.8.8.8]/ permitted
            https://[64:ff9b::169.254.169.254]/ 64:ff9b::a9fe:a9fe is a link-local address, unlisted
            https://[64:ff9b::8.8.8.8]/ permitted
            https://[64:ff9b:1::8.8.8.8]/ 64:ff9b:1::808:808 is a local NAT64 address, unlisted
            https://[2001:0:4136:e378::1]/ 2001:0:4136:e378::1 is a Teredo address, unlisted
            https://[2001:2::1]/ 2001:2::1 is reserved for protocols, unlisted
            https://[fd12::1]/ fd12::1 is a private (unique local) address, unlisted
            https://[fec0::1]/ fec0::1 is not a public address, unlisted
            ",
        );
        let allowed = ["10.1.0.0/16", "fd00::/8"].map(|network| network.parse().expect("one"));
        let policy = Policy {
            allowed: allowed.into(),
            plain_http: true,
        };
        assert_checked(
            &policy,
            "
            http://example.com/ permitted
            http://10.1.2.3/ permitted
            https://10.2.0.0/ 10.2.0.0 is a private address, unlisted
            https://[::ffff:10.1.2.3]/ permitted
            https://[64:ff9b::10.1.2.3]/ permitted
            https://[fd00::1]/ permitted
            https://[fc00::1]/ fc00::1 is a private (unique local) address, unlisted
            http://127.0.0.1/ 127.0.0.1 is a loopback address, unlisted
            ",
        );
    }

    #[test]
    fn networks_end_where_the_registries_say() {
        let permitted = |address: &&str| {
            let address = address.parse().expect("an address");
            Policy::default().permits(address).is_ok()
        };
        let outside = "1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
            169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 192.88.98.255 192.88.100.0
            192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255
            203.0.114.0 223.255.255.255 2000:: 2001:200:: 2001:db7:: 2001:db9:: 2003:: 3ffe:: 3fff:1000::";
        let refused: Vec<_> = outside
            .split_whitespace()
            .filter(|a| !permitted(a))
            .collect();
        assert!(refused.is_empty(), "{refused:?}");
        let inside = "0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.0 127.255.255.255
            169.254.0.0 169.254.255.255 172.16.0.0 172.31.255.255 192.0.0.0 192.0.0.255 192.0.2.0 192.0.2.255
            192.88.99.0 192.88.99.255 192.168.0.0 192.168.255.255 198.18.0.0 198.19.255.255 198.51.100.0
            198.51.100.255 203.0.113.0 203.0.113.255 224.0.0.0 239.255.255.255 240.0.0.0 254.255.255.255
            1fff:: 64:ff9b:1:: 100:: 2001:: 2001:1ff:ffff:: 2001:db8:: 2001:db8:ffff:: 2002:: 2002:ffff:ffff::
            3fff:: 3fff:fff:: 4000:: 5f00:: 8000:: fc00:: fe80:: ff02::1";
        let permitted: Vec<_> = inside.split_whitespace().filter(permitted).collect();
        assert!(permitted.is_empty(), "{permitted:?}");
    }

    proptest! {
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
