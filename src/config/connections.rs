//! Settings of who may hold connections open.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{SettingError, Source, list, number, optional, wrong};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// Open connections in all, those of calls included. Past it, those without any valid signature or token make room.
    pub most: usize,
    /// Connections of one address without any valid signature or token.
    pub most_per_source: usize,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// A call has a socket, and now and then a request beside it.
const PER_CALL: usize = 4;
const AT_LEAST: usize = 4096;

impl ConnectionSettings {
    pub(super) fn read(source: Source<'_>, max_calls: usize) -> Result<Self, SettingError> {
        Ok(Self {
            most: most(source, max_calls)?,
            most_per_source: number::<u32>(source, "MAX_CONNECTIONS_PER_SOURCE", CONNECTIONS)? as usize,
            trusted_proxies: list(source, "TRUSTED_PROXIES")
                .iter()
                .map(|text| network(text))
                .collect::<Result<_, _>>()?,
        })
    }
}

const CONNECTIONS: &str = "a number of connections";

fn most(source: Source<'_>, max_calls: usize) -> Result<usize, SettingError> {
    const VARIABLE: &str = "MAX_CONNECTIONS";
    if optional(source, VARIABLE).is_none() {
        return Ok(max_calls.saturating_mul(PER_CALL).max(AT_LEAST));
    }
    let most = number::<u32>(source, VARIABLE, CONNECTIONS)? as usize;
    if most <= max_calls {
        return Err(wrong(VARIABLE, most, "more connections than MAX_CALLS, which has one for each call"));
    }
    Ok(most)
}

fn network(text: &str) -> Result<IpNet, SettingError> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    let network = text.parse::<IpNet>().or_else(|_| address());
    network.map_err(|_| wrong("TRUSTED_PROXIES", text, "networks such as 10.0.0.0/16, separated by commas"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &'static str) -> Result<ConnectionSettings, String> {
        let given = move |asked: &str| (asked == name).then(|| value.to_owned());
        ConnectionSettings::read(&given, 500).map_err(|error| error.to_string())
    }

    #[test]
    fn there_is_room_for_every_call() {
        let settings = read("OTHER", "x").unwrap();
        assert_eq!((settings.most, settings.most_per_source), (4096, 64));
        assert_eq!(settings.trusted_proxies, []);
        assert_eq!(ConnectionSettings::read(&|_| None, 5000).unwrap().most, 20_000);
        assert_eq!(read("MAX_CONNECTIONS", "501").unwrap().most, 501);
        assert!(read("MAX_CONNECTIONS", "500").unwrap_err().contains("more connections than MAX_CALLS"));
        assert!(read("MAX_CONNECTIONS_PER_SOURCE", "0").unwrap_err().contains("a number of connections"));
    }

    #[test]
    fn proxies_are_networks_or_addresses() {
        let settings = read("TRUSTED_PROXIES", "10.0.0.0/16, 192.0.2.7,fd00::/8").unwrap();
        let networks: Vec<_> = settings.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["10.0.0.0/16", "192.0.2.7/32", "fd00::/8"]);
        for bad in ["10.0.0.0/33", "alb.example.com", "*"] {
            assert!(read("TRUSTED_PROXIES", bad).unwrap_err().starts_with("TRUSTED_PROXIES: wants networks"));
        }
    }
}
