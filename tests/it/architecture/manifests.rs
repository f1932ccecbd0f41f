//! What the packages depend on, by their manifests and the lock file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};

/// Stand-ins and what they are made of.
const ONLY_FOR_DEVELOPMENT: [&str; 4] = ["rehearsal", "trunkline-dev", "dynoxide", "dynoxide-rs"];
const OUR_PACKAGES: [&str; 6] =
    ["trunkline", "trunkline-dev", "rehearsal", "voice-core", "voice-protocols", "voice-audio"];
/// What brings a runtime, a socket, a clock or a log.
const WORLDLY: [&str; 12] = [
    "tokio",
    "tokio-util",
    "tokio-tungstenite",
    "async-std",
    "smol",
    "mio",
    "axum",
    "hyper",
    "reqwest",
    "tracing",
    "log",
    "jiff",
];

fn read(path: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(&path).expect("the manifest can be read");
    text.parse().expect("the manifest is TOML")
}

/// The names of the packages in `[dependencies]`, build dependencies and those of single targets included, tests not.
fn dependencies(manifest: &Table) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
    let tables = targets.filter_map(|(_, target)| target.as_table()).chain([manifest]);
    for section in tables.flat_map(|table| [table.get("dependencies"), table.get("build-dependencies")]) {
        for (name, dependency) in section.and_then(Value::as_table).into_iter().flatten() {
            let package = dependency.get("package").and_then(Value::as_str);
            names.insert(package.unwrap_or(name).to_owned());
        }
    }
    names
}

/// Everything that these packages bring with them, by the lock file. Those of our own packages come from their
/// manifests, because the lock file does not tell their tests' dependencies apart.
fn closure(roots: BTreeSet<String>, locked: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<String> = roots.into_iter().collect();
    while let Some(name) = open.pop() {
        let below = if OUR_PACKAGES.contains(&name.as_str()) && name != "trunkline" {
            dependencies(&read(&format!("crates/{name}/Cargo.toml")))
        } else {
            locked.get(&name).cloned().unwrap_or_default()
        };
        if found.insert(name) {
            open.extend(below);
        }
    }
    found
}

fn locked(lock: &Table) -> BTreeMap<String, BTreeSet<String>> {
    let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in lock["package"].as_array().expect("a lock file lists packages") {
        let name = package["name"].as_str().expect("a package has a name").to_owned();
        let below = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
        // A version follows the name where there are several.
        let below = below.filter_map(|below| below.as_str()?.split(' ').next().map(str::to_owned));
        packages.entry(name).or_default().extend(below);
    }
    packages
}

fn only_for_development(names: &BTreeSet<String>) -> Vec<&String> {
    names.iter().filter(|name| ONLY_FOR_DEVELOPMENT.contains(&name.as_str())).collect()
}

#[test]
fn rule_12_the_service_contains_no_stand_in() {
    let everything = closure(dependencies(&read("Cargo.toml")), &locked(&read("Cargo.lock")));
    assert!(everything.contains("axum") && everything.contains("rustls"), "the closure is not complete");
    assert_eq!(only_for_development(&everything), Vec::<&String>::new());
}

#[test]
fn rule_12_catches_a_stand_in_at_any_depth() {
    let manifest: Table = "[dependencies]\na = \"1\"\n[dev-dependencies]\nrehearsal = \"1\"".parse().unwrap();
    let lock = |below: &str| {
        let text = format!(
            "[[package]]\nname = \"a\"\ndependencies = [\"b 1.0.0\"]\n[[package]]\nname = \"b\"\n{below}"
        );
        locked(&text.parse().unwrap())
    };
    let harmless = closure(dependencies(&manifest), &lock(""));
    assert_eq!(only_for_development(&harmless), Vec::<&String>::new(), "tests may use stand-ins");
    let smuggled = closure(dependencies(&manifest), &lock("dependencies = [\"dynoxide-rs\"]"));
    assert_eq!(only_for_development(&smuggled), ["dynoxide-rs"]);
    for direct in [
        "[dependencies]\nrehearsal.workspace = true",
        "[dependencies]\nx = { package = \"trunkline-dev\", path = \"y\" }",
        "[target.'cfg(unix)'.dependencies]\ndynoxide-rs = \"3\"",
        "[build-dependencies]\nrehearsal = \"1\"",
    ] {
        assert_eq!(only_for_development(&dependencies(&direct.parse().unwrap())).len(), 1, "{direct}");
    }
}

/// What a voice crate must not depend on.
fn out_of_place(manifest: &Table) -> Vec<String> {
    let forbidden = |name: &String| {
        OUR_PACKAGES.contains(&name.as_str()) || WORLDLY.contains(&name.as_str()) || name.starts_with("aws-")
    };
    dependencies(manifest).into_iter().filter(forbidden).collect()
}

#[test]
fn rule_1_the_voice_crates_depend_on_none_of_ours_and_on_no_world() {
    for name in ["voice-core", "voice-protocols", "voice-audio"] {
        let manifest = read(&format!("crates/{name}/Cargo.toml"));
        assert_eq!(out_of_place(&manifest), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn rule_1_catches_a_dependency_that_is_out_of_place() {
    for line in
        ["tokio = \"1\"", "voice-core.workspace = true", "aws-config = \"1\"", "x = { package = \"log\" }"]
    {
        let manifest = format!("[dependencies]\nserde = \"1\"\n{line}").parse().unwrap();
        assert_eq!(out_of_place(&manifest).len(), 1, "{line}");
    }
}
