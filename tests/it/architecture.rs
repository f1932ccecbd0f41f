//! Who may know whom: the rules of the design, read out of the sources and held against each other.
//!
//! Test code is exempt: it may build what it needs. Each rule is shown to catch what breaks it.

mod manifests;
mod names;

use std::path::Path;

use names::{Source, sources};

/// Names that some files must not use. A name stands for everything below it; `Type::function` matches under any path.
struct Rule {
    says: &'static str,
    /// Where the rule holds, as beginnings of paths.
    within: &'static [&'static str],
    /// Where it does not, although it lies within.
    except: &'static [&'static str],
    forbidden: &'static [&'static str],
}

const CRATES: [&str; 3] = ["crates/voice-core/", "crates/voice-protocols/", "crates/voice-audio/"];
const ADAPTERS: [&str; 7] = [
    "src/ecs/",
    "src/language_models/",
    "src/secrets/",
    "src/speech_models/",
    "src/tools/",
    "src/store/",
    "src/telephony/",
];

const RULES: &[Rule] = &[
    Rule {
        says: "1: the voice crates have no runtime, socket, clock, environment or log",
        within: &CRATES,
        except: &[],
        forbidden: &[
            "tokio",
            "tokio_util",
            "tokio_tungstenite",
            "async_std",
            "smol",
            "mio",
            "axum",
            "hyper",
            "reqwest",
            "aws_config",
            "std::net",
            "std::thread",
            "std::fs",
            "std::env",
            "std::process",
            "Instant::now",
            "SystemTime::now",
            "Timestamp::now",
            "Zoned::now",
            "tracing",
            "log",
        ],
    },
    Rule {
        says: "1: the voice crates know nothing of our other packages",
        within: &CRATES,
        except: &[],
        forbidden: &["trunkline", "rehearsal", "trunkline_dev"],
    },
    Rule {
        says: "2: the wire formats do not know the domain",
        within: &["crates/voice-protocols/", "crates/voice-audio/"],
        except: &[],
        forbidden: &["voice_core"],
    },
    Rule {
        says: "2: the cores know no wire",
        within: &["crates/voice-core/"],
        except: &[],
        forbidden: &["voice_protocols", "voice_audio"],
    },
    Rule {
        // The checks of attributes and numbers are knowledge of Twilio, which the readers of records ask for.
        says: "2: wire and domain meet in sessions, routes, adapters and the composition root",
        within: &["src/"],
        except: &[
            "src/session/",
            "src/http/",
            "src/app.rs",
            "src/language_models/",
            "src/speech_models/",
            "src/tools/",
            "src/store/",
            "src/telephony/",
            "src/catalog/use_case_item/",
            "src/config/authored/phone_numbers.rs",
            "src/config/twilio.rs",
            "src/outbound/",
        ],
        forbidden: &["voice_protocols"],
    },
    Rule {
        says: "3: axum appears only under http",
        within: &["src/"],
        except: &["src/http/"],
        forbidden: &["axum", "tower", "tower_http", "hyper", "hyper_util"],
    },
    Rule {
        says: "4: AWS types appear only in the adapters that need them and in app",
        within: &["src/"],
        except: &["src/language_models/", "src/secrets/", "src/speech_models/", "src/store/", "src/app.rs"],
        forbidden: &[
            "aws_config",
            "aws_sdk_bedrockruntime",
            "aws_sdk_dynamodb",
            "aws_sdk_secretsmanager",
            "aws_smithy_types",
            "aws_smithy_http_client",
            "serde_dynamo",
        ],
    },
    Rule {
        says: "5: adapters know neither routes nor sessions nor what puts them together",
        within: &ADAPTERS,
        except: &[],
        forbidden: &["crate::http", "crate::session", "crate::app", "crate::cli", "crate::lifecycle"],
    },
    Rule {
        says: "6: only config reads the environment; the command line passes its reader on",
        within: &["src/"],
        except: &["src/config/", "src/cli/"],
        forbidden: &[
            "std::env::var",
            "std::env::vars",
            "std::env::var_os",
            "env::var",
            "crate::config::environment",
        ],
    },
    Rule {
        says: "6: the command line reads the environment only through config",
        within: &["src/cli/", "src/main.rs"],
        except: &[],
        forbidden: &["std::env::var", "std::env::vars", "std::env::var_os", "env::var"],
    },
    Rule {
        says: "6: only config reads files",
        within: &["src/"],
        except: &["src/config/"],
        forbidden: &["std::fs", "tokio::fs"],
    },
    Rule {
        says: "6: only app constructs adapters",
        within: &["src/"],
        except: &["src/app.rs"],
        forbidden: &[
            "Bedrock::new",
            "Tools::new",
            "DynamoDbStore::new",
            "Secrets::new",
            "TwilioRest::new",
            "EcsAgent::new",
        ],
    },
];

/// Adapters that know each other; a rule for each pair would hide the others.
fn neighbours(path: &str, name: &str) -> Option<&'static str> {
    let own = ADAPTERS.iter().find(|adapter| path.starts_with(**adapter))?;
    let module = |adapter: &str| adapter.trim_end_matches('/').replace("src/", "crate::");
    ADAPTERS.iter().copied().find(|other| other != own && is_below(name, &module(other)))
}

impl Rule {
    fn is_broken_by(&self, path: &str, name: &str) -> bool {
        let holds = |beginnings: &[&str]| beginnings.iter().any(|beginning| path.starts_with(beginning));
        holds(self.within)
            && !holds(self.except)
            && self.forbidden.iter().any(|forbidden| is_below(name, forbidden) || ends_with(name, forbidden))
    }
}

fn is_below(name: &str, above: &str) -> bool {
    name.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Whether `Type::function` is the end of a longer path.
fn ends_with(name: &str, end: &str) -> bool {
    end.starts_with(char::is_uppercase)
        && name.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with("::"))
}

