//! Who imports whom in `src/`, and who may: the table in `docs/architecture.md`.
//!
//! A module is what stands at the top of `src/`, with all below it. What is compiled for tests alone is
//! not looked at: it is found as the compiler finds files, from `lib.rs` on, past `#[cfg(test)]`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
const PAGE: &str = include_str!("../../../docs/architecture.md");
/// Surfaces, and test code that is compiled with a feature too: nobody imports them.
const NOBODYS: [&str; 4] = ["diagnosis", "ffi", "fuzzing", "simulation"];

type Imports = BTreeMap<String, BTreeSet<String>>;

/// The table's rows, in its order: a module, and whom it may import.
fn rows<'a>(page: &'a str) -> Vec<(&'a str, Vec<&'a str>)> {
    let table = page.split("## Who may import whom").nth(1).expect("the table's heading");
    let table = table.split("\n## ").next().expect("the table");
    table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let names = |cell: &'a str| cell.split('`').skip(1).step_by(2);
            let module = names(cells[0]).next().expect("a module");
            (module, names(cells[cells.len() - 1]).collect())
        })
        .collect()
}

#[test]
fn who_imports_whom_is_as_the_table_says() {
    let problems = problems(&rows(PAGE), &imports(Path::new(SRC)));
    assert!(problems.is_empty(), "docs/architecture.md, src/:\n{}", problems.join("\n"));
}

/// A row names rows above it alone, so there are no cycles.
fn problems(rows: &[(&str, Vec<&str>)], found: &Imports) -> Vec<String> {
    let mut problems = Vec::new();
    for (at, (module, allowed)) in rows.iter().enumerate() {
        let above: Vec<&str> = rows[..at].iter().map(|(other, _)| *other).collect();
        for other in allowed.iter().filter(|other| !above.contains(other)) {
            problems.push(format!("the row `{module}` names `{other}`, which is no row above it"));
        }
        for other in allowed.iter().filter(|other| NOBODYS.contains(other)) {
            problems.push(format!("the row `{module}` names `{other}`, which nobody imports"));
        }
        match found.get(*module) {
            None => problems.push(format!("the row `{module}` names no module: take it out")),
            Some(imports) => problems.extend(
                imports.iter().filter(|import| !allowed.contains(&import.as_str())).map(|import| {
                    format!("`{module}` imports `{import}`: its row does not say so")
                }),
            ),
        }
    }
    for module in found.keys().filter(|module| !rows.iter().any(|(row, _)| row == module)) {
        problems.push(format!("`{module}` has no row: put one below all that it imports"));
    }
    problems
}

#[test]
fn a_cycle_and_an_import_of_test_code_are_found() {
    let found = |imports: &[(&str, &[&str])]| -> Imports {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        imports.iter().map(|(module, names)| ((*module).to_owned(), owned(names))).collect()
    };
    let table = "## Who may import whom\n| module | | may import |\n| `a` | low | |\n\
                 | `b` | `x` | `a` |\n| `simulation` | | `a`, `b` |\n\n## Next\n| `c` | | `b` |\n";
    let rows = rows(table);
    let all = found(&[("a", &[]), ("b", &["a"]), ("simulation", &["b"])]);
    assert_eq!(problems(&rows, &all), [""; 0]);
    for (imports, problem) in [
        (found(&[("a", &["b"]), ("b", &["a"]), ("simulation", &[])]), "`a` imports `b`"),
        (found(&[("a", &[]), ("b", &["simulation"]), ("simulation", &[])]), "`b` imports `sim"),
        (found(&[("a", &[]), ("b", &[]), ("simulation", &[]), ("c", &[])]), "`c` has no row"),
        (found(&[("a", &[]), ("simulation", &[])]), "`b` names no module"),
    ] {
        let problems = problems(&rows, &imports);
        assert!(problems.len() == 1 && problems[0].contains(problem), "{problems:?}");
    }
    let backwards = [("a", vec!["b"]), ("b", vec![])];
    assert!(problems(&backwards, &found(&[("a", &[]), ("b", &[])]))[0].contains("no row above"));
}

#[test]
fn the_picture_shows_every_module_before_all_that_it_imports() {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/CONTRIBUTING.md"));
    let map = page
        .split("## The map")
        .nth(1)
        .and_then(|rest| rest.split("```").nth(1))
        .expect("a picture");
    let imports = imports(Path::new(SRC));
    let rows = map.lines().filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|'));
    let drawn: Vec<&str> =
        rows.flat_map(str::split_whitespace).filter(|word| imports.contains_key(*word)).collect();
    let mut sorted = drawn.clone();
    sorted.sort_unstable();
    assert!(sorted.iter().eq(imports.keys()), "each module once: {drawn:?}");
    for (at, module) in drawn.iter().enumerate() {
        let earlier: Vec<&&str> =
            drawn[..at].iter().filter(|it| imports[*module].contains(**it)).collect();
        assert!(earlier.is_empty(), "{module} imports {earlier:?}, which stand before it");
    }
}

