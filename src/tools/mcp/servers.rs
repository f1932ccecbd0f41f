//! The servers that are known: so many at most, and who was not needed for longest is forgotten first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use voice_core::use_case::McpServer;

use super::server::{Address, Server};

/// More servers than this lose their connections to each other.
const MOST: usize = 32;

/// Ordered by use, the last one first.
#[derive(Debug, Default)]
pub(super) struct Servers(Mutex<VecDeque<Arc<Server>>>);

impl Servers {
    /// The server that a record means. Records that name the same address and headers share it.
    pub(super) fn find(&self, record: &McpServer) -> Arc<Server> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = known.iter().position(|server| server.address.is_of(record));
        let server = place.and_then(|place| known.remove(place));
        let server = server.unwrap_or_else(|| Arc::new(Server::new(Address::of(record))));
        known.push_front(Arc::clone(&server));
        known.truncate(MOST);
        server
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use voice_core::use_case::HeaderSource;

    use super::*;

    fn record(url: &str, token: &str) -> McpServer {
        let token = HeaderSource::Template(token.to_owned());
        McpServer {
            name: "bookings".to_owned(),
            url: url.to_owned(),
            headers: BTreeMap::from([("authorization".to_owned(), token)]),
            allow: Vec::new(),
            prefix: String::new(),
            timeout: Duration::from_secs(1),
            idempotent: Vec::new(),
        }
    }

    #[test]
    fn a_server_is_its_address_and_its_headers() {
        let servers = Servers::default();
        let first = servers.find(&record("http://a/mcp", "one"));
        let named_otherwise = McpServer { name: "other".to_owned(), ..record("http://a/mcp", "one") };
        assert!(Arc::ptr_eq(&first, &servers.find(&named_otherwise)));
        assert!(!Arc::ptr_eq(&first, &servers.find(&record("http://a/mcp", "two"))));
        assert!(!Arc::ptr_eq(&first, &servers.find(&record("http://b/mcp", "one"))));
    }

    #[test]
    fn the_one_that_was_not_used_for_longest_is_forgotten() {
        let servers = Servers::default();
        let at = |number: usize| record(&format!("http://{number}/mcp"), "token");
        let (first, second) = (servers.find(&at(0)), servers.find(&at(1)));
        for number in 2..MOST {
            servers.find(&at(number));
        }
        assert!(Arc::ptr_eq(&first, &servers.find(&at(0))), "there was room for it");
        servers.find(&at(MOST));
        assert!(Arc::ptr_eq(&first, &servers.find(&at(0))), "it was used");
        assert!(!Arc::ptr_eq(&second, &servers.find(&at(1))), "it was not used");
    }
}
