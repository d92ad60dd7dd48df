//! The documents that say what the code says are compared with it.

#[path = "documents/architecture.rs"]
mod architecture;

use std::fmt::Write as _;

/// The option table as docs/options.md shows it.
fn option_table() -> String {
    let mut page = String::from(
        "# Options\n\nOne list for every surface. In C the key of `tu_config_set`, in Rust of \
         `Builder::set`; each is also an environment variable, and a flag of the command \
         (`--client-id`). Durations are written `30`, `30s`, \
         `250ms`, `20m` or `2h` (without a unit: seconds), from 1 ms to 24 h. What the program sets \
         wins over the environment. Defaults are the library's; the command `tu-token` has `file` for `store`, \
         so that its runs share their tokens.\n\nHow long a call waits, when a token is renewed and when a \
         failed request is made again: [waits.md](waits.md).\n\nThis page is generated: `UPDATE_DOCS=1 cargo test --test \
         documents`.\n\n| key | environment | default | meaning |\n| --- | --- | --- | --- |\n",
    );
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
        std::fs::write(path, option_table()).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == option_table(), "docs/options.md has drifted: see its fourth paragraph");
}

#[test]
fn the_readme_names_the_tokens_as_the_service_does() {
    let page = include_str!("../README.md");
    for name in ["API Tokens V2", "Scoped Tokens"] {
        assert!(page.contains(name), "{name}");
    }
}

#[test]
fn every_status_stands_in_the_page_on_errors() {
    let page = include_str!("../docs/errors.md");
    for kind in tu_token::ErrorKind::ALL {
        let cells = format!("| `{}` | {} |", kind.name(), kind.status());
        assert!(page.contains(&cells), "{cells}");
    }
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