/// The rules that a source breaks, each with the place.
fn broken_by(source: &Source) -> Vec<String> {
    let mut broken = Vec::new();
    for name in source.names() {
        let rules = RULES.iter().filter(|rule| rule.is_broken_by(&source.path, &name)).map(|rule| rule.says);
        let pairs = neighbours(&source.path, &name).map(|_| "5: adapters do not know each other");
        broken.extend(rules.chain(pairs).map(|rule| format!("{}: {name} breaks rule {rule}", source.path)));
    }
    broken
}

#[test]
fn no_source_breaks_a_rule() {
    let sources = sources();
    assert!(sources.len() > 80, "only {} sources were found", sources.len());
    let broken: Vec<_> = sources.iter().flat_map(broken_by).collect();
    assert_eq!(broken, Vec::<String>::new(), "{broken:#?}");
}

#[test]
fn every_rule_catches_what_breaks_it() {
    let samples = [
        ("1: the voice crates have no", "crates/voice-core/src/a.rs", "use tokio::sync::mpsc;"),
        (
            "1: the voice crates have no",
            "crates/voice-audio/src/a.rs",
            "use std::{fmt, net::{IpAddr, TcpStream}};",
        ),
        (
            "1: the voice crates have no",
            "crates/voice-core/src/a.rs",
            "fn f() { g(std::time::Instant::now()) }",
        ),
        (
            "1: the voice crates have no",
            "crates/voice-core/src/a.rs",
            "fn f() { tracing::info!(\"hello\"); }",
        ),
        ("1: the voice crates know", "crates/voice-protocols/src/a.rs", "pub use trunkline::metrics;"),
        ("2: the wire formats", "crates/voice-protocols/src/a.rs", "use voice_core::message::Message;"),
        ("2: the cores", "crates/voice-core/src/a.rs", "fn f(m: voice_protocols::relay::Inbound) {}"),
        ("2: wire and domain", "src/catalog/mod.rs", "use voice_protocols::twiml::Verb;"),
        ("3:", "src/session/mod.rs", "use {axum::Router, std::fmt};"),
        ("4:", "src/tools/mod.rs", "type Client = aws_sdk_dynamodb::Client;"),
        ("5: adapters know neither", "src/store/mod.rs", "use super::http::Service;"),
        ("5: adapters know neither", "src/tools/a.rs", "use super::super::session::{self, Ports};"),
        (
            "5: adapters do not know each other",
            "src/tools/mod.rs",
            "use crate::{metrics, store::DynamoDbStore};",
        ),
        ("6: only config reads the environment", "src/app.rs", "fn f() { std::env::var(\"PORT\"); }"),
        (
            "6: only config reads the environment",
            "src/session/mod.rs",
            "use crate::config::environment as e;",
        ),
        ("6: the command line", "src/cli/serve.rs", "use std::env; fn f() { env::var(\"PORT\"); }"),
        ("6: only config reads files", "src/tools/mod.rs", "use std::fs;"),
        (
            "6: only app",
            "src/http/mod.rs",
            "fn f() { let b = crate::language_models::bedrock::Bedrock::new(x); }",
        ),
    ];
    for (rule, path, text) in samples {
        let broken = broken_by(&Source::new(path, text));
        let found = broken.iter().any(|broken| broken.contains(&format!("breaks rule {rule}")));
        assert!(found, "{path}: {text} breaks {rule}, and found was {broken:?}");
    }
    for rule in RULES {
        assert!(
            samples.iter().any(|(says, ..)| rule.says.starts_with(says)),
            "no sample breaks {}",
            rule.says
        );
    }
}

#[test]
fn what_keeps_to_the_rules_is_not_caught() {
    for (path, text) in [
        (
            "crates/voice-core/src/a.rs",
            "use std::time::Instant; // never Instant::now()\nfn f() { \"tokio::spawn\" }",
        ),
        (
            "crates/voice-core/src/a.rs",
            "use crate::log::Entry; fn f() { let tokio_like = log; catalog::f(); }",
        ),
        (
            "crates/voice-core/src/a.rs",
            "fn f() {}\n#[cfg(test)]\nmod tests {\n use std::fs;\n fn g() { tokio::spawn(); }\n}",
        ),
        ("src/http/mod.rs", "use axum::Router; use voice_protocols::twiml::Verb;"),
        ("src/store/calls.rs", "use super::chat::from_chat; use crate::telemetry::causes;"),
        ("src/main.rs", "fn main() { trunkline::cli::main(std::env::args_os()) }"),
        ("src/app.rs", "fn f() { DynamoDbStore::new(client) }"),
    ] {
        assert_eq!(broken_by(&Source::new(path, text)), Vec::<String>::new(), "{text}");
    }
}

/// Longer than this, a file has more than one job.
const MOST_LINES: usize = 500;

#[test]
fn no_file_is_longer_than_500_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = names::rust_files();
    let lines = |path: &String| std::fs::read_to_string(root.join(path)).unwrap().lines().count();
    let long: Vec<_> = files.iter().filter(|path| lines(path) > MOST_LINES).collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn every_source_says_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let says = |path: &str| std::fs::read_to_string(root.join(path)).unwrap().starts_with("//! ");
    let silent: Vec<_> = sources().into_iter().map(|source| source.path).filter(|path| !says(path)).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn wire_and_domain_are_translated_only_in_codecs() {
    let translators: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.path.starts_with("src/session/"))
        .filter(|source| source.code().contains("fn from_wire") || source.code().contains("fn to_wire"))
        .map(|source| source.path)
        .collect();
    assert!(!translators.is_empty());
    assert!(translators.iter().all(|path| path.ends_with("_codec.rs")), "{translators:?}");
}
