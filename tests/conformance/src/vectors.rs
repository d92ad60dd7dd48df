//! Reads the files in `tests/vectors` into cases that can be played.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::case::{Answer, Ask, Case, Step};
use crate::placeholders::{Names, filled};
use crate::protocol;

/// The environment of the cases, known before they are read.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The endpoint's address, `http://127.0.0.1:<port>`.
    pub origin: String,
    /// An empty directory for the files of cases.
    pub directory: PathBuf,
}

/// Reads all cases in the files `*.json` of a directory.
pub fn read_all(directory: &Path, stage: &Stage) -> Result<Vec<Case>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", directory.display());
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .map_err(told)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(told)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let (mut cases, mut names) = (Vec::new(), HashSet::new());
    for file in files {
        let text = fs::read_to_string(&file).map_err(told)?;
        let read = read(&text, stage, cases.len());
        cases.extend(read.map_err(|problem| format!("{}: {problem}", file.display()))?);
    }
    match cases.iter().find(|case| !names.insert(case.name.clone())) {
        Some(case) => Err(format!("two cases are called \"{}\"", case.name)),
        None => Ok(cases),
    }
}

/// Reads one file, a list of cases. `before` is the number of cases already read.
pub fn read(text: &str, stage: &Stage, before: usize) -> Result<Vec<Case>, String> {
    let written: Vec<Map<String, Value>> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut cases = Vec::new();
    for mut case in written {
        let name = case.get("name").map(Value::to_string).unwrap_or_default();
        let rows = match case.remove("rows") {
            None => vec![Map::new()],
            Some(rows) => {
                serde_json::from_value(rows).map_err(|error| format!("{name}: {error}"))?
            }
        };
        for row in rows {
            let read = one(&case, row, stage, before + cases.len());
            cases.push(read.map_err(|problem| format!("{name}: {problem}"))?);
        }
    }
    Ok(cases)
}

/// Reads one case; `row` contains the values of its placeholders.
fn one(case: &Map<String, Value>, row: Names, stage: &Stage, index: usize) -> Result<Case, String> {
    let path = format!("/case-{}", index + 1);
    let url = format!("{}{path}/token/v2", stage.origin);
    let directory = stage.directory.join(&path[1..]);
    let names = names(row, stage, &path, &url, &directory)?;
    let whole = filled(&Value::Object(case.clone()), &names)?;
    let case: Case = serde_json::from_value(whole).map_err(|error| error.to_string())?;
    case.answers.iter().try_for_each(Answer::check)?;
    let mut case = Case { path, directory, url, ..case };
    case.answers =
        case.answers.iter().flat_map(|answer| vec![answer.clone(); answer.times]).collect();
    case.complete_clients();
    Ok(case)
}

/// The placeholders of a case: its environment and the values of its row.
fn names(row: Names, stage: &Stage, path: &str, url: &str, dir: &Path) -> Result<Names, String> {
    let host = stage.origin.trim_start_matches("http://");
    let port = host.rsplit_once(':').map_or("", |(_, port)| port);
    let dir = dir.display().to_string();
    let known = [
        ("url", url),
        ("origin", &stage.origin),
        ("host", host),
        ("port", port),
        ("path", path),
        ("dir", &dir),
    ];
    let mut names: Names =
        known.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
    for (name, value) in row {
        let value = filled(&value, &names)?;
        names.insert(name, value);
    }
    Ok(names)
}

impl Case {
    /// Gives every client the usual options, and adds a step that makes one if there is none.
    fn complete_clients(&mut self) {
        let makes = |step: &Step| matches!(step, Step::Ask(ask) if ask.name() == "new");
        if !self.steps.iter().any(makes) {
            let mut request = json!({"do": "new", "client": protocol::DEFAULT_CLIENT,
                "options": self.options});
            if let Some(credentials) = &self.credentials {
                request["credentials"] = json!(credentials);
            }
            let expect = json!({"ok": true});
            self.steps.insert(0, Step::Ask(Ask { request, expect, poll: false }));
        }
        for step in &mut self.steps {
            match step {
                Step::Ask(ask) if ask.name() == "new" => {
                    complete(&mut ask.request, &self.options, &self.url);
                }
                _ => {}
            }
        }
    }
}

