//! Checks that the suite fails for wrong testees and transcripts, with the right message.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tu_token_conformance::suite::{Outcome, Suite};

/// Plays cases against the real testee or a shell script that imitates one.
fn played(cases: &Value, command: &[&str]) -> Outcome {
    let vectors = tempfile::tempdir().unwrap();
    fs::write(vectors.path().join("cases.json"), cases.to_string()).unwrap();
    let suite = Suite {
        vectors: vectors.path().to_owned(),
        only: None,
        command: command.iter().map(|&word| word.to_owned()).collect(),
        bound: Duration::from_secs(20),
    };
    suite.run().unwrap()
}

const TRUE_TESTEE: &[&str] = &[env!("CARGO_BIN_EXE_tu-token-testee")];

/// A case about one token, with some of its members replaced.
fn case(name: &str, members: Value) -> Value {
    let mut case = json!({
        "name": name, "why": "to be wrong in one place",
        "answers": [{"token": "first-token"}],
        "steps": [{"do": "get", "expect": {"results": [{"token": "first-token"}]}}],
        "requests": 1,
    });
    for (member, value) in members.as_object().unwrap() {
        case[member] = value.clone();
    }
    case
}

fn get(expect: Value) -> Value {
    json!({"do": "get", "expect": {"results": [expect]}})
}

#[test]
fn a_true_case_passes() {
    let outcome = played(&json!([case("true", json!({}))]), TRUE_TESTEE);
    assert_eq!((outcome.passed, outcome.failed.len()), (1, 0), "{:?}", outcome.failed);
}

#[test]
fn every_wrong_expectation_fails_for_its_own_reason() {
    let first = get(json!({"token": "first-token"}));
    let wrong = [
        (json!({"steps": [get(json!({"token": "other"}))]}), "expected \"other\""),
        (json!({"steps": [get(json!({"expires_in_ms": {"max": 1}}))]}), "\"max\":1"),
        (json!({"steps": [get(json!({"error": {"status": 300}}))]}), "error"),
        (
            json!({"steps": [first, {"do": "may_send_to", "url": "x", "expect": {"value": true}}]}),
            "expected true",
        ),
        (json!({"requests": 0}), "expected 0 token requests, found 1"),
        (json!({"requests": 2}), "expected 2 token requests, found 1"),
        (
            json!({"answers": [], "requests": 3, "steps": [get(json!({"error": {"status": 304}}))]}),
            "3 token requests, but only 0 answers",
        ),
        (json!({"steps": [first, {"do": "expect_requests", "count": 2}]}), "found 1"),
        (json!({"steps": [first, {"do": "expect_sent", "request": 2}]}), "no request 2"),
        (json!({"steps": [first, {"do": "expect_sent", "request": 1, "form": {}}]}), "also has"),
        (json!({"steps": [first, {"do": "expect_sent", "request": 1, "body": "x"}]}), "body"),
        (
            json!({"steps": [first, {"do": "expect_sent", "request": 1,
            "headers": {"authorization": "x"}}]}),
            "authorization",
        ),
        (
            json!({"steps": [first, {"do": "expect_events", "lacks": [{"kind": 1}],
            "contains": [{"kind": 2}]}]}),
            "there is an event",
        ),
        (
            json!({"steps": [{"do": "new", "options": {"scope": null}, "expect": {"ok": false}}]}),
            "expected false",
        ),
        (json!({"steps": [{"do": "join", "id": "nobody", "expect": {"results": []}}]}), "support"),
        (
            json!({"secrets": ["requesting a token"],
            "steps": [first, {"do": "expect_events", "contains": [{"kind": 2}]}]}),
            "shows the secret",
        ),
    ];
    let cases: Vec<_> = wrong
        .iter()
        .enumerate()
        .map(|(index, (members, _))| case(&format!("wrong {index}"), members.clone()))
        .collect();
    let outcome = played(&json!(cases), TRUE_TESTEE);
    assert_eq!((outcome.passed, outcome.failed.len()), (0, wrong.len()), "{:?}", outcome.failed);
    for ((name, _, problem), (_, reason)) in outcome.failed.iter().zip(&wrong) {
        assert!(problem.contains(reason), "{name}: {problem}");
    }
}

