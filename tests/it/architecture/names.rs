//! The names that a Rust source uses, with `use` trees unfolded and `super` resolved. Not a parser: comments, texts and
//! test code are cut away, and what remains are identifiers joined by `::`.

use std::path::{Path, PathBuf};

/// One source file without its tests.
pub(super) struct Source {
    /// From the root of the repository, with slashes.
    pub(super) path: String,
    code: String,
}

/// Every source of the service and of the voice crates that is not only for tests.
pub(super) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = rust_files().into_iter().filter(|path| {
        path.starts_with("src/") || (path.starts_with("crates/voice-") && path.contains("/src/"))
    });
    let read = |path: String| {
        let text = std::fs::read_to_string(root.join(&path)).expect("a source can be read");
        (path, text)
    };
    let files: Vec<(String, String)> = files.map(read).collect();
    let for_tests: Vec<String> = files.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    let is_for_tests = |path: &str| {
        for_tests
            .iter()
            .any(|module| path == format!("{module}.rs") || path.starts_with(&format!("{module}/")))
    };
    files.iter().filter(|(path, _)| !is_for_tests(path)).map(|(path, text)| Source::new(path, text)).collect()
}

/// All Rust files of the repository, sorted.
pub(super) fn rust_files() -> Vec<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = ["src", "crates", "tests"].iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let path = path.strip_prefix(&root).expect("it lies in the repository");
                files.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    files.sort();
    files
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), code: without_tests(&without_words(text)) }
    }

    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// Every path that is used, from `crate` or from a crate's name where it can be told.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut rest = self.code.as_str();
        while let Some(start) = rest.find(is_identifier) {
            rest = &rest[start..];
            let end = rest.find(|c: char| !is_identifier(c) && c != ':').unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if name == "use" {
                let (tree, after) = after.split_at(after.find(';').unwrap_or(after.len()));
                names.extend(unfold(tree.trim()));
                rest = after;
            } else {
                // A word alone is a variable or the like.
                let name = name.trim_end_matches(':');
                names.extend(name.contains("::").then(|| name.to_owned()));
                rest = after;
            }
        }
        names.iter().map(|name| self.resolve(name)).collect()
    }

    fn resolve(&self, name: &str) -> String {
        let (mut module, mut rest) = (self.module(), name);
        if !rest.starts_with("super::") && !rest.starts_with("self::") {
            return name.to_owned();
        }
        loop {
            if let Some(below) = rest.strip_prefix("super::") {
                module.pop();
                rest = below;
            } else if let Some(below) = rest.strip_prefix("self::") {
                rest = below;
            } else {
                module.push(rest);
                return format!("crate::{}", module.join("::"));
            }
        }
    }

    /// `src/http/relay.rs` is the module `http`, `relay`.
    fn module(&self) -> Vec<&str> {
        let below = self.path.split_once("src/").map_or("", |(_, below)| below).trim_end_matches(".rs");
        let mut module: Vec<_> = below.split('/').collect();
        if module.last().is_some_and(|last| matches!(*last, "mod" | "lib" | "main")) {
            module.pop();
        }
        module
    }
}

fn is_identifier(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `a::{b, c::{d, self}}` is `a::b`, `a::c::d` and `a::c`; names given with `as` are left out.
fn unfold(tree: &str) -> Vec<String> {
    let Some((before, inside)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or(tree).trim();
        return if name.is_empty() { Vec::new() } else { vec![name.trim_start_matches("::").to_owned()] };
    };
    let inside = inside.trim_end().strip_suffix('}').unwrap_or(inside);
    let (mut depth, mut start, mut branches) = (0_usize, 0, Vec::new());
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                branches.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    branches.push(&inside[start..]);
    let below = branches.into_iter().flat_map(|branch| unfold(branch.trim()));
    let join = |below: String| match below.as_str() {
        "self" => before.trim().trim_end_matches("::").to_owned(),
        _ => format!("{}{below}", before.trim()),
    };
    below.map(join).collect()
}

/// Blanks comments and texts.
fn without_words(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if c == '"' {
            end_of_text(rest)
        } else if let Some(end) = end_of_raw_text(rest) {
            end
        } else if rest.starts_with("'\"'") || rest.starts_with("'{'") || rest.starts_with("'}'") {
            3
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[length..];
    }
    code
}

fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn end_of_raw_text(text: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let opening = after.trim_start_matches('#');
    let hashes = &after[..after.len() - opening.len()];
    let content = opening.strip_prefix('"')?;
    let end = format!("\"{hashes}");
    let length = content.find(&end).map_or(content.len(), |at| at + end.len());
    Some(text.len() - content.len() + length)
}

const TEST_ATTRIBUTE: &str = "#[cfg(test)]";

/// Cuts test modules, which by the habit of this repository come last in a file, and declarations of others.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some((before, after)) = rest.split_once(TEST_ATTRIBUTE) {
        kept.push_str(before);
        let end = after.find([';', '{']).unwrap_or(after.len());
        rest =
            if after[end..].starts_with('{') { &after[end + block(&after[end..])..] } else { &after[end..] };
    }
    kept + rest
}

/// The length of the block with which this begins.
fn block(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// The paths, without `.rs`, of the modules that a file declares for tests only.
fn test_modules(path: &str, text: &str) -> Vec<String> {
    let folder = match path.rsplit_once('/') {
        Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder.to_owned(),
        _ => path.trim_end_matches(".rs").to_owned(),
    };
    let beside = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let declarations = text.split(TEST_ATTRIBUTE).skip(1).filter_map(|after| {
        let after = after.trim_start();
        let given = after.strip_prefix("#[path = \"").and_then(|given| given.split_once("\"]"));
        let (file, after) = given.map_or((None, after), |(file, after)| (Some(file), after));
        let name = after.trim_start().strip_prefix("mod ")?.split_once(';')?.0;
        name.chars().all(is_identifier).then(|| match file {
            Some(file) => format!("{beside}/{}", file.trim_end_matches(".rs")),
            None => format!("{folder}/{name}"),
        })
    });
    declarations.collect()
}

#[test]
fn names_are_found_where_they_are_written() {
    let source = Source::new(
        "src/store/calls.rs",
        "use a::{b, c::{self, d as e}};\nuse super::f;\nfn g() { h::i(\"j::k\"); } // l::m\n#[cfg(test)]\nmod n;\n",
    );
    let names = source.names();
    for expected in ["a::b", "a::c", "a::c::d", "crate::store::f", "h::i"] {
        assert!(names.iter().any(|name| name == expected), "{expected} in {names:?}");
    }
    assert!(!names.iter().any(|name| ["j::k", "l::m", "n"].contains(&name.as_str())), "{names:?}");
}

#[test]
fn modules_for_tests_are_known_by_their_declaration() {
    let declared = "mod a;\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod b;\n#[cfg(test)]\nmod inline {}";
    assert_eq!(test_modules("src/store/mod.rs", declared), ["src/store/tests", "src/store/b_tests"]);
    assert_eq!(test_modules("src/store/calls.rs", declared), ["src/store/calls/tests", "src/store/b_tests"]);
}
