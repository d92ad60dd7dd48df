//! Plays one case step by step.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::case::{Ask, Case, Own, Sent, Step};
use crate::endpoint::{Endpoint, Received};
use crate::matching::{compare, short};
use crate::protocol;
use crate::secrets::Secrets;
use crate::testee::Testee;

/// How long to wait for something expected.
const BOUND: Duration = Duration::from_secs(10);
/// The interval between two checks.
const TICK: Duration = Duration::from_millis(2);

/// A case being played.
pub struct Play<'a> {
    case: &'a Case,
    endpoint: &'a Endpoint,
    testee: &'a mut Testee,
    secrets: Secrets,
    clients: Vec<String>,
}

impl<'a> Play<'a> {
    pub fn new(case: &'a Case, endpoint: &'a Endpoint, testee: &'a mut Testee) -> Self {
        Self { case, endpoint, testee, secrets: Secrets::default(), clients: Vec::new() }
    }

    /// Plays the case. Returns its secrets and the first failure.
    pub fn run(mut self) -> (Secrets, Result<(), String>) {
        let outcome = self.played();
        for token in self.endpoint.tokens() {
            self.secrets.hide(&token);
        }
        (self.secrets, outcome)
    }

    fn played(&mut self) -> Result<(), String> {
        self.prepare().map_err(|problem| format!("its files: {problem}"))?;
        self.endpoint.begin(&self.case.path, &self.case.answers);
        let case = self.case;
        let outcome = case.steps.iter().enumerate().try_for_each(|(index, step)| {
            self.step(step).map_err(|problem| {
                let what = match step {
                    Step::Own(_, written) => short(written),
                    Step::Ask(ask) => short(&ask.request),
                };
                format!("step {} {what}\n      {problem}", index + 1)
            })
        });
        let outcome = outcome.and_then(|()| self.after_steps());
        let requests = self.endpoint.end();
        outcome.and_then(|()| match requests {
            found if found > case.answers.len() => {
                Err(format!("{found} token requests, but only {} answers", case.answers.len()))
            }
            found if found == case.requests => Ok(()),
            found => Err(format!("expected {} token requests, found {found}", case.requests)),
        })
    }

    fn prepare(&mut self) -> Result<(), String> {
        for text in &self.case.secrets {
            self.secrets.hide(text);
        }
        fs::create_dir_all(&self.case.directory).map_err(|error| error.to_string())?;
        for (name, text) in &self.case.files {
            self.write(name, text, None)?;
        }
        Ok(())
    }

