//! A transcript: what the endpoint answers, what the testee is asked, what is expected. Read strictly: whatever a case
//! names and nobody knows is a mistake that is told, not passed over.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::placeholders::{Names, filled};
use crate::protocol;

/// Where cases are played: known before they are read.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The endpoint's address, `http://127.0.0.1:<port>`.
    pub origin: String,
    /// An empty directory for the files of cases.
    pub directory: PathBuf,
}

/// One case, ready to be played.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What is so, in one sentence.
    pub name: String,
    /// Why it has to be so.
    pub why: String,
    /// Languages in which it cannot be told, each with the reason.
    #[serde(default)]
    pub not_for: BTreeMap<String, String>,
    /// Of the client that is made by itself, beside or in the place of the usual ones; null: not that one.
    #[serde(default)]
    pub options: BTreeMap<String, Option<String>>,
    /// What that client's credentials callback gives, call by call.
    #[serde(default)]
    pub credentials: Option<Vec<Value>>,
    /// There when the first client is made. Those whose names say so hold secrets.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// More that nobody may see, beside what is known to be secret.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// To the token requests, one after the other.
    #[serde(default)]
    pub answers: Vec<Answer>,
    /// What is done and expected, in this order.
    #[serde(deserialize_with = "steps")]
    pub steps: Vec<Step>,
    /// How many token requests there are in all.
    pub requests: usize,
    /// Which part of the endpoint's address space is the case's own.
    #[serde(skip)]
    pub path: String,
    #[serde(skip)]
    pub(crate) directory: PathBuf,
    #[serde(skip)]
    url: String,
}

/// An answer of the token endpoint. Its body is `token` with what belongs to it, `json`, `body` or `body_hex`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    #[serde(default = "ok")]
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// The service's own answer with this token, for the scope that was asked for.
    pub(crate) token: Option<String>,
    pub(crate) expires_in: Option<Value>,
    pub(crate) scope: Option<Value>,
    pub(crate) json: Option<Value>,
    pub(crate) body: Option<String>,
    /// For bytes that are no text.
    pub(crate) body_hex: Option<String>,
    pub(crate) fault: Option<Fault>,
    /// It waits until this is released.
    pub(crate) hold: Option<String>,
    /// To so many requests.
    #[serde(default = "once")]
    times: usize,
}

fn ok() -> u16 {
    200
}

fn once() -> usize {
    1
}

/// What goes wrong with an answer.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection is reset.
    Reset,
    /// The body ends in its middle.
    Cut,
}

/// One step of a case.
#[derive(Debug)]
pub enum Step {
    /// Of the driver alone.
    Own(Own),
    /// A request to the testee.
    Ask(Ask),
}

/// What the driver does by itself.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Own {
    /// Waits, for a bounded time, until so many token requests have come.
    AwaitRequests {
        count: usize,
    },
    /// So many have come.
    ExpectRequests {
        count: usize,
    },
    /// Lets answers go that were held.
    Release {
        name: String,
    },
    /// What a request was, from 1 on.
    ExpectSent(Sent),
    /// Waits, for a bounded time, for a client's events, in any order.
    ExpectEvents {
        #[serde(default)]
        client: Option<String>,
        #[serde(default)]
        contains: Vec<Value>,
        #[serde(default)]
        lacks: Vec<Value>,
    },
    Write {
        file: String,
        text: String,
        /// In octal digits; else for its owner alone.
        #[serde(default)]
        mode: Option<String>,
    },
    Remove {
        file: String,
    },
}

/// What is expected of a token request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    pub(crate) request: usize,
    /// All fields of the form, decoded.
    #[serde(default)]
    pub(crate) form: Option<Map<String, Value>>,
    /// The form as it was sent.
    #[serde(default)]
    pub(crate) body: Option<Value>,
    /// Byte by byte as in this other request.
    #[serde(default)]
    pub(crate) same_body_as: Option<usize>,
    /// By lower-case name; null: there is none.
    #[serde(default)]
    pub(crate) headers: Option<Value>,
    #[serde(default)]
    pub(crate) method: Option<Value>,
}

/// A request to the testee and what it should answer.
#[derive(Debug)]
pub struct Ask {
    pub(crate) request: Value,
    pub(crate) expect: Value,
    /// Again and again, for a bounded time, until the answer fits.
    pub(crate) poll: bool,
}

