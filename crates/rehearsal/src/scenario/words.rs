//! A text or a list of texts, as many keys of a scenario take them.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
pub(super) enum Words {
    One(String),
    Many(Vec<String>),
}

impl Words {
    pub(super) fn all<T>(&self, make: fn(String) -> T) -> impl Iterator<Item = T> + use<T> {
        self.list().into_iter().map(make)
    }

    pub(super) fn list(&self) -> Vec<String> {
        match self {
            Self::One(words) => vec![words.clone()],
            Self::Many(list) => list.clone(),
        }
    }
}

impl Default for Words {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}
