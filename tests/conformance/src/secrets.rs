//! The secrets of a case, which must not appear in errors, events or logs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The minimum length: shorter texts occur by chance.
const MIN_LENGTH: usize = 6;

/// All secrets in all encodings.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    hidden: Vec<String>,
}

impl Secrets {
    /// Adds a text, both verbatim and form-encoded.
    pub fn hide(&mut self, text: &str) {
        let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        for spelling in [text.to_owned(), encoded] {
            if spelling.len() >= MIN_LENGTH && !self.hidden.contains(&spelling) {
                self.hidden.push(spelling);
            }
        }
    }

    /// Adds a secret, including its form in Basic authentication.
    pub fn hide_pair(&mut self, id: &str, secret: &str) {
        self.hide(secret);
        let encoded =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        self.hide(&STANDARD.encode(format!("{id}:{secret}")));
        self.hide(&STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret))));
    }

    /// Adds the secrets in a request to the testee.
    pub fn hide_request(&mut self, request: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let options = &request["options"];
        for key in ["client_secret", "proxy", "params"] {
            self.hide(&text(&options[key]));
        }
        for (_, value) in form_urlencoded::parse(text(&options["params"]).as_bytes()) {
            self.hide(&value);
        }
        self.hide_pair(&text(&options["client_id"]), &text(&options["client_secret"]));
        for pair in request["credentials"].as_array().into_iter().flatten() {
            self.hide_pair(&text(&pair[0]), &text(&pair[1]));
        }
        if request["do"] == "rotate" {
            self.hide_pair(&text(&request["id"]), &text(&request["secret"]));
        }
    }

    /// Adds all secrets of another set.
    pub fn hide_all(&mut self, others: &Secrets) {
        for text in &others.hidden {
            self.hide(text);
        }
    }

    /// Checks a text for secrets.
    pub fn look_into(&self, text: &str, place: &str) -> Result<(), String> {
        match self.hidden.iter().find(|secret| text.contains(secret.as_str())) {
            Some(secret) => Err(format!("{place} shows the secret \"{secret}\": {text}")),
            None => Ok(()),
        }
    }

    /// Checks all texts of errors and events, except for the causes, which come from the program itself.
    pub fn look_into_answer(&self, answer: &Value) -> Result<(), String> {
        match answer {
            Value::Object(members) => {
                members.iter().try_for_each(|(name, value)| match name.as_str() {
                    "error" | "events" => self.look_into_all(name, value),
                    _ => self.look_into_answer(value),
                })
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.look_into_answer(item)),
            _ => Ok(()),
        }
    }

    fn look_into_all(&self, place: &str, value: &Value) -> Result<(), String> {
        match value {
            Value::String(text) => self.look_into(text, place),
            Value::Array(items) => {
                items.iter().try_for_each(|item| self.look_into_all(place, item))
            }
            Value::Object(members) => {
                members.iter().filter(|(name, _)| *name != "cause").try_for_each(|(name, value)| {
                    self.look_into_all(&format!("{place}.{name}"), value)
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.hide_pair("id", "a secret/1");
        secrets.hide("token-1");
        secrets
    }

    #[test]
    fn a_secret_is_found_in_every_spelling() {
        for text in [
            "x a secret/1",
            "client_secret=a+secret%2F1&",
            "Basic aWQ6YStzZWNyZXQlMkYx",
            "aWQ6YSBzZWNyZXQvMQ==",
            "token-1",
        ] {
            let found = json!({"results": [{"error": {"message": text}}]});
            assert!(secrets().look_into_answer(&found).is_err(), "{text}");
            assert!(secrets().look_into_answer(&json!({"events": [{"scope": text}]})).is_err());
        }
    }

    #[test]
    fn a_token_may_be_where_tokens_are() {
        let found = json!({"results": [{"token": "token-1"}, {"error": {"message": "fine"}}]});
        assert_eq!(secrets().look_into_answer(&found), Ok(()));
    }

    #[test]
    fn secrets_in_a_request_are_hidden() {
        let mut secrets = Secrets::default();
        secrets.hide_request(
            &json!({"options": {"client_secret": "one-secret", "params": "a=b&c=four%20secret"},
            "credentials": [["id", "two-secret"], null, "fail: open"]}),
        );
        secrets.hide_request(&json!({"do": "rotate", "id": "id", "secret": "three-secret"}));
        for text in ["one-secret", "two-secret", "three-secret", "four secret"] {
            assert!(secrets.look_into(text, "here").is_err(), "{text}");
        }
        assert!(secrets.look_into("id", "here").is_ok());
    }
}