// --- what the sources import -----------------------------------------------------------------

/// The top-level modules and whom each imports.
fn imports(src: &Path) -> Imports {
    let lib = production(&fs::read_to_string(src.join("lib.rs")).expect("lib.rs"));
    let reexported = reexported(&lib);
    let mut imports = Imports::new();
    for module in submodules(&lib) {
        let mut names = BTreeSet::new();
        for (text, depth) in files_of(src, &module) {
            names.extend(imported(&text, depth));
        }
        let owner = |name: String| reexported.get(&name).cloned().unwrap_or(name);
        let mut names: BTreeSet<String> = names.into_iter().map(owner).collect();
        names.remove(&module);
        imports.insert(module, names);
    }
    imports
}

/// The texts of a module's files, each with how many modules it stands below the root.
fn files_of(src: &Path, module: &str) -> Vec<(String, usize)> {
    let mut texts = Vec::new();
    let mut open = vec![(src.to_owned(), module.to_owned(), 1)];
    while let Some((directory, name, depth)) = open.pop() {
        let candidates = [format!("{name}.rs"), format!("{name}/mod.rs")];
        let file = candidates.iter().map(|file| directory.join(file)).find(|file| file.exists());
        let file: PathBuf = file.unwrap_or_else(|| panic!("{name} of {}", directory.display()));
        let text = production(&fs::read_to_string(&file).expect("readable"));
        let below = submodules(&text).into_iter();
        open.extend(below.map(|child| (directory.join(&name), child, depth + 1)));
        texts.push((text, depth));
    }
    texts
}

/// The names that follow `mod` and have a file of their own.
fn submodules(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let names = words.windows(2).filter(|pair| pair[0] == "mod").map(|pair| pair[1]);
    names.filter_map(|name| name.strip_suffix(';')).map(str::to_owned).collect()
}

/// What the root exports, and which module it is of.
fn reexported(lib: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for path in lib.split("pub use ").skip(1).filter_map(|rest| rest.split(';').next()) {
        let module = path.split("::").next().unwrap_or_default();
        for name in path.rsplit("::").next().unwrap_or_default().split([',', '{', '}']) {
            let name = name.split(" as ").last().unwrap_or_default().trim();
            names.insert(name.to_owned(), module.to_owned());
        }
    }
    names
}

/// The names right below the root that a file's paths lead to. `depth`: as many `super`s are the root.
fn imported(text: &str, depth: usize) -> Vec<String> {
    let mut names = Vec::new();
    for root in ["crate::".to_owned(), "super::".repeat(depth)] {
        for (at, _) in text.match_indices(&root) {
            let is_whole =
                !text[..at].ends_with(|c: char| c.is_alphanumeric() || "_$:".contains(c));
            let rest = &text[at + root.len()..];
            match rest.strip_prefix('{') {
                _ if !is_whole => {}
                Some(list) => names.extend(firsts(list)),
                None => names.extend(firsts(rest).into_iter().take(1)),
            }
        }
    }
    names.retain(|name| !["", "self", "super"].contains(&name.as_str()));
    names
}

/// The first names of the paths in a list, up to the brace that ends it.
fn firsts(list: &str) -> Vec<String> {
    let (mut names, mut depth, mut is_first) = (vec![String::new()], 0, true);
    for letter in list.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(String::new());
                is_first = true;
            }
            _ if !is_first || depth > 0 => {}
            _ if letter.is_alphanumeric() || letter == '_' => {
                names.last_mut().expect("one").push(letter);
            }
            _ if letter.is_whitespace() && names.last().is_some_and(String::is_empty) => {}
            _ => is_first = false,
        }
    }
    names
}

// --- what is compiled for more than tests ----------------------------------------------------

/// A file without comments, texts, and what is there for tests alone.
fn production(source: &str) -> String {
    let source = bare(source);
    let (mut kept, mut rest) = (String::new(), source.as_str());
    while let Some(at) = rest.find("#[cfg(") {
        let condition = &rest[at + "#[cfg(".len()..];
        let is_for_tests = condition.starts_with("test)") || condition.starts_with("all(test");
        let attribute = at + rest[at..].find(")]").expect("an attribute's end") + 2;
        kept.push_str(&rest[..if is_for_tests { at } else { attribute }]);
        rest = &rest[attribute..];
        if is_for_tests {
            rest = &rest[item(rest)..];
        }
    }
    kept + rest
}

/// Where the item ends that a text begins with, its other attributes included.
fn item(text: &str) -> usize {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        let is_end = match letter {
            ';' | ',' => depth == 0,
            '}' => depth <= 0,
            _ => false,
        };
        if is_end {
            return at + if depth < 0 { 0 } else { 1 };
        }
    }
    text.len()
}

