//! Where requests may go, and whose certificates are believed: one rule for all that goes out.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{InvalidConfig, Source, parse_bool, parse_each};
use crate::channels::{Outgoing, OutgoingSettings, Policy, TlsRoots};

const ALLOW: &str = "NOTIFY_OUTGOING_ALLOW";
const CA_FILE: &str = "NOTIFY_OUTGOING_CA_FILE";

impl Source<'_> {
    /// Which addresses a request may go to.
    pub fn outgoing_policy(&self) -> Result<Policy, InvalidConfig> {
        Ok(Policy {
            allowed: self.parsed(ALLOW, None, Vec::new(), networks)?,
            plain_http: self.parsed("NOTIFY_OUTGOING_PLAIN_HTTP", None, false, parse_bool)?,
        })
    }

    /// The authorities of the system, and those of the file if there is one.
    pub fn tls_roots(&self) -> Result<TlsRoots, InvalidConfig> {
        let invalid = |problem: String| InvalidConfig {
            variable: CA_FILE,
            problem,
        };
        let Some(path) = self.get(CA_FILE) else {
            return TlsRoots::system().map_err(|error| invalid(format!("not set, and {error}")));
        };
        let path = path.trim();
        let pem = std::fs::read(path)
            .map_err(|error| invalid(format!("{path} can't be read: {error}")))?;
        let system = TlsRoots::system().unwrap_or_default();
        system
            .with_pem(&pem)
            .map_err(|error| invalid(format!("{path} is {error}")))
    }

    /// The client of whatever speaks HTTP.
    pub fn outgoing(&self) -> Result<Outgoing, InvalidConfig> {
        let settings = OutgoingSettings {
            policy: self.outgoing_policy()?,
            ..OutgoingSettings::new(self.tls_roots()?)
        };
        Outgoing::new(settings).map_err(|error| InvalidConfig {
            variable: CA_FILE,
            problem: error.to_string(),
        })
    }
}

/// Networks apart by commas; an address is a network of its own.
fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let expected = "a network such as 10.0.0.0/8 or fd00::/8, or an address";
    parse_each(text, expected, |part| {
        let network = part.parse::<IpNet>().ok();
        network.or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(variables: &[(&str, &str)]) -> Result<Policy, InvalidConfig> {
        let get = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Source(&get).outgoing_policy()
    }

    fn permits(policy: &Policy, url: &str) -> bool {
        policy.check(&url.parse().expect("an address")).is_ok()
    }

    #[test]
    fn nothing_private_unless_it_is_listed() {
        let strict = policy(&[]).expect("a policy");
        assert_eq!(strict, Policy::default());
        let listed = policy(&[
            (ALLOW, " 10.1.0.0/16, 127.0.0.1,fd00::/8 "),
            ("NOTIFY_OUTGOING_PLAIN_HTTP", "yes"),
        ])
        .expect("a policy");
        for url in [
            "http://127.0.0.1:8080/",
            "https://10.1.2.3/",
            "https://[fd00::1]/",
        ] {
            assert!(permits(&listed, url) && !permits(&strict, url), "{url}");
        }
        assert!(!permits(&listed, "https://127.0.0.2/"));
    }

    #[test]
    fn what_is_wrong_is_refused_by_name() {
        let error = |name, value| policy(&[(name, value)]).expect_err("wrong").to_string();
        insta::assert_snapshot!(error(ALLOW, "10.0.0.0/8,localhost"), @r#"NOTIFY_OUTGOING_ALLOW: "localhost" must be a network such as 10.0.0.0/8 or fd00::/8, or an address; it is "10.0.0.0/8,localhost""#);
        insta::assert_snapshot!(error(ALLOW, "10.0.0.0/33"), @r#"NOTIFY_OUTGOING_ALLOW: must be a network such as 10.0.0.0/8 or fd00::/8, or an address; it is "10.0.0.0/33""#);
        insta::assert_snapshot!(error("NOTIFY_OUTGOING_PLAIN_HTTP", "maybe"), @r#"NOTIFY_OUTGOING_PLAIN_HTTP: must be true or false; it is "maybe""#);
        let tls_roots = |file: &str| {
            let get = |name: &str| (name == CA_FILE).then(|| file.to_owned());
            Source(&get)
                .tls_roots()
                .expect_err("no authorities")
                .to_string()
        };
        insta::assert_snapshot!(tls_roots("/nowhere.pem"), @"NOTIFY_OUTGOING_CA_FILE: /nowhere.pem can't be read: No such file or directory (os error 2)");
        insta::assert_snapshot!(tls_roots("/dev/null"), @"NOTIFY_OUTGOING_CA_FILE: /dev/null is not a list of PEM certificates");
    }
}
