//! The language that a conversation goes on in: the configured one, until the caller or a tool changes it.

use super::{Action, Conversation};
use crate::ports::{SessionChange, SpokenLanguage};
use crate::use_case::{Sentences, UseCase};

/// As which the carrier takes a call that says nothing of languages.
const CARRIERS_DEFAULT: &str = "en-US";
/// What the carrier calls the recognition of several languages.
const ANY: &str = "multi";

#[derive(Debug)]
pub(super) enum Tongue {
    /// What the use case begins with.
    Configured,
    Changed(SpokenLanguage),
}

impl Tongue {
    pub(super) fn resumed(language: Option<SpokenLanguage>) -> Self {
        language.map_or(Self::Configured, Self::Changed)
    }
}

impl Conversation {
    /// The service's own sentences, in the language of the conversation.
    pub(super) fn sentences(&self) -> &Sentences {
        self.use_case.sentences_in(Some(self.language()))
    }

    pub(super) fn language(&self) -> &str {
        match &self.tongue {
            Tongue::Configured => configured(&self.use_case),
            Tongue::Changed(language) => &language.code,
        }
    }

    /// The carrier begins every session in the configured language.
    pub(super) fn resume_language(&mut self, actions: &mut Vec<Action>) {
        let Tongue::Changed(SpokenLanguage { code, heard }) = &self.tongue else { return };
        if code == configured(&self.use_case) {
            return;
        }
        match offered(&self.use_case, code) {
            Some(code) => actions.push(Action::SwitchLanguage { code: code.to_owned(), hear: *heard }),
            None => self.tongue = Tongue::Configured,
        }
    }

    /// Answers in the language that the carrier heard, if the use case has it.
    pub(super) fn follow_language(&mut self, heard: Option<&str>, actions: &mut Vec<Action>) {
        if self.use_case.languages.is_empty() {
            return;
        }
        let chosen = heard.and_then(|heard| heard_as(&self.use_case, self.language(), heard));
        if let Some(code) = chosen.map(str::to_owned) {
            self.switch_to(code, false, actions);
        }
    }

    /// Goes on in a language, to be understood in it as well; or says why not.
    pub(super) fn switch_language(
        &mut self,
        code: &str,
        actions: &mut Vec<Action>,
    ) -> Result<(), &'static str> {
        let code = offered(&self.use_case, code).ok_or("This language is not one of the use case.")?;
        self.switch_to(code.to_owned(), true, actions);
        Ok(())
    }

    /// The conversation goes on as another use case: in the language that is `spoken`, if that one has it, or else in its
    /// own.
    pub(super) fn keep_language(&mut self, spoken: &str, actions: &mut Vec<Action>) {
        let Some(code) = offered(&self.use_case, spoken).map(str::to_owned) else {
            return self.switch_to(configured(&self.use_case).to_owned(), true, actions);
        };
        // Another session of the call begins as the new use case, and hears what that one is configured to hear.
        let heard = !hears_any(&self.use_case);
        let remembered = match &self.tongue {
            Tongue::Configured => code == configured(&self.use_case),
            Tongue::Changed(known) => known.code == code && (known.heard || !heard),
        };
        if !remembered {
            self.go_on_in(SpokenLanguage { code, heard }, actions);
        }
    }

    fn switch_to(&mut self, code: String, hear: bool, actions: &mut Vec<Action>) {
        actions.push(Action::SwitchLanguage { code: code.clone(), hear });
        self.go_on_in(SpokenLanguage { code, heard: hear }, actions);
    }

    /// The carrier speaks a language, and another session of the call shall go on in it.
    fn go_on_in(&mut self, language: SpokenLanguage, actions: &mut Vec<Action>) {
        actions.push(Action::Remember(SessionChange::Language(language.clone())));
        self.tongue = Tongue::Changed(language);
    }
}

/// The language that the carrier speaks when a session begins.
fn configured(use_case: &UseCase) -> &str {
    let attribute = |name| use_case.relay_attributes.get(name);
    attribute("ttsLanguage").or_else(|| attribute("language")).map_or(CARRIERS_DEFAULT, String::as_str)
}

/// Whether the carrier recognises whatever language the caller speaks.
fn hears_any(use_case: &UseCase) -> bool {
    let attribute = |name| use_case.relay_attributes.get(name);
    attribute("transcriptionLanguage").or_else(|| attribute("language")).is_some_and(|code| code == ANY)
}

/// Languages that the use case can go on in.
fn codes(use_case: &UseCase) -> impl Iterator<Item = &str> {
    let declared = use_case.languages.iter().map(crate::use_case::Language::code);
    declared.chain([configured(use_case)]).filter(|code| !code.is_empty())
}

/// The code as the use case writes it.
fn offered<'a>(use_case: &'a UseCase, code: &str) -> Option<&'a str> {
    codes(use_case).find(|known| known.eq_ignore_ascii_case(code))
}

/// The language to change to when the carrier heard `heard`, which may be the primary part of a tag only. A language that
/// is spoken already is not changed for another variety of it, unless exactly that was heard.
fn heard_as<'a>(use_case: &'a UseCase, current: &str, heard: &str) -> Option<&'a str> {
    let same_language = |code: &str| primary(code).eq_ignore_ascii_case(primary(heard));
    let exactly = offered(use_case, heard);
    let other = |code: &&str| !code.eq_ignore_ascii_case(current);
    match exactly {
        Some(code) => Some(code).filter(other),
        None if same_language(current) => None,
        None => codes(use_case).find(|code| same_language(code)),
    }
}

fn primary(tag: &str) -> &str {
    tag.split(['-', '_']).next().unwrap_or(tag)
}
