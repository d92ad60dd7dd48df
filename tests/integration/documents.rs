//! The documents that say what the code says are compared with it.

mod architecture;

use std::fmt::Write as _;

/// What docs/options.md says above its table.
const OPTIONS_PAGE: &str = "\
# Options

The library in every language and the command share these options. Set them by key (`tu_config_set` in C,
`Builder::set` in Rust), as an environment variable, or as a flag of the command (`--client-id`). What a program sets
overrides the environment.

Durations are written `30`, `30s`, `250ms`, `20m` or `2h` (without a unit: seconds), from 1 ms to 24 h.

Defaults are the library's. The command's default for `store` is `file`, so that its runs share their tokens.

How long calls wait, when tokens are renewed and failed requests repeated: [waits.md](waits.md).

This page is generated: `UPDATE_DOCS=1 cargo test --test integration documents`.

| key | environment | default | meaning |
| --- | --- | --- | --- |
";

/// The page as it must be.
fn options_page() -> String {
    let mut page = String::from(OPTIONS_PAGE);
    for option in tu_token::OPTIONS {
        let default = match option.default {
            "" => String::new(),
            text => format!("`{text}`"),
        };
        let (key, variable, meaning) = (option.key, option.env_name(), option.meaning);
        let _ = writeln!(page, "| `{key}` | `{variable}` | {default} | {meaning} |");
    }
    page
}

#[test]
fn the_option_table_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/options.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, options_page()).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == options_page(),
        "docs/options.md has drifted: run `UPDATE_DOCS=1 cargo test -p tu-token --test integration documents`"
    );
}

#[test]
fn the_readme_names_the_tokens_as_the_service_does() {
    let page = include_str!("../../README.md");
    for name in ["API Tokens V2", "Scoped Tokens"] {
        assert!(page.contains(name), "{name}");
    }
}

#[test]
fn every_status_stands_in_the_page_on_errors() {
    let page = include_str!("../../docs/errors.md");
    for kind in tu_token::ErrorKind::ALL {
        let cells = format!("| `{}` | {} |", kind.name(), kind.status());
        assert!(page.contains(&cells), "docs/errors.md lacks a row that begins with {cells}");
    }
}

/// The header's numbers whose names begin like this: `TU_EVENT_` gives `FETCH_STARTED`, 1.
fn numbers(prefix: &'static str) -> impl Iterator<Item = (&'static str, i32)> {
    let lines = include_str!("../../include/tu_token.h").lines();
    lines.filter_map(move |line| {
        let (name, number) = line.trim().trim_end_matches(',').split_once(" = ")?;
        Some((name.strip_prefix(prefix)?, number.parse().ok()?))
    })
}

/// A status or event that is added to one language only would be an unknown number in the others.
#[test]
fn every_status_and_event_is_there_in_every_language() {
    let [errors, events, go_errors, go_events, names] = [
        include_str!("../../bindings/python/tu_token/_errors.py"),
        include_str!("../../bindings/python/tu_token/_events.py"),
        include_str!("../../bindings/go/status.go"),
        include_str!("../../bindings/go/event.go"),
        include_str!("../../src/ffi/event.rs"),
    ];
    let has = |file: &str, text: &str, number: i32| {
        let line = format!("{text} = {number}");
        file.lines()
            .any(|found| found.split("//").next().unwrap_or_default().trim().ends_with(&line))
    };
    let mut missing = Vec::new();
    let mut look = |name: &str, number: i32, places: [(&str, bool); 3]| {
        let lacking = places.iter().filter(|(_, is_there)| !is_there);
        missing.extend(lacking.map(|(place, _)| format!("{place}: {name} = {number}")));
    };
    let others = ["EVENT_", "STATE_", "SEVERITY_", "OK"];
    for (name, number) in
        numbers("TU_").filter(|(name, _)| !others.iter().any(|it| name.starts_with(it)))
    {
        let is_listed = tu_token::ErrorKind::ALL.iter().any(|kind| kind.status() == number);
        let (python, go) = (has(errors, name, number), has(go_errors, "Status", number));
        look(
            name,
            number,
            [("src/error.rs, ALL", is_listed), ("_errors.py", python), ("status.go", go)],
        );
    }
    for (name, number) in numbers("TU_EVENT_") {
        let is_named = names.contains(&format!("c\"TU_EVENT_{name}\""));
        let (python, go) = (has(events, name, number), has(go_events, "EventKind", number));
        look(
            name,
            number,
            [("src/ffi/event.rs", is_named), ("_events.py", python), ("event.go", go)],
        );
    }
    assert!(numbers("TU_EVENT_").count() > 10 && numbers("TU_").count() > 30, "the header is read");
    assert!(missing.is_empty(), "in include/tu_token.h, but not in {missing:#?}");
}

/// The bindings' own tests compare more, but have to build the library first.
#[test]
fn every_option_is_there_in_every_language() {
    let python_types = include_str!("../../bindings/python/tu_token/_types.py");
    let python = include_str!("../../bindings/python/tu_token/_options.py");
    let go = include_str!("../../bindings/go/config.go");
    let mut missing = Vec::new();
    for key in tu_token::OPTIONS.iter().map(|option| option.key) {
        let places = [
            ("bindings/python/tu_token/_types.py, Options", python_types, format!("\n    {key}: ")),
            (
                "bindings/python/tu_token/_options.py, _READERS",
                python,
                format!("\n    \"{key}\": "),
            ),
            ("bindings/go/config.go, options", go, format!("\n\t\t{{\"{key}\", ")),
        ];
        let lacking = places.iter().filter(|(_, file, text)| !file.contains(text));
        missing.extend(lacking.map(|(place, ..)| format!("{place}: {key}")));
    }
    assert!(missing.is_empty(), "options are missing: {missing:#?}");
}

/// The files whose public items are the crate's API.
const API: [&str; 13] = [
    "cache/entry.rs",
    "client/builder.rs",
    "client/future.rs",
    "client/hit.rs",
    "client/mod.rs",
    "client/wait.rs",
    "config/mod.rs",
    "config/options.rs",
    "credentials/mod.rs",
    "error.rs",
    "events.rs",
    "lib.rs",
    "token.rs",
];

#[test]
fn every_public_item_shows_how_it_is_used() {
    let (mut items, mut bare) = (0, Vec::new());
    for file in API {
        let path = format!("{}/src/{file}", env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read_to_string(path).unwrap();
        let (mut is_shown, mut is_hidden) = (false, false);
        for line in source.lines().map(str::trim_start) {
            let is_item = ["pub fn ", "pub const ", "pub struct ", "pub enum ", "pub static "]
                .iter()
                .any(|beginning| line.starts_with(beginning));
            if line.starts_with("/// ```") {
                is_shown = true;
            } else if line.contains("doc(hidden)") {
                is_hidden = true;
            } else if !line.starts_with("///") && !line.starts_with("#[") {
                if is_item && !is_hidden {
                    items += 1;
                    bare.extend((!is_shown).then(|| format!("{file}: {line}")));
                }
                (is_shown, is_hidden) = (false, false);
            }
        }
    }
    assert!(items > 60, "only {items} items found");
    assert!(bare.is_empty(), "without an example: {bare:#?}");
}
