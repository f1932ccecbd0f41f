//! The address at which Twilio reaches the service. TwiML and signatures are built from it, never from a request.

use url::Url;

/// A scheme, a host and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Without a slash at the end.
    http: String,
    socket: String,
}

impl PublicUrl {
    /// Takes `https://host[:port]` or `wss://host[:port]/`; without TLS only for this machine itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wants = || format!("wants https://host[:port], not {text:?}");
        let url = Url::parse(text).map_err(|_| wants())?;
        let host = url.host_str().ok_or_else(wants)?;
        let plain = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty();
        if !plain {
            return Err(format!("wants a host and no path, not {text:?}"));
        }
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        match url.scheme() {
            "https" | "wss" => {
                Ok(Self { http: format!("https://{authority}"), socket: format!("wss://{authority}") })
            }
            "http" | "ws" if is_loopback(host) => {
                Ok(Self { http: format!("http://{authority}"), socket: format!("ws://{authority}") })
            }
            _ => Err(wants()),
        }
    }

    /// The address of a route; `path_and_query` begins with a slash.
    pub fn http(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.http)
    }

    /// The address of a WebSocket route.
    pub fn socket(&self, path: &str) -> String {
        format!("{}{path}", self.socket)
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_built_without_doubled_slashes_or_default_ports() {
        for (text, http, socket) in [
            ("https://a.example", "https://a.example/x", "wss://a.example/x"),
            ("https://a.example:443/", "https://a.example/x", "wss://a.example/x"),
            ("https://a.example:8443", "https://a.example:8443/x", "wss://a.example:8443/x"),
            ("wss://a.example/", "https://a.example/x", "wss://a.example/x"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000/x", "ws://127.0.0.1:3000/x"),
            ("http://[::1]:3000", "http://[::1]:3000/x", "ws://[::1]:3000/x"),
        ] {
            let url = PublicUrl::parse(text).unwrap();
            assert_eq!((url.http("/x").as_str(), url.socket("/x").as_str()), (http, socket));
        }
    }

    #[test]
    fn what_twilio_could_not_reach_is_refused() {
        for text in [
            "",
            "a.example",
            "http://a.example",
            "ftp://a.example",
            "https://a.example/path",
            "https://a.example/?q=1",
            "https://u:p@a.example",
        ] {
            assert!(PublicUrl::parse(text).is_err(), "{text}");
        }
    }
}