/// A source without comments and without what stands in quotes.
fn bare(source: &str) -> String {
    let (mut kept, mut rest) = (String::new(), source);
    while let Some(letter) = rest.chars().next() {
        let skipped = match letter {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            'r' if !kept.ends_with(|c: char| c.is_alphanumeric() || c == '_') => raw_text(rest),
            '"' => quoted(rest, '"'),
            '\'' if is_character(rest) => quoted(rest, '\''),
            _ => 0,
        };
        if skipped == 0 {
            kept.push(letter);
        }
        rest = &rest[skipped.max(letter.len_utf8())..];
    }
    kept
}

/// The length of `r"..."` or `r#"..."#`; 0: it is none.
fn raw_text(text: &str) -> usize {
    let signs = text[1..].len() - text[1..].trim_start_matches('#').len();
    let start = 1 + signs + 1;
    let end = format!("\"{}", "#".repeat(signs));
    match text[1 + signs..].starts_with('"') {
        true => text[start..].find(&end).map_or(0, |at| start + at + end.len()),
        false => 0,
    }
}

/// A character, and no lifetime.
fn is_character(text: &str) -> bool {
    let mut letters = text.chars().skip(1);
    letters.next() == Some('\\') || letters.next() == Some('\'')
}

fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if letter == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn imports_are_read_as_they_are_written() {
    let source = r##"
        //! crate::comment
        use crate::{one::{x, crate_inner}, two, Three as T};
        use super::super::four;
        use crate::five::*;
        const SHOWN: &str = "crate::quoted { \" ";
        const RAW: &str = r#"crate::raw " { "#;
        fn f<'a>(c: char) -> bool { c == '{' || c == '\'' || crate::six() }
        #[cfg(test)]
        use crate::tested;
        #[cfg(all(test, not(feature = "__shuttle")))]
        #[path = "x.rs"]
        mod tests { use crate::also_tested; }
        #[cfg(any(test, feature = "capi"))]
        fn g() { crate::seven::x(macro_crate::no) }
        #[cfg(not(all(test, feature = "__shuttle")))]
        pub(crate) use crate::eight;
    "##;
    let found: BTreeSet<String> = imported(&production(source), 2).into_iter().collect();
    let expected = ["Three", "eight", "five", "four", "one", "seven", "six", "two"];
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(
        submodules(&production("mod a; #[cfg(test)] mod b; pub mod c; mod d {}")),
        ["a", "c"]
    );
    let lib = reexported("pub use a::b::{C, D}; pub use e::f as g;");
    let owned = |name: &str, module: &str| (name.to_owned(), module.to_owned());
    let some = [owned("C", "a"), owned("D", "a"), owned("g", "e")];
    assert!(some.iter().all(|(name, module)| lib.get(name) == Some(module)), "{lib:?}");
}

/// Names in code marks, in what the page tells of a get, a fetch and a fork, that none of the files linked there has.
fn unknown_names(walks: &str, read: impl Fn(&str) -> String) -> Vec<String> {
    let linked = walks.split("](../src/").skip(1).filter_map(|rest| rest.split(')').next());
    let code: String = linked.map(|file| production(&read(file))).collect();
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let words: BTreeSet<&str> = code.split(|letter| !is_part(letter)).collect();
    let names = walks.split('`').skip(1).step_by(2).filter_map(|name| name.split("::").last());
    names
        .filter(|name| name.chars().all(is_part) && !words.contains(name))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_walks_name_what_is_in_the_files_they_link_to() {
    let walks = PAGE.split_once("\n## A get\n").expect("the first walk").1;
    let walks = walks.split_once("\n## One entry point").expect("the end of the last walk").0;
    let read = |file: &str| match Path::new(SRC).join(file) {
        path if path.is_file() => fs::read_to_string(path).expect("a source"),
        path => panic!("docs/architecture.md links to {}", path.display()),
    };
    assert!(walks.matches("](../src/").count() > 20, "files are linked");
    assert_eq!(unknown_names(walks, read), [""; 0], "docs/architecture.md, in none of its files");
    let source = |_: &str| "impl A { fn b() {} } // c".to_owned();
    assert_eq!(unknown_names("`A::b`, `c` and `d-e` in [x](../src/x.rs)", source), ["c"]);
}

/// The map's lines for `src/` that name a directory or file which is not there.
#[test]
fn the_map_names_what_is_there() {
    let map = PAGE.split("```text\nsrc/\n").nth(1).and_then(|rest| rest.split("\ninclude/").next());
    let mut directory = Path::new(SRC).to_owned();
    let mut named = 0;
    for line in map.expect("the map").lines() {
        let words = line.split([' ', ',', ';', ':']).filter(|word| !word.is_empty());
        let is_place = |word: &&str| word.ends_with(".rs") || word.ends_with('/');
        for (at, word) in words.enumerate().filter(|(_, word)| is_place(word)) {
            if at == 0 && !line.starts_with("    ") {
                directory = Path::new(SRC).join(word.trim_end_matches(".rs"));
                assert!(Path::new(SRC).join(word).exists(), "{line}");
            } else {
                assert!(directory.join(word).exists(), "{line}");
            }
            named += 1;
        }
    }
    assert!(named > 30, "{named}");
}
