//! Keeps tools from reaching what they must not: other hosts than those allowed, private networks, metadata services.
//!
//! An address written in a URL is checked when the URL is; the address behind a name is checked by the resolver of the
//! client, so that nothing lies between the check and the connection.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::{Host, Url};

use super::addresses::{Reach, reach};

/// What tools may reach.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Every public host when empty.
    pub allowed_hosts: Vec<HostPattern>,
    /// Loopback and private networks may be reached too, and without TLS. Link-local addresses, where clouds keep their
    /// metadata services, stay out of reach.
    pub allow_private: bool,
}

/// A host such as `api.example.com`, or with `*.example.com` all that are named below it, though not itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    Exactly(String),
    /// With the dot.
    Below(String),
}

impl FromStr for HostPattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTS: &str = "must be a host such as api.example.com or *.example.com";
        let (name, is_below) =
            text.trim().strip_prefix("*.").map_or((text.trim(), false), |name| (name, true));
        match Host::parse(name.trim_end_matches('.')) {
            _ if name.contains('*') => Err(WANTS),
            Ok(Host::Domain(name)) if is_below => Ok(Self::Below(format!(".{name}"))),
            Ok(host) if !is_below => Ok(Self::Exactly(host.to_string())),
            _ => Err(WANTS),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(host) => formatter.write_str(host),
            Self::Below(suffix) => write!(formatter, "*{suffix}"),
        }
    }
}

impl HostPattern {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exactly(name) => name == host,
            Self::Below(suffix) => host.ends_with(suffix) && host.len() > suffix.len(),
        }
    }
}

/// Why something is not reached. Fit for a log: nothing of a call stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the URL does not begin with https://")]
    Scheme,
    #[error("the URL names a user")]
    UserInfo,
    #[error("the host is not among those allowed")]
    Host,
    #[error("the address is not of the public internet")]
    Address,
}

/// Checks URLs before they are asked.
#[derive(Clone, Debug)]
pub struct Guard(Settings);

impl Guard {
    pub const fn new(settings: Settings) -> Self {
        Self(settings)
    }

    /// Checks all of a URL except the address behind a name, which is for the client of [`client`] to check.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        match url.scheme() {
            "https" => {}
            "http" if self.0.allow_private => {}
            _ => return Err(Refusal::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::UserInfo);
        }
        let host = url.host().ok_or(Refusal::Host)?;
        let name = host.to_string();
        let name = name.strip_suffix('.').unwrap_or(&name);
        if !self.0.allowed_hosts.is_empty() && !self.0.allowed_hosts.iter().any(|host| host.matches(name)) {
            return Err(Refusal::Host);
        }
        let is_reachable = match host {
            Host::Domain(_) => true,
            Host::Ipv4(address) => may_reach(address.into(), self.0.allow_private),
            Host::Ipv6(address) => may_reach(address.into(), self.0.allow_private),
        };
        if is_reachable { Ok(()) } else { Err(Refusal::Address) }
    }
}

fn may_reach(address: std::net::IpAddr, allow_private: bool) -> bool {
    match reach(address) {
        Reach::Public => true,
        Reach::Private => allow_private,
        Reach::Never => false,
    }
}

/// Secure connections cannot be made on this machine.
#[derive(Debug, thiserror::Error)]
#[error("no client for HTTPS can be set up")]
pub struct NoClient(#[from] reqwest::Error);

const CONNECT: Duration = Duration::from_secs(3);
/// Less than services do: one that closes a connection does so while a request is on its way to it.
const KEEP_IDLE: Duration = Duration::from_secs(30);
const KEEP_IDLE_PER_HOST: usize = 64;

/// A client that connects to no address that is out of reach, follows no redirects and asks no proxy. Every URL, and
/// every redirect, has to pass [`Guard::check`] before.
pub fn client(settings: &Settings) -> Result<reqwest::Client, NoClient> {
    let client = reqwest::Client::builder()
        .dns_resolver(GuardedResolver { allow_private: settings.allow_private })
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .tcp_nodelay(true)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(KEEP_IDLE)
        .pool_max_idle_per_host(KEEP_IDLE_PER_HOST)
        .user_agent(concat!("trunkline/", env!("CARGO_PKG_VERSION")))
        .build()?;
    Ok(client)
}

/// Resolves names as the system does and leaves out what must not be reached.
#[derive(Debug)]
struct GuardedResolver {
    allow_private: bool,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(reachable(found, allow_private)?.into_iter()) as Addrs)
        })
    }
}

