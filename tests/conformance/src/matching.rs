//! Compares expected and actual values.
//!
//! Expected objects name only the members that matter; other values must be equal. Instead of a value, a condition can be
//! given: `{"min": 1, "max": 2}` (or one of them), `{"contains": "text"}` (or a list of texts), `{"lacks": "text"}`,
//! `{"one_of": [..]}`, and for lists `{"count": 3, "each": ..}` (or one of them).

use serde_json::{Map, Value};

const WORDS: [&str; 7] = ["min", "max", "contains", "lacks", "one_of", "count", "each"];

/// Returns an error that describes the first difference and its place.
pub fn compare(expected: &Value, found: &Value) -> Result<(), String> {
    at("", expected, found)
}

fn at(place: &str, expected: &Value, found: &Value) -> Result<(), String> {
    match (expected, found) {
        (Value::Object(words), _) if is_condition(words) => {
            words.iter().try_for_each(|(word, bound)| condition(place, word, bound, found))
        }
        (Value::Object(members), Value::Object(all)) => {
            members.iter().try_for_each(|(name, expected)| {
                let found = all.get(name).unwrap_or(&Value::Null);
                at(&format!("{place}.{name}"), expected, found)
            })
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            expected.iter().zip(found).enumerate().try_for_each(|(index, (expected, found))| {
                at(&format!("{place}[{index}]"), expected, found)
            })
        }
        // Some languages write a whole number as 5.0.
        (Value::Number(_), Value::Number(_)) if expected.as_f64() == found.as_f64() => Ok(()),
        _ if expected == found => Ok(()),
        _ => wrong(place, expected, found),
    }
}

fn is_condition(words: &Map<String, Value>) -> bool {
    !words.is_empty() && words.keys().all(|word| WORDS.contains(&word.as_str()))
}

fn condition(place: &str, word: &str, bound: &Value, found: &Value) -> Result<(), String> {
    let number = |value: &Value| value.as_f64();
    let holds = match (word, bound) {
        ("min", _) => number(found).zip(number(bound)).is_some_and(|(found, least)| found >= least),
        ("max", _) => number(found).zip(number(bound)).is_some_and(|(found, most)| found <= most),
        ("contains", Value::String(text)) => found.as_str().is_some_and(|all| all.contains(text)),
        ("contains", Value::Array(texts)) => {
            return texts.iter().try_for_each(|text| condition(place, word, text, found));
        }
        ("lacks", Value::String(text)) => found.as_str().is_some_and(|all| !all.contains(text)),
        ("one_of", Value::Array(some)) => some.iter().any(|one| at(place, one, found).is_ok()),
        ("count", _) => {
            found.as_array().map(Vec::len) == bound.as_u64().map(|count| count as usize)
        }
        ("each", _) => {
            return match found {
                Value::Array(items) if !items.is_empty() => items
                    .iter()
                    .enumerate()
                    .try_for_each(|(index, item)| at(&format!("{place}[{index}]"), bound, item)),
                _ => wrong(place, bound, found),
            };
        }
        _ => return Err(format!("{place}: \"{word}\" cannot be {bound}: fix the case")),
    };
    if holds { Ok(()) } else { wrong(place, &serde_json::json!({ word: bound }), found) }
}

fn wrong(place: &str, expected: &Value, found: &Value) -> Result<(), String> {
    let place = place.trim_start_matches('.');
    let place = if place.is_empty() { "the answer" } else { place };
    Err(format!("{place}: expected {}, found {}", short(expected), short(found)))
}

/// A value as text, shortened if it is too long to read.
pub fn short(value: &Value) -> String {
    const MAX_LENGTH: usize = 600;
    let text = value.to_string();
    match text.char_indices().nth(MAX_LENGTH) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fits(expected: Value, found: Value) -> bool {
        compare(&expected, &found).is_ok()
    }

    #[test]
    fn named_members_count_and_others_do_not() {
        assert!(fits(json!({"a": 1}), json!({"a": 1, "b": 2})));
        assert!(!fits(json!({"a": 1}), json!({"a": 2, "b": 2})));
        assert!(!fits(json!({"a": 1}), json!({"b": 1})));
        assert!(!fits(json!({"a": 1}), json!("a")));
        assert!(fits(json!({"a": null}), json!({})));
        assert!(!fits(json!({"a": null}), json!({"a": 1})));
    }

    #[test]
    fn lists_are_compared_one_by_one() {
        assert!(fits(json!([{"a": 1}, 2]), json!([{"a": 1, "b": 0}, 2])));
        assert!(!fits(json!([1]), json!([1, 1])));
        assert!(!fits(json!([1, 1]), json!([1])));
        assert!(!fits(json!([]), json!([1])));
    }

    #[test]
    fn whole_numbers_may_be_written_either_way() {
        assert!(fits(json!(5), json!(5.0)));
        assert!(!fits(json!(5), json!(5.1)));
        assert!(!fits(json!(5), json!("5")));
    }

    #[test]
    fn bounds_include_their_ends() {
        let range = json!({"min": 1, "max": 2});
        assert!(fits(range.clone(), json!(1)) && fits(range.clone(), json!(2.0)));
        for outside in [json!(0.9), json!(2.1), json!("1"), json!(null)] {
            assert!(!fits(range.clone(), outside.clone()), "{outside}");
        }
    }

    #[test]
    fn texts_contain_or_lack() {
        assert!(fits(json!({"contains": ["b", "c"], "lacks": "x"}), json!("abcd")));
        assert!(!fits(json!({"contains": ["b", "x"]}), json!("abcd")));
        assert!(!fits(json!({"lacks": "b"}), json!("abcd")));
        assert!(!fits(json!({"lacks": "b"}), json!(null)));
        assert!(fits(json!({"one_of": [null, "a"]}), json!(null)));
        assert!(!fits(json!({"one_of": [null, "a"]}), json!("b")));
    }

    #[test]
    fn every_item_of_a_list_and_how_many() {
        let expected = json!({"count": 2, "each": {"token": "t"}});
        assert!(fits(expected.clone(), json!([{"token": "t"}, {"token": "t"}])));
        assert!(!fits(expected.clone(), json!([{"token": "t"}, {"token": "u"}])));
        assert!(!fits(expected.clone(), json!([{"token": "t"}])));
        assert!(!fits(json!({"each": 1}), json!([])));
        assert!(!fits(expected, json!(null)));
    }

    #[test]
    fn an_invalid_condition_is_reported() {
        assert!(compare(&json!({"contains": 5}), &json!("5")).unwrap_err().contains("fix"));
    }

    #[test]
    fn the_place_is_named() {
        let found = compare(&json!({"a": [{"b": 1}]}), &json!({"a": [{"b": 2}]})).unwrap_err();
        assert_eq!(found, "a[0].b: expected 1, found 2");
    }
}
