//! What the tokens of a model cost, by a list that operators can replace. Knows no vendor, and reads no file.

use serde::Deserialize;
use voice_core::ports::Usage;

/// In force unless an operator has another one.
const DEFAULT: &str = include_str!("../infra/prices.toml");
const PER: f64 = 1_000_000.0;

/// The price of models, in USD.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices(Vec<Price>);

/// One entry of the list: USD per million tokens.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Price {
    model: String,
    input: f64,
    output: f64,
    cache_read: Option<f64>,
    cache_write: Option<f64>,
    source: String,
    date: toml::value::Datetime,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    prices: Vec<Price>,
}

/// A list of prices that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PricesError {
    #[error("{0}")]
    Syntax(String),
    #[error("the entry for {model:?} wants {wants}")]
    Entry { model: String, wants: &'static str },
}

impl Prices {
    /// Reads TOML of the form of `infra/prices.toml`.
    pub fn parse(text: &str) -> Result<Self, PricesError> {
        let file: File = toml::from_str(text)
            .map_err(|error| PricesError::Syntax(error.to_string().trim_end().replace('\n', " ")))?;
        match file.prices.iter().find_map(Price::wants) {
            Some(error) => Err(error),
            None => Ok(Self(file.prices)),
        }
    }

    /// What these tokens cost, in USD; absent when nothing is known of the model.
    pub fn cost(&self, model: &str, usage: &Usage) -> Option<f64> {
        let price = self.0.iter().find(|price| fits(&price.model, model))?;
        let parts = [
            (usage.input, price.input),
            (usage.output, price.output),
            (usage.cache_read, price.cache_read.unwrap_or(price.input)),
            (usage.cache_write, price.cache_write.unwrap_or(price.input)),
        ];
        Some(parts.into_iter().map(|(tokens, price)| as_f64(tokens) * price / PER).sum())
    }
}

impl Default for Prices {
    /// The list that the service was built with.
    fn default() -> Self {
        // A test reads it; were it broken all the same, nothing would have a price.
        Self::parse(DEFAULT).unwrap_or(Self(Vec::new()))
    }
}

impl Price {
    /// What is wrong with it, if anything.
    fn wants(&self) -> Option<PricesError> {
        let amounts = [Some(self.input), Some(self.output), self.cache_read, self.cache_write];
        let sound = |amount: f64| amount.is_finite() && amount >= 0.0;
        let wants = if self.model.trim_matches('*').is_empty() {
            "a model"
        } else if !amounts.into_iter().flatten().all(sound) {
            "prices that are not negative"
        } else if self.source.is_empty() || self.date.date.is_none() {
            "a source and a date"
        } else {
            return None;
        };
        Some(PricesError::Entry { model: self.model.clone(), wants })
    }
}

/// Whether a text is what a pattern describes, in which `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(before) else { return false };
    let mut rest = rest;
    while let Some((part, after)) = rest.split_once('*') {
        let Some((_, left)) = text.split_once(part) else { return false };
        (text, rest) = (left, after);
    }
    text.ends_with(rest)
}

#[expect(clippy::cast_precision_loss, reason = "2^53 tokens are more than anybody pays for")]
fn as_f64(tokens: u64) -> f64 {
    tokens as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const USAGE: Usage = Usage { input: 1_000_000, output: 100_000, cache_read: 2_000_000, cache_write: 0 };

    fn assert_costs(prices: &Prices, model: &str, usage: &Usage, expected: f64) {
        let cost = prices.cost(model, usage).unwrap_or_else(|| panic!("{model} has no price"));
        assert!((cost - expected).abs() < 1e-9, "{model}: {cost} instead of {expected}");
    }

    #[test]
    fn the_list_in_force_knows_profiles_and_arns() {
        assert!(!Prices::parse(DEFAULT).unwrap().0.is_empty());
        let prices = Prices::default();
        for model in [
            "amazon.nova-lite-v1:0",
            "us.amazon.nova-lite-v1:0",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
        ] {
            assert_costs(&prices, model, &USAGE, 0.06 + 0.024 + 0.03);
        }
        assert_costs(&prices, "us.anthropic.claude-haiku-4-5-20251001-v1:0", &USAGE, 1.1 + 0.55 + 0.22);
        assert_costs(&prices, "global.anthropic.claude-haiku-4-5-20251001-v1:0", &USAGE, 1.0 + 0.5 + 0.2);
    }

    #[test]
    fn cached_tokens_without_a_price_of_their_own_cost_what_input_costs() {
        let list = "[[prices]]\nmodel = \"m\"\ninput = 2\noutput = 3\nsource = \"s\"\ndate = 2026-01-01";
        let usage = Usage { input: 0, output: 0, cache_read: 1_000_000, cache_write: 500_000 };
        assert_costs(&Prices::parse(list).unwrap(), "m", &usage, 3.0);
    }

    #[test]
    fn nothing_is_made_up_for_a_model_that_is_not_listed() {
        assert_eq!(Prices::default().cost("amazon.nova-ultra-v9:0", &USAGE), None);
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b:0", false),
            ("a.b*", "a.b:0", true),
            ("*b", "a.b", true),
            ("*b", "a.b:0", false),
            ("*a*c*", "us.a-b-c:0", true),
            ("*a*c", "us.a-b-c:0", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_bad_list_says_where_it_is_bad() {
        let entry = |fields: &str| format!("[[prices]]\n{fields}\nsource = \"s\"\ndate = 2026-01-01");
        for (list, says) in [
            ("prices = 1".to_owned(), "invalid type"),
            (entry("model = \"m\"\ninput = 1"), "missing field `output`"),
            (entry("model = \"m\"\ninput = 1\noutput = 1\nouput = 2"), "unknown field `ouput`"),
            (entry("model = \"m\"\ninput = -1\noutput = 1"), "\"m\" wants prices that are not negative"),
            (entry("model = \"m\"\ninput = nan\noutput = 1"), "\"m\" wants prices that are not negative"),
            (entry("model = \"*\"\ninput = 1\noutput = 1"), "\"*\" wants a model"),
        ] {
            let error = Prices::parse(&list).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains('\n'), "{error}");
        }
    }
}