    fn write(&mut self, name: &str, text: &str, mode: Option<&str>) -> Result<(), String> {
        if name.contains("secret") {
            self.secrets.hide(text.trim_end());
        }
        write_file(&self.case.directory.join(name), text, mode.unwrap_or("600"))
            .map_err(|error| format!("{name}: {error}"))
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Own(own, _) => self.own(own),
            Step::Ask(ask) => self.ask(ask),
        }
    }

    // --- the testee ------------------------------------------------------------------------

    fn ask(&mut self, ask: &Ask) -> Result<(), String> {
        self.secrets.hide_request(&ask.request);
        let end = Instant::now() + BOUND;
        loop {
            let answer = self.answer(&ask.request)?;
            if ask.name() == "new" && answer["ok"] == true {
                self.clients.extend(ask.request["client"].as_str().map(str::to_owned));
            }
            match compare(&ask.expect, &answer) {
                Ok(()) => return Ok(()),
                Err(_) if ask.poll && Instant::now() < end => std::thread::sleep(TICK),
                Err(problem) => return Err(format!("{problem}\n      in {}", short(&answer))),
            }
        }
    }

    /// An answer that is whole and shows no secret.
    fn answer(&mut self, request: &Value) -> Result<Value, String> {
        let answer = self.testee.ask(request)?;
        protocol::check_answer(&answer)?;
        for token in self.endpoint.tokens() {
            self.secrets.hide(&token);
        }
        self.secrets.look_into_answer(&answer)?;
        Ok(answer)
    }

    /// Checks that no client's events show a secret, and that closing works whatever happened before.
    fn after_steps(&mut self) -> Result<(), String> {
        for client in self.clients.clone() {
            let request = |name: &str| json!({"do": name, "client": client});
            self.answer(&request("events"))?;
            let closed = self.answer(&request("close"))?;
            compare(&json!({"ok": true}), &closed)?;
        }
        Ok(())
    }

    // --- the driver's own steps ------------------------------------------------------------

    fn own(&mut self, own: &Own) -> Result<(), String> {
        match own {
            Own::AwaitRequests { count } => self.requests(*count, BOUND),
            Own::ExpectRequests { count } => self.requests(*count, Duration::ZERO),
            Own::Release { name } => {
                self.endpoint.release(name);
                Ok(())
            }
            Own::ExpectSent(sent) => self.sent(sent),
            Own::ExpectEvents { client, contains, lacks } => {
                let client = client.as_deref().unwrap_or(protocol::DEFAULT_CLIENT);
                self.events(client, contains, lacks)
            }
            Own::Write { file, text, mode } => self.write(file, text, mode.as_deref()),
            Own::Remove { file } => fs::remove_file(self.case.directory.join(file))
                .map_err(|error| format!("{file}: {error}")),
        }
    }

    fn requests(&self, count: usize, bound: Duration) -> Result<(), String> {
        self.endpoint
            .await_requests(count, bound)
            .map_err(|found| format!("expected {count} token requests, found {found}"))
    }

    fn sent(&self, sent: &Sent) -> Result<(), String> {
        let received = self.endpoint.received();
        let number = |number: usize| {
            let index = number.checked_sub(1).ok_or("requests are counted from 1")?;
            received.get(index).ok_or(format!("there is no request {number}"))
        };
        let request = number(sent.request)?;
        if let Some(expected) = &sent.form {
            let found = form(request)?;
            compare(&Value::Object(expected.clone()), &found)?;
            if let Some(more) = keys(&found).find(|name| !expected.contains_key(*name)) {
                return Err(format!("the form also has the field {more}"));
            }
        }
        if let Some(body) = &sent.body {
            compare(body, &json!(request.body))?;
        }
        if let Some(other) = sent.same_body_as {
            compare(&json!(number(other)?.body), &json!(request.body))?;
        }
        if let Some(headers) = &sent.headers {
            compare(headers, &request.headers)?;
        }
        if let Some(method) = &sent.method {
            compare(method, &json!(request.method))?;
        }
        Ok(())
    }

    /// Events come from another thread: polls until all have arrived.
    fn events(&mut self, client: &str, contains: &[Value], lacks: &[Value]) -> Result<(), String> {
        let end = Instant::now() + BOUND;
        let events = loop {
            let answer = self.answer(&json!({"do": "events", "client": client}))?;
            let events = answer.get("events").and_then(Value::as_array).cloned();
            let events = events.ok_or_else(|| format!("no events: {answer}"))?;
            match missing(contains, &events) {
                None => break events,
                Some(_) if Instant::now() < end => std::thread::sleep(TICK),
                Some(event) => {
                    return Err(format!("no event {event} in {}", short(&json!(events))));
                }
            }
        };
        for event in lacks {
            if let Some(found) = events.iter().find(|found| compare(event, found).is_ok()) {
                return Err(format!("there is an event {found}"));
            }
        }
        Ok(())
    }
}

/// The first missing event; each expected event needs a separate one.
fn missing<'e>(wanted: &'e [Value], events: &[Value]) -> Option<&'e Value> {
    let mut left: Vec<&Value> = events.iter().collect();
    wanted.iter().find(|event| {
        let at = left.iter().position(|found| compare(event, found).is_ok());
        at.map(|at| left.remove(at)).is_none()
    })
}

/// The fields of a form, each once.
fn form(request: &Received) -> Result<Value, String> {
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(request.body.as_bytes()) {
        if fields.insert(name.to_string(), json!(value)).is_some() {
            return Err(format!("the field {name} was sent twice"));
        }
    }
    Ok(Value::Object(fields))
}

fn keys(object: &Value) -> impl Iterator<Item = &String> {
    object.as_object().into_iter().flat_map(Map::keys)
}

#[cfg(unix)]
fn write_file(path: &Path, text: &str, mode: &str) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = u32::from_str_radix(mode, 8).map_err(|error| format!("{mode}: {error}"))?;
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .map_err(|error| error.to_string())
}

#[cfg(not(unix))]
fn write_file(path: &Path, text: &str, _mode: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_expected_event_needs_one_of_its_own() {
        let events = [json!({"kind": 1, "message": "a"}), json!({"kind": 2})];
        let wanted = [json!({"kind": 2}), json!({"kind": 1})];
        assert_eq!(missing(&wanted, &events), None);
        let twice = [json!({"kind": 1}), json!({"kind": 1})];
        assert_eq!(missing(&twice, &events), Some(&twice[1]));
    }

    #[test]
    fn a_field_that_was_sent_twice_is_noticed() {
        let request = |body: &str| Received {
            method: "POST".to_owned(),
            headers: json!({}),
            body: body.to_owned(),
        };
        assert_eq!(form(&request("a=1&b=x+y%2B")), Ok(json!({"a": "1", "b": "x y+"})));
        assert!(form(&request("a=1&a=1")).is_err());
    }
}
