//! Going on in another of the use case's languages.

use serde_json::json;
use voice_core::ports::{Effect, ToolRequest};
use voice_core::use_case::{Language, UseCase};

use crate::tools::arguments::text;
use crate::tools::{Answer, Handled};

/// Names that models use for languages instead of their codes.
const NAMES: [(&str, &str); 34] = [
    ("arabic", "ar"),
    ("bulgarian", "bg"),
    ("catalan", "ca"),
    ("chinese", "zh"),
    ("croatian", "hr"),
    ("czech", "cs"),
    ("danish", "da"),
    ("dutch", "nl"),
    ("english", "en"),
    ("finnish", "fi"),
    ("french", "fr"),
    ("german", "de"),
    ("greek", "el"),
    ("hebrew", "he"),
    ("hindi", "hi"),
    ("hungarian", "hu"),
    ("indonesian", "id"),
    ("italian", "it"),
    ("japanese", "ja"),
    ("korean", "ko"),
    ("malay", "ms"),
    ("mandarin", "zh"),
    ("norwegian", "no"),
    ("polish", "pl"),
    ("portuguese", "pt"),
    ("romanian", "ro"),
    ("russian", "ru"),
    ("slovak", "sk"),
    ("spanish", "es"),
    ("swedish", "sv"),
    ("thai", "th"),
    ("turkish", "tr"),
    ("ukrainian", "uk"),
    ("vietnamese", "vi"),
];

/// Switches to the argument `language`: a code (`es-US`), its first part (`es`), or the English name of that.
pub(super) fn switch(request: &ToolRequest) -> Handled {
    let codes = codes(&request.use_case);
    let asked_for = text(request, "language").unwrap_or_default();
    let code = chosen(&codes, asked_for)
        .ok_or_else(|| format!("The argument language must be one of: {}.", codes.join(", ")))?;
    Ok(Answer::with(json!({ "language": code }), Effect::SwitchLanguage { code: code.to_owned() }))
}

/// Those declared, and the one that the session begins with.
fn codes(use_case: &UseCase) -> Vec<&str> {
    let declared = use_case.languages.iter().map(Language::code).filter(|code| !code.is_empty());
    let mut codes: Vec<_> = declared.collect();
    if let Some(first) =
        use_case.relay_attributes.get("language").filter(|first| !codes.contains(&first.as_str()))
    {
        codes.push(first);
    }
    codes
}

fn chosen<'a>(codes: &[&'a str], asked_for: &str) -> Option<&'a str> {
    let asked_for = asked_for.replace('_', "-");
    let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&asked_for)).map(|(_, code)| *code);
    let wanted = named.unwrap_or(&asked_for);
    let is_exact = |code: &&&str| code.eq_ignore_ascii_case(wanted);
    let is_primary = |code: &&&str| primary(code).eq_ignore_ascii_case(wanted);
    codes.iter().find(is_exact).or_else(|| codes.iter().find(is_primary)).copied()
}

fn primary(code: &str) -> &str {
    code.split('-').next().unwrap_or(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_chosen_by_code_or_name() {
        let codes = ["en-US", "es-US", "es-ES", "pt-BR"];
        for (asked_for, code) in [
            ("es-ES", "es-ES"),
            ("es_es", "es-ES"),
            ("ES", "es-US"),
            ("Spanish", "es-US"),
            ("portuguese", "pt-BR"),
            ("en", "en-US"),
        ] {
            assert_eq!(chosen(&codes, asked_for), Some(code), "{asked_for}");
        }
        for asked_for in ["", "fr", "French", "es-MX", "e", "Klingon"] {
            assert_eq!(chosen(&codes, asked_for), None, "{asked_for}");
        }
    }

    #[test]
    fn the_first_language_counts_as_declared() {
        let mut use_case = UseCase::new("reception", "");
        use_case.relay_attributes.insert("language".to_owned(), "de-DE".to_owned());
        let attributes = [("code".to_owned(), "fr-FR".to_owned())].into();
        use_case.languages.push(Language { attributes, sentences: None });
        assert_eq!(codes(&use_case), ["fr-FR", "de-DE"]);
    }
}