#[test]
fn a_case_after_a_failed_one_is_played_to_another_testee() {
    let failed = case("failed", json!({"steps": [get(json!({"token": "other"}))]}));
    let outcome = played(&json!([failed, case("true", json!({}))]), TRUE_TESTEE);
    assert_eq!((outcome.passed, outcome.failed.len()), (1, 1), "{:?}", outcome.failed);
}

/// A shell script in the place of a testee: the reason why it fails.
fn reason(script: &str) -> String {
    let mut outcome = played(&json!([case("true", json!({}))]), &["sh", "-c", script]);
    assert_eq!(outcome.passed + outcome.failed.len(), 1, "{:?}", outcome.failed);
    outcome.failed.remove(0).2
}

/// Says the same to everything.
fn always(line: &str) -> String {
    format!("while read -r _; do echo '{line}'; done")
}

#[test]
fn testees_that_do_not_do_their_work_fail() {
    for (script, word) in [
        (always(r#"{"ok":true}"#), "results"),
        (always(r#"{"unsupported":"get"}"#), "does not support"),
        (always(r#"{"error":{"status":2}}"#), "message"),
        (always("hello"), "hello"),
        ("exit 0".to_owned(), "testee"),
        ("read -r _; echo gone >&2; sleep 0.1; exit 3".to_owned(), "testee"),
    ] {
        let problem = reason(&script);
        assert!(problem.contains(word), "{script}: {problem}");
    }
}

#[test]
fn a_testee_that_shows_a_secret_fails() {
    let shown = r#"{"ok":true,"error":{"status":2,"message":"conformance-secret-0123","oauth_code":null,"http_status":0,"retryable":false,"retry_after_ms":-1}}"#;
    assert!(reason(&always(shown)).contains("shows the secret"));
}

/// The answers of a testee that does all that is asked in [`case`], without a library.
fn good(at_the_end: &str) -> String {
    let url = r#"s/.*"token_url":"\([^"]*\)".*/\1/p"#;
    format!(
        r#"while read -r line; do case $line in
            *'"do":"new"'*) url=$(echo "$line" | sed -n '{url}'); echo '{{"ok":true}}' ;;
            *'"do":"get"'*) curl -s -d scope=a "$url" >/dev/null
              echo '{{"results":[{{"token":"first-token","bearer":"Bearer first-token","header":"Authorization: Bearer first-token","scope":"a","expires_in_ms":1}}]}}' ;;
            *'"do":"events"'*) echo '{{"events":[]}}' ;;
            *) echo '{{"ok":true}}' ;;
        esac; done; {at_the_end}"#
    )
}

#[test]
fn how_a_testee_ends_counts_too() {
    let one = json!([case("true", json!({}))]);
    let ended = |end: &str| played(&one, &["sh", "-c", &good(end)]);
    assert_eq!(ended("exit 0").failed.len(), 0);
    for (end, word) in [("exit 1", "exit status: 1"), ("echo first-token >&2", "standard error")] {
        let outcome = ended(end);
        assert_eq!((outcome.passed, outcome.failed.len()), (1, 1), "{end}: {:?}", outcome.failed);
        assert!(outcome.failed[0].2.contains(word), "{:?}", outcome.failed);
    }
}

#[test]
fn the_wait_for_a_silent_testee_is_limited() {
    let vectors = tempfile::tempdir().unwrap();
    let cases = json!([case("true", json!({}))]);
    fs::write(vectors.path().join("cases.json"), cases.to_string()).unwrap();
    let command = ["sh", "-c", "cat >/dev/null"].map(str::to_owned).to_vec();
    let bound = Duration::from_millis(100);
    let suite = Suite { vectors: vectors.path().to_owned(), only: None, command, bound };
    assert!(suite.run().unwrap().failed[0].2.contains("no answer within"));
}

#[test]
fn a_directory_without_cases_is_no_success() {
    let command = TRUE_TESTEE.iter().map(|&word| word.to_owned()).collect();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let suite = Suite { vectors, only: None, command, bound: Duration::from_secs(20) };
    assert!(suite.run().is_err());
}
