//! The file of a scenario, in TOML. Every mistake in it is an error that names the file and the key.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use super::model::ModelEntry;
use super::step::{Step, StepEntry};
use super::table::TableEntry;
use crate::bedrock::Answer;
use crate::dynamodb::Delay;

/// A call with its expectations.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub title: String,
    /// Settings of the service that whoever sets the stage must start it with.
    pub settings: BTreeMap<String, String>,
    /// What whoever sets the stage must put between the service and its table.
    pub table_delay: Option<Delay>,
    pub(super) use_case: Option<String>,
    pub(super) caller: Option<String>,
    pub(super) called: Option<String>,
    /// What the model stand-in answers, in order.
    pub(super) model: Vec<Answer>,
    pub(super) steps: Vec<Step>,
    /// How many items of each kind the table holds after the call.
    pub(super) items: BTreeMap<String, usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    /// Posts the call to `/twiml/{use_case}`.
    use_case: Option<String>,
    caller: Option<String>,
    called: Option<String>,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    #[serde(default)]
    table: TableEntry,
    #[serde(default)]
    model: Vec<ModelEntry>,
    #[serde(rename = "step")]
    steps: Vec<StepEntry>,
}

impl Scenario {
    /// Reads a file.
    pub fn load(path: impl AsRef<Path>) -> anyhow::Result<Self> {
        let path = path.as_ref();
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in the scenario {}", path.display()))
    }

    /// Reads a scenario from its text.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let file: File = toml::from_str(text)?;
        let model = file.model.into_iter().enumerate();
        let model = model.map(|(number, entry)| {
            entry.into_answer(number + 1).with_context(|| format!("in [[model]] number {}", number + 1))
        });
        let steps = file.steps.into_iter().enumerate();
        let steps = steps.map(|(number, entry)| {
            Step::try_from(entry).with_context(|| format!("in [[step]] number {}", number + 1))
        });
        let (table_delay, items) = file.table.into_parts().context("in [table]")?;
        Ok(Self {
            title: file.title,
            settings: file.settings,
            table_delay,
            use_case: file.use_case,
            caller: file.caller,
            called: file.called,
            model: model.collect::<anyhow::Result<_>>()?,
            steps: steps.collect::<anyhow::Result<_>>()?,
            items,
        })
    }
}