fn complete(request: &mut Value, of_case: &BTreeMap<String, Option<String>>, url: &str) {
    let mut options = json!({"scope": "asset.view", "token_url": url});
    if request.get("credentials").is_none() {
        options["client_id"] = "conformance-id".into();
        options["client_secret"] = "conformance-secret-0123".into();
    }
    for (key, value) in of_case {
        options[key] = json!(value);
    }
    for (key, value) in request["options"].as_object().into_iter().flatten() {
        options[key] = value.clone();
    }
    if let Some(all) = options.as_object_mut() {
        all.retain(|_, value| !value.is_null());
    }
    request["options"] = options;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage() -> Stage {
        Stage { origin: "http://127.0.0.1:1".to_owned(), directory: PathBuf::from("/nowhere") }
    }

    fn read_one(case: Value) -> Result<Case, String> {
        read(&json!([case]).to_string(), &stage(), 4).map(|mut cases| cases.remove(0))
    }

    fn case(steps: Value) -> Value {
        json!({"name": "n", "why": "w", "steps": steps, "requests": 0})
    }

    #[test]
    fn all_vectors_are_valid_and_each_has_a_reason() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors");
        let cases = read_all(&directory, &stage()).unwrap();
        assert!(cases.len() >= 60, "{}", cases.len());
        assert!(cases.iter().all(|case| case.name.len() > 10 && case.why.len() > 10));
    }

    #[test]
    fn a_client_is_made_by_itself_with_the_usual_options() {
        let case = read_one(case(json!([{"do": "wake"}]))).unwrap();
        let Step::Ask(ask) = &case.steps[0] else { panic!("no request") };
        assert_eq!(ask.request["options"]["token_url"], "http://127.0.0.1:1/case-5/token/v2");
        assert_eq!(ask.request["options"]["client_id"], "conformance-id");
        assert_eq!(case.steps.len(), 2);
    }

    #[test]
    fn null_leaves_an_option_out_and_a_callback_leaves_out_the_credentials() {
        let steps = json!([{"do": "new", "options": {"scope": null}, "credentials": [["i", "s"]]}]);
        let case = read_one(case(steps)).unwrap();
        let Step::Ask(ask) = &case.steps[0] else { panic!("no request") };
        let keys: Vec<_> = ask.request["options"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["token_url"]);
    }

    #[test]
    fn rows_make_cases() {
        let text = json!([{"name": "with ${code}", "why": "w", "requests": 1,
            "rows": [{"code": 400}, {"code": 500}], "answers": [{"status": "${code}"}],
            "steps": [{"do": "expect_requests", "count": 0}]}]);
        let cases = read(&text.to_string(), &stage(), 0).unwrap();
        assert_eq!(cases[1].name, "with 500");
        assert_eq!((cases[0].answers[0].status, cases[1].answers[0].status), (400, 500));
    }

    #[test]
    fn mistakes_are_reported() {
        for (bad, word) in [
            (json!([{"do": "fetch"}]), "unknown step \"fetch\""),
            (json!([{"do": "get"}]), "needs an \"expect\""),
            (json!([{"do": "get", "expct": {}}]), "expct"),
            (json!([{"do": "get", "scpe": "a", "expect": {}}]), "scpe"),
            (json!([{"do": "release"}]), "name"),
            (json!([{"do": "release", "name": "a", "x": 1}]), "x"),
            (json!([{"do": "wake", "poll": 1}]), "poll"),
            (json!([{}]), "no \"do\""),
            (json!([{"do": "wake", "client": "${what}"}]), "what"),
        ] {
            let problem = read_one(case(bad)).unwrap_err();
            assert!(problem.contains(word), "{problem}");
        }
        let mut unknown = case(json!([]));
        unknown["answer"] = json!([]);
        assert!(read_one(unknown).unwrap_err().contains("answer"));
    }

    #[test]
    fn answers_that_cannot_be_sent_are_reported() {
        for (answer, word) in [
            (json!({"stat": 200}), "stat"),
            (json!({"status": 100}), "100"),
            (json!({"times": 0}), "0 times"),
            (json!({"token": "t", "body": "b"}), "more than one"),
            (json!({"body": "b", "expires_in": 1}), "expires_in"),
            (json!({"body_hex": "7"}), "hexadecimal"),
            (json!({"body_hex": "7x"}), "hexadecimal"),
            (json!({"fault": "fire"}), "fire"),
        ] {
            let mut bad = case(json!([]));
            bad["answers"] = json!([answer]);
            let problem = read_one(bad).unwrap_err();
            assert!(problem.contains(word), "{problem}");
        }
    }
}
