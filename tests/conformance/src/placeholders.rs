//! `${...}` in the texts of a case: values known only at run time, and those that differ between rows.

use serde_json::{Map, Value};

/// The placeholders that a case may use, with their values.
pub type Names = Map<String, Value>;

/// A copy of `value` with all placeholders replaced, including in member names.
pub fn filled(value: &Value, names: &Names) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => filled_text(text, names)?,
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| filled(item, names)).collect::<Result<_, _>>()?)
        }
        Value::Object(members) => {
            let mut all = Map::new();
            for (name, member) in members {
                let name = match filled_text(name, names)? {
                    Value::String(name) => name,
                    other => return Err(format!("{other} cannot be a member's name")),
                };
                all.insert(name, filled(member, names)?);
            }
            Value::Object(all)
        }
        other => other.clone(),
    })
}

/// Replaces placeholders in a text. A text that is a single placeholder becomes its value, of any type.
fn filled_text(text: &str, names: &Names) -> Result<Value, String> {
    let whole = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    if let Some(name) = whole.filter(|name| !name.contains('}')) {
        return meaning(name, names);
    }
    let (mut done, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after.split_once('}').ok_or(format!("\"{text}\" lacks a }}"))?;
        done.push_str(before);
        match meaning(name, names)? {
            Value::String(meaning) => done.push_str(&meaning),
            other => done.push_str(&other.to_string()),
        }
        rest = behind;
    }
    Ok(Value::String(done + rest))
}

/// The value of `name`, or for `text*times` the text repeated.
fn meaning(name: &str, names: &Names) -> Result<Value, String> {
    if let Some((text, Ok(times))) = name.rsplit_once('*').map(|(text, n)| (text, n.parse())) {
        return Ok(Value::String(text.repeat(times)));
    }
    names.get(name).cloned().ok_or_else(|| format!("unknown placeholder \"${{{name}}}\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names() -> Names {
        json!({"url": "http://x", "status": 401}).as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_whole_text_takes_the_type_of_what_it_stands_for() {
        let found = filled(&json!({"a": ["${status}", "s ${status} ${url}/"]}), &names());
        assert_eq!(found, Ok(json!({"a": [401, "s 401 http://x/"]})));
    }

    #[test]
    fn texts_can_be_repeated() {
        assert_eq!(filled(&json!("<${ab*3}>"), &names()), Ok(json!("<ababab>")));
    }

    #[test]
    fn unknown_names_are_mistakes() {
        for text in ["${none}", "a ${none}", "a ${url"] {
            assert!(filled(&json!(text), &names()).is_err(), "{text}");
        }
    }
}