fn reachable(found: Vec<SocketAddr>, allow_private: bool) -> io::Result<Vec<SocketAddr>> {
    let any = !found.is_empty();
    let kept: Vec<_> = found.into_iter().filter(|address| may_reach(address.ip(), allow_private)).collect();
    if any && kept.is_empty() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, Refusal::Address));
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: &Settings, url: &str) -> Result<(), Refusal> {
        Guard::new(settings.clone()).check(&url.parse().unwrap())
    }

    fn allowing(hosts: &[&str]) -> Settings {
        let allowed_hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        Settings { allowed_hosts, allow_private: false }
    }

    #[test]
    fn only_https_to_public_hosts_passes() {
        let settings = Settings::default();
        for (url, verdict) in [
            ("https://api.example.com/x", Ok(())),
            ("https://api.example.com:8443/x", Ok(())),
            ("https://8.8.8.8/", Ok(())),
            ("http://api.example.com/x", Err(Refusal::Scheme)),
            ("ftp://api.example.com/x", Err(Refusal::Scheme)),
            ("https://user@api.example.com/", Err(Refusal::UserInfo)),
            ("https://:secret@api.example.com/", Err(Refusal::UserInfo)),
            ("https://127.0.0.1/", Err(Refusal::Address)),
            ("https://[::1]/", Err(Refusal::Address)),
            ("https://169.254.169.254/latest/meta-data/", Err(Refusal::Address)),
        ] {
            assert_eq!(check(&settings, url), verdict, "{url}");
        }
    }

    #[test]
    fn an_address_is_known_however_it_is_written() {
        for host in [
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "\u{ff11}27.0.0.1",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[0:0:0:0:0:0:0:1]",
            "0",
            "0xa9fea9fe",
            "2852039166",
        ] {
            let url = format!("https://{host}/");
            assert_eq!(check(&Settings::default(), &url), Err(Refusal::Address), "{host}");
        }
    }

    #[test]
    fn a_private_network_is_reached_when_that_is_wanted_and_metadata_never() {
        let settings = Settings { allow_private: true, ..Settings::default() };
        for url in ["http://127.0.0.1:8080/", "https://10.0.0.7/", "http://[::1]/", "http://[fd12::1]/"] {
            assert_eq!(check(&settings, url), Ok(()), "{url}");
        }
        for url in
            ["http://169.254.169.254/", "http://169.254.170.2/", "http://[fd00:ec2::254]/", "http://0/"]
        {
            assert_eq!(check(&settings, url), Err(Refusal::Address), "{url}");
        }
    }

    #[test]
    fn only_hosts_of_the_list_pass() {
        let settings = allowing(&["api.example.com", "*.Example.NET", "bücher.example", "8.8.8.8"]);
        for host in [
            "api.example.com",
            "API.EXAMPLE.COM",
            "api.example.com.",
            "a.b.example.net",
            "bücher.example",
            "8.8.8.8",
        ] {
            assert_eq!(check(&settings, &format!("https://{host}/")), Ok(()), "{host}");
        }
        for host in ["example.com", "www.api.example.com", "example.net", "evilexample.net", "9.9.9.9"] {
            assert_eq!(check(&settings, &format!("https://{host}/")), Err(Refusal::Host), "{host}");
        }
        let lists_a_private_one = allowing(&["127.0.0.1"]);
        assert_eq!(check(&lists_a_private_one, "https://127.0.0.1/"), Err(Refusal::Address));
    }

    #[test]
    fn a_pattern_is_a_host() {
        for text in
            ["", "*", "*.", "a/b", "https://a.example", "a.example:443", "*.8.8.8.8", "a b", "*.*.example"]
        {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
        assert_eq!("*.Example.com.".parse::<HostPattern>().unwrap().to_string(), "*.example.com");
    }

    #[test]
    fn a_name_reaches_only_its_public_addresses() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
        };
        let found = addresses(&["8.8.8.8", "127.0.0.1", "169.254.169.254"]);
        assert_eq!(reachable(found.clone(), false).unwrap(), addresses(&["8.8.8.8"]));
        assert_eq!(reachable(found, true).unwrap(), addresses(&["8.8.8.8", "127.0.0.1"]));
        let refused = reachable(addresses(&["10.0.0.1", "::1"]), false).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(reachable(Vec::new(), false).unwrap(), Vec::new());
    }
}
