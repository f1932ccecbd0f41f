//! Reads what people write under `configuration/` into the items of the table that it stands for.
//!
//! Whether a use case makes sense is not judged here: its record is, by the catalog. Reading blocks, so it is
//! for the command line and for start-up, not for a call.

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod json_item;
mod phone_numbers;
mod plain;
mod records;
#[cfg(test)]
mod tests;
mod toml_items;
mod use_case_folder;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::{Map, Value};
use thiserror::Error;

use crate::catalog::dynamodb_json::DynamodbJsonError;

/// Folders within folders; more is a link that leads back up.
const DEEPEST_FOLDER: usize = 8;

/// One item of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthoredItem {
    /// The file that it was read from; of a use case, its `use-case.toml`.
    pub path: PathBuf,
    /// Complete: with `pk`, `sk`, `pk1` and `sk1`.
    pub item: Map<String, Value>,
}

/// A file that could not be read as what it should be.
#[derive(Debug, Error)]
#[error("{}: {reason}", path.display())]
pub struct AuthoredError {
    pub path: PathBuf,
    pub reason: Reason,
}

/// Why a file could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Reason {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("is not TOML: {0}")]
    Toml(#[from] toml::de::Error),
    #[error("is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("is not DynamoDB JSON: {0}")]
    DynamodbJson(#[from] DynamodbJsonError),
    /// It is well formed and does not say what such a file should.
    #[error("{0}")]
    Content(String),
}

impl Reason {
    fn content(reason: impl Into<String>) -> Self {
        Self::Content(reason.into())
    }

    fn at(self, path: &Path) -> AuthoredError {
        AuthoredError { path: path.to_owned(), reason: self }
    }
}

/// Reads every item that `path` stands for, in the order of the files' names.
///
/// `path` is the folder of one use case (it holds a `use-case.toml`), a folder of anything below, a `.toml`
/// of profiles, phone numbers and records, or a `.json` that holds one item, plain or as DynamoDB JSON. Of a folder,
/// hidden files and files of other kinds are left alone.
///
/// # Errors
///
/// The first file that cannot be read, or that says again what another said.
pub fn read(path: &Path) -> Result<Vec<AuthoredItem>, AuthoredError> {
    let items = if is_folder(path)? { read_folder(path, 0)? } else { read_file(path)? };
    refuse_duplicates(&items)?;
    Ok(items)
}

fn read_folder(folder: &Path, depth: usize) -> Result<Vec<AuthoredItem>, AuthoredError> {
    if folder.join(use_case_folder::SETTINGS).is_file() {
        return Ok(vec![use_case_folder::read(folder)?]);
    }
    if depth == DEEPEST_FOLDER {
        return Err(Reason::content("is a folder nested too deeply").at(folder));
    }
    let mut items = Vec::new();
    for path in visible_entries(folder)? {
        if is_folder(&path)? {
            items.extend(read_folder(&path, depth + 1)?);
        } else if has_extension(&path, "toml") || has_extension(&path, "json") {
            items.extend(read_file(&path)?);
        }
    }
    Ok(items)
}

fn read_file(path: &Path) -> Result<Vec<AuthoredItem>, AuthoredError> {
    if path.file_name().is_some_and(|name| name == use_case_folder::SETTINGS) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        return Ok(vec![use_case_folder::read(folder.unwrap_or(Path::new(".")))?]);
    }
    let read = |text: &str| {
        if has_extension(path, "toml") {
            toml_items::read(text)
        } else if has_extension(path, "json") {
            json_item::read(text).map(|item| vec![item])
        } else {
            Err(Reason::content("is neither a folder nor a .toml or .json file"))
        }
    };
    let items = fs::read_to_string(path).map_err(Reason::from).and_then(|text| read(&text));
    let items = items.map_err(|reason| reason.at(path))?;
    Ok(items.into_iter().map(|item| AuthoredItem { path: path.to_owned(), item }).collect())
}

fn is_folder(path: &Path) -> Result<bool, AuthoredError> {
    fs::metadata(path).map(|metadata| metadata.is_dir()).map_err(|error| Reason::from(error).at(path))
}

fn visible_entries(folder: &Path) -> Result<Vec<PathBuf>, AuthoredError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| Reason::from(error).at(folder))?;
    let is_visible = |entry: &fs::DirEntry| !entry.file_name().as_encoded_bytes().starts_with(b".");
    let mut paths: Vec<_> =
        entries.iter().filter(|entry| is_visible(entry)).map(fs::DirEntry::path).collect();
    paths.sort();
    Ok(paths)
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

/// Two items of one key would overwrite each other, and the last file would win unseen.
fn refuse_duplicates(items: &[AuthoredItem]) -> Result<(), AuthoredError> {
    let mut seen = BTreeMap::new();
    for AuthoredItem { path, item } in items {
        let key = ["pk", "sk"].map(|name| item.get(name).and_then(Value::as_str).unwrap_or_default());
        if let Some(other) = seen.insert(key, path) {
            return Err(
                Reason::content(format!("describes {}, as does {}", key[0], other.display())).at(path)
            );
        }
    }
    Ok(())
}
