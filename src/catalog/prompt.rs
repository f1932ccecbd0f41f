//! Fills in what a prompt, a greeting or a sentence leaves open: who calls, which number, what day it is.
//!
//! Two notations are understood: templates (`{{ caller.firstName }}`, `{% if caller.plan == "gold" %}`) and
//! the placeholders `<<USER_CONTEXT>>` and `<<CURRENT_DATE>>`. What is filled in is data and is never read as
//! either.
//!
//! A caller must be answered, so rendering never fails: a template that cannot be rendered is used as it
//! stands.

mod bounded_output;
pub(super) mod bounded_syntax;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use voice_core::ports::Direction;
use voice_core::use_case::CallerProfile;

use self::bounded_output::BoundedOutput;
use crate::templates::engine;

/// What a prompt may speak of.
#[derive(Clone, Copy)]
pub struct PromptContext<'a> {
    /// What is known of the person on the line, whoever called whom.
    pub caller: Option<&'a CallerProfile>,
    pub from: &'a str,
    pub to: &'a str,
    pub direction: Direction,
    /// What whoever had the call placed wants it to know.
    pub variables: &'a BTreeMap<String, String>,
    pub call_sid: &'a str,
    pub use_case: &'a str,
    /// In the time zone that the date is told in.
    pub now: &'a jiff::Zoned,
}

impl PromptContext<'_> {
    /// The number of the person on the line.
    const fn person(&self) -> &str {
        match self.direction {
            Direction::Inbound => self.from,
            Direction::Outbound => self.to,
        }
    }
}

impl fmt::Debug for PromptContext<'_> {
    /// Leaves out the phone numbers and the variables.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PromptContext")
            .field("call_sid", &self.call_sid)
            .field("use_case", &self.use_case)
            .finish_non_exhaustive()
    }
}

/// A text with everything filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub text: String,
    /// Why templates stand in the text as they were written. Fit for a log: it holds nothing of the caller's.
    pub warning: Option<String>,
}

/// Longer than any prompt: a record of the table holds 400 KB.
const MAX_OUTPUT_BYTES: usize = 1024 * 1024;

const USER_CONTEXT: &str = "<<USER_CONTEXT>>";
const CURRENT_DATE: &str = "<<CURRENT_DATE>>";
/// The placeholders are renamed before templates run. Values hold no control characters, so none can name
/// these.
const USER_CONTEXT_MARK: &str = "\u{1}user\u{1}";
const CURRENT_DATE_MARK: &str = "\u{1}date\u{1}";

/// Renders `template`: templates first, then placeholders, each wherever it stands.
///
/// What a value is not known for stays empty. Templates consist of `{{ … }}` and `{% if %}` only, without
/// multiplication, loops, macros or assignments, so that the work is proportional to the template's length.
pub fn render(template: &str, context: &PromptContext<'_>) -> Rendered {
    let marked = template.replace(USER_CONTEXT, USER_CONTEXT_MARK).replace(CURRENT_DATE, CURRENT_DATE_MARK);
    let (text, warning) = match run_template(&marked, context) {
        Ok(text) => (text, None),
        Err(reason) => (marked, Some(reason)),
    };
    let text = text
        .replace(USER_CONTEXT_MARK, &user_context(context.caller))
        .replace(CURRENT_DATE_MARK, &values::date(context.now));
    Rendered { text, warning }
}

/// What `<<USER_CONTEXT>>` stands for: a promise to records that were written for the system replaced by this
/// one.
fn user_context(caller: Option<&CallerProfile>) -> String {
    let names = caller.and_then(|caller| {
        let first = values::cleaned(caller.first_name.as_ref()?.expose());
        let last = values::cleaned(caller.last_name.as_ref()?.expose());
        (!first.is_empty() && !last.is_empty()).then_some((first, last))
    });
    match names {
        Some((first, last)) => format!(
            "The name of the person you are talking to is {first} {last}. \
             You do not need to ask for their name."
        ),
        None => "First ask for the user's first and last name to use during the call.".to_owned(),
    }
}

fn run_template(template: &str, context: &PromptContext<'_>) -> Result<String, String> {
    static ENVIRONMENT: LazyLock<Environment<'_>> = LazyLock::new(environment);

    if !bounded_syntax::has_templates(template) {
        return Ok(template.to_owned());
    }
    bounded_syntax::check(template).map_err(|refusal| format!("the template was not rendered: {refusal}"))?;
    let mut output = BoundedOutput::new(MAX_OUTPUT_BYTES);
    ENVIRONMENT
        .template_from_str(template)
        .and_then(|template| template.render_captured_to(values::of(context), &mut output).map(drop))
        .map_err(|error| describe(&error))?;
    output.into_text().ok_or_else(|| "the template was not rendered: its output is no text".to_owned())
}

/// Names the kind of an error and its line. Its details may quote values, which are the caller's.
fn describe(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    format!("the template was not rendered: {}{line}", error.kind())
}

/// Blocks on lines of their own leave no blank lines, and text without templates stays as it is.
fn environment() -> Environment<'static> {
    let mut environment = engine();
    let mut syntax = SyntaxConfig::builder();
    if let Ok(syntax) = syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment
}

#[cfg(test)]
mod tests;