impl Ask {
    pub(crate) fn name(&self) -> &str {
        self.request["do"].as_str().unwrap_or_default()
    }
}

const OWN: [&str; 7] = [
    "await_requests",
    "expect_requests",
    "release",
    "expect_sent",
    "expect_events",
    "write",
    "remove",
];

fn steps<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Vec<Step>, D::Error> {
    let steps = Vec::<Map<String, Value>>::deserialize(source)?;
    let read = |(index, members)| {
        step(members)
            .map_err(|problem| serde::de::Error::custom(format!("step {}: {problem}", index + 1)))
    };
    steps.into_iter().enumerate().map(read).collect()
}

fn step(mut members: Map<String, Value>) -> Result<Step, String> {
    let name = members.get("do").and_then(Value::as_str).ok_or("it does nothing")?.to_owned();
    if OWN.contains(&name.as_str()) {
        let own = serde_json::from_value(Value::Object(members));
        return own.map(Step::Own).map_err(|error| error.to_string());
    }
    members.remove("do");
    let expect = members.remove("expect").or_else(|| protocol::usual_answer(&name));
    let poll = match members.remove("poll") {
        None => false,
        Some(Value::Bool(poll)) => poll,
        Some(other) => return Err(format!("\"poll\" is {other}")),
    };
    let expect = expect.ok_or_else(|| format!("what \"{name}\" should answer is not said"))?;
    Ok(Step::Ask(Ask { request: protocol::request(&name, members)?, expect, poll }))
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

/// Reads one file: a list of cases. `before`: how many were read before it.
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

/// One case; `row`: what stands for its placeholders.
fn one(case: &Map<String, Value>, row: Names, stage: &Stage, index: usize) -> Result<Case, String> {
    let path = format!("/case-{}", index + 1);
    let url = format!("{}{path}/token/v2", stage.origin);
    let directory = stage.directory.join(&path[1..]);
    let mut names = Names::new();
    names.insert("url".to_owned(), url.clone().into());
    names.insert("origin".to_owned(), stage.origin.clone().into());
    let host = stage.origin.trim_start_matches("http://");
    names.insert("host".to_owned(), host.into());
    let port = host.rsplit_once(':').map_or("", |(_, port)| port);
    names.insert("port".to_owned(), port.into());
    names.insert("path".to_owned(), path.clone().into());
    names.insert("dir".to_owned(), directory.display().to_string().into());
    for (name, value) in row {
        let value = filled(&value, &names)?;
        names.insert(name, value);
    }
    let whole = filled(&Value::Object(case.clone()), &names)?;
    let case: Case = serde_json::from_value(whole).map_err(|error| error.to_string())?;
    let mut case = Case { path, directory, url, ..case };
    case.answers =
        case.answers.iter().flat_map(|answer| vec![answer.clone(); answer.times]).collect();
    case.complete_clients();
    Ok(case)
}

impl Case {
    /// Gives every client the usual options, and makes one by itself if no step does.
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
            if let Step::Ask(ask) = step
                && ask.name() == "new"
            {
                complete(&mut ask.request, &self.options, &self.url);
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
    fn the_vectors_can_be_read_and_each_has_a_reason() {
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
    fn mistakes_are_told() {
        for (bad, word) in [
            (json!([{"do": "fetch"}]), "fetch"),
            (json!([{"do": "get"}]), "not said"),
            (json!([{"do": "get", "scpe": "a", "expect": {}}]), "scpe"),
            (json!([{"do": "release"}]), "name"),
            (json!([{"do": "release", "name": "a", "x": 1}]), "x"),
            (json!([{"do": "wake", "poll": 1}]), "poll"),
            (json!([{}]), "nothing"),
            (json!([{"do": "wake", "client": "${what}"}]), "what"),
        ] {
            let problem = read_one(case(bad)).unwrap_err();
            assert!(problem.contains(word), "{problem}");
        }
        let mut unknown = case(json!([]));
        unknown["answer"] = json!([]);
        assert!(read_one(unknown).unwrap_err().contains("answer"));
        let mut bad_answer = case(json!([]));
        bad_answer["answers"] = json!([{"stat": 200}]);
        assert!(read_one(bad_answer).unwrap_err().contains("stat"));
    }
}
