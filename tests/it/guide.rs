//! The operator's guide: every example in it is checked, and every call in it is played.

use std::fs;
use std::path::Path;

use trunkline_dev::scenarios;

/// A chapter's files, in the order in which they stand in it.
struct Chapter {
    title: String,
    files: Vec<(String, String)>,
}

/// A file of an example: a fenced block whose info string names it behind its language.
fn chapters(guide: &str) -> Vec<Chapter> {
    let mut chapters: Vec<Chapter> = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in guide.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some((info.split_whitespace().nth(1).unwrap_or_default().to_owned(), String::new()));
            }
            (Some(_), Some(_)) => {
                let file = open.take().unwrap();
                if let Some(chapter) = chapters.last_mut().filter(|_| !file.0.is_empty()) {
                    chapter.files.push(file);
                }
            }
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {
                if let Some(title) = line.strip_prefix("## ") {
                    chapters.push(Chapter { title: title.to_owned(), files: Vec::new() });
                }
            }
        }
    }
    chapters
}

fn guide() -> Vec<Chapter> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide.md")).unwrap();
    chapters(&text)
}

/// Writes a chapter's files as an operator would, beside the samples; returns the use case's name.
fn write(chapter: &Chapter, configuration: &Path) -> String {
    let name =
        chapter.title.to_lowercase().replace(|character: char| !character.is_ascii_alphanumeric(), "-");
    let folder = configuration.join("use-cases").join(&name);
    fs::create_dir_all(&folder).unwrap();
    for (file, text) in &chapter.files {
        let folder = if file == "records.toml" { configuration } else { &folder };
        fs::write(folder.join(file), text).unwrap();
    }
    name
}

#[test]
fn every_example_is_sound() {
    let chapters = guide();
    assert!(chapters.len() >= 12, "{} chapters", chapters.len());
    for chapter in &chapters {
        let configuration = tempfile::tempdir().unwrap();
        write(chapter, configuration.path());
        let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/configuration/use-cases/restaurant-ordering");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_trunkline"))
            .args(["use-case", "check"])
            .args([configuration.path(), Path::new(samples)])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && said.ends_with("0 errors, 0 warnings\n"),
            "{}: {said}",
            chapter.title
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_in_it_happens_as_written() {
    let mut played = 0;
    for chapter in guide() {
        let Some((_, scenario)) = chapter.files.iter().find(|(name, _)| name == "scenario.toml") else {
            continue;
        };
        let configuration = tempfile::tempdir().unwrap();
        let name = write(&chapter, configuration.path());
        let scenario = match scenario.split_once("place = {") {
            Some((before, after)) => format!("{before}place = {{ use_case = \"{name}\",{after}"),
            None => format!("use_case = \"{name}\"\n{scenario}"),
        };
        let file = configuration.path().join("use-cases").join(&name).join("scenario.toml");
        fs::write(&file, scenario).unwrap();
        copy_samples(configuration.path());
        let report = scenarios::play(&file, configuration.path()).await.unwrap();
        assert!(report.passed(), "{}:\n{report}", chapter.title);
        played += 1;
    }
    assert!(played >= 9, "{played} calls");
}

/// Some examples go on as one of the samples.
fn copy_samples(configuration: &Path) {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("configuration/use-cases/restaurant-ordering");
    let copy = configuration.join("use-cases/restaurant-ordering");
    fs::create_dir_all(&copy).unwrap();
    for entry in fs::read_dir(sample).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
}
