//! The folder of one use case: `use-case.toml`, the prompt in `prompt.md`, and the tools in `tools.json` if
//! it has any.
//!
//! The folder's name is the use case's. Prompt and tools may stand in `use-case.toml` instead.

use std::path::Path;
use std::{fs, io};

use serde_json::{Map, Value};

use super::plain::{Kind, complete, from_toml};
use super::{AuthoredError, AuthoredItem, Reason};

/// The file that makes a folder a use case.
pub(super) const SETTINGS: &str = "use-case.toml";
const PROMPT: &str = "prompt.md";
const TOOLS: &str = "tools.json";

/// Reads one folder.
pub(super) fn read(folder: &Path) -> Result<AuthoredItem, AuthoredError> {
    let path = folder.join(SETTINGS);
    let name = name_of(folder).map_err(|reason| reason.at(folder))?;
    let text = fs::read_to_string(&path).map_err(|error| Reason::from(error).at(&path))?;
    let mut item = from_toml(&text).map_err(|reason| reason.at(&path))?;
    add_from_file(&mut item, "prompt", &folder.join(PROMPT), |text| Ok(text.trim().into()))?;
    add_from_file(&mut item, "tools", &folder.join(TOOLS), |text| Ok(serde_json::from_str(text)?))?;
    Ok(AuthoredItem { path, item: complete(item, Kind::UseCase, &name) })
}

/// The folder's name, which becomes a key of the table and a segment of a URL.
fn name_of(folder: &Path) -> Result<String, Reason> {
    // The path may be `.`, which has no name of its own.
    let folder = folder.canonicalize()?;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_allowed) {
        return Err(Reason::content("a use case's folder is named with letters, digits, -, _ and . only"));
    }
    Ok(name.to_owned())
}

/// Sets an attribute from a file of its own, if there is one.
fn add_from_file(
    item: &mut Map<String, Value>,
    attribute: &str,
    path: &Path,
    parse: impl FnOnce(&str) -> Result<Value, Reason>,
) -> Result<(), AuthoredError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Reason::from(error).at(path)),
    };
    if item.contains_key(attribute) {
        return Err(Reason::content(format!("{attribute} stands in {SETTINGS} too")).at(path));
    }
    let value = parse(&text).map_err(|reason| reason.at(path))?;
    item.insert(attribute.to_owned(), value);
    Ok(())
}
