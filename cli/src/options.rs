//! `tu-token options`: the option table, with what is in force now.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tu_token::{OPTIONS, OptionSpec};

use crate::arguments::Table;
use crate::failure::Failure;
use crate::output;
use crate::settings::{self, Settings, Source};

/// Stands for a secret.
const HIDDEN: &str = "(hidden)";

pub fn run(settings: &Settings, table: &Table) -> Result<(), Failure> {
    settings.warn();
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
        "secret": is_hidden(option, ""),
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

/// The value in force as it may be shown; `None`: there is none.
fn shown(settings: &Settings, option: &OptionSpec) -> Option<String> {
    match settings.value(option) {
        None => None,
        Some(value) if is_hidden(option, &value) => Some(HIDDEN.to_owned()),
        Some(value) if option.key == "token_url" => Some(without_query(&printable(&value))),
        Some(value) => Some(printable(&value)),
    }
}

fn printable(value: &str) -> String {
    value.chars().filter(|letter| !letter.is_control()).collect()
}

/// A URL as it may be shown: in its query a secret may stand.
pub fn without_query(url: &str) -> String {
    match url.split_once('?') {
        Some((rest, _)) => format!("{rest}?..."),
        None => url.to_owned(),
    }
}

/// URLs are secrets only if they hold user info.
fn is_hidden(option: &OptionSpec, value: &str) -> bool {
    match option.key {
        "token_url" | "proxy" | "store" => value.contains('@'),
        _ => option.secret,
    }
}
