//! `tu-token options`: the option table with the current values.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tu_token::{OPTIONS, OptionSpec, Secrecy};

use crate::arguments::Table;
use crate::failure::Failure;
use crate::settings::{self, Settings, Source};
use crate::{output, secrecy};

pub fn run(settings: &Settings, table: &Table) -> Result<(), Failure> {
    settings.warn();
    for (variable, option) in settings::misspelt() {
        output::say(&format!(
            "tu-token: warning: {variable} is not an option's variable: did you mean {}?",
            option.env_name()
        ));
    }
    if table.json {
        let options: Vec<Value> = OPTIONS.iter().map(|option| object(settings, option)).collect();
        return output::line(&format!("{:#}", Value::from(options)));
    }
    let text = if table.markdown { markdown() } else { columns(settings) };
    output::write(text.as_bytes())
}

fn object(settings: &Settings, option: &OptionSpec) -> Value {
    json!({
        "key": option.key,
        "flag": flag(option),
        "variable": option.env_name(),
        "default": settings::default(option),
        "value": shown(settings, option),
        "source": match settings.source(option) {
            Source::Flag => "flag",
            Source::Environment => "environment",
            Source::Default => "default",
        },
        "secret": option.secrecy == Secrecy::Secret,
        "meaning": option.meaning,
    })
}

fn columns(settings: &Settings) -> String {
    let rows: Vec<[String; 4]> = OPTIONS
        .iter()
        .map(|option| {
            let from = match settings.source(option) {
                Source::Flag => flag(option),
                Source::Environment => option.env_name(),
                Source::Default => "default".to_owned(),
            };
            let value = shown(settings, option).unwrap_or_else(|| "-".to_owned());
            [option.key.to_owned(), value, from, option.meaning.to_owned()]
        })
        .collect();
    let heads = ["OPTION", "VALUE", "FROM"];
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| {
            let longest = rows.iter().map(|row| row[column].chars().count()).max();
            longest.unwrap_or_default().max(heads[column].len())
        })
        .collect();
    let mut text = String::new();
    let mut line = |[key, value, from, meaning]: [&str; 4]| {
        let (first, second, third) = (widths[0], widths[1], widths[2]);
        let _ = writeln!(text, "{key:first$}  {value:second$}  {from:third$}  {meaning}");
    };
    line([heads[0], heads[1], heads[2], "MEANING"]);
    for row in &rows {
        line([&row[0], &row[1], &row[2], &row[3]]);
    }
    text
}

fn markdown() -> String {
    let mut text = String::from(
        "| option | flag | variable | default | meaning |\n| --- | --- | --- | --- | --- |\n",
    );
    for option in OPTIONS {
        let default = match settings::default(option) {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let (key, variable, meaning) = (option.key, option.env_name(), option.meaning);
        let _ = writeln!(
            text,
            "| `{key}` | `{}` | `{variable}` | {default} | {meaning} |",
            flag(option)
        );
    }
    text
}

fn flag(option: &OptionSpec) -> String {
    format!("--{}", option.key.replace('_', "-"))
}

/// The current value in a form that may be shown, if there is one.
fn shown(settings: &Settings, option: &OptionSpec) -> Option<String> {
    settings.value(option).map(|value| secrecy::shown(option, &value))
}
