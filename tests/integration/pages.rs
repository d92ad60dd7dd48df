//! Every block of code in the pages is run or compiled by some check, and this knows which.

use std::path::{Path, PathBuf};

/// Languages whose blocks are checked in every page, and what does it.
const EVERYWHERE: [(&str, &str, &str); 3] = [
    ("c", "tests/steps.sh", "code-blocks.sh c "),
    ("cpp", "tests/steps.sh", "code-blocks.sh cpp "),
    ("go", "tests/go/run.sh", "code-blocks.sh go "),
];
/// Python: where bindings/python/tests/documents.py looks.
const PYTHON: [&str; 3] = ["README.md", "docs/", "bindings/python/"];
/// Rust, page by page: the crate whose documentation has the page in it.
const RUST: [(&str, &str); 3] = [
    ("README.md", "src/lib.rs"),
    ("docs/testing.md", "src/lib.rs"),
    ("emulator/README.md", "emulator/src/lib.rs"),
];
/// Shell, page by page: the test that types what the page says.
const SHELL: [(&str, &str, &str); 7] = [
    ("docs/command.md", "cli/tests/integration/documents.rs", "command.md"),
    ("docs/deployment.md", "cli/tests/integration/documents.rs", "deployment.md"),
    ("docs/embedded.md", "cli/tests/integration/documents.rs", "embedded.md"),
    ("docs/getting-started.md", "cli/tests/integration/documents.rs", "getting-started.md"),
    ("docs/key-rotation.md", "cli/tests/integration/documents.rs", "key-rotation.md"),
    ("docs/testing.md", "cli/tests/integration/documents.rs", "testing.md"),
    ("emulator/README.md", "emulator/tests/integration/readme.rs", "README.md"),
];
/// Lines for a shell in other pages: how they begin, and what does the same.
const LINES: [(&str, &str, &str); 20] = [
    ("cargo install --locked --path cli", "cli/tests/integration/documents.rs", "cargo install"),
    ("tu-token ", "cli/tests/integration/documents.rs", "At the shell"),
    ("cc program.c $(pkg-config", "tests/install/run.sh", "pkg-config, shared"),
    ("cc -static program.c $(", "tests/install/static.sh", "fully static, tu_token_static"),
    ("PKG_CONFIG_SYSROOT_DIR=", "tests/install/sysroot.sh", "PKG_CONFIG_SYSROOT_DIR="),
    ("pkg-config --define-variable=prefix=", "tests/install/run.sh", "--define-variable=prefix="),
    ("go mod edit -require", "tests/go/run.sh", "go mod edit -replace"),
    ("go mod tidy", "tests/go/run.sh", "go mod tidy"),
    ("go build", "tests/go/run.sh", "go build -mod=vendor"),
    ("pip install ./bindings/python", "bindings/python/tests/install.sh", "./bindings/python"),
    ("cargo run --release --example fleet", "Makefile", "--example fleet"),
    ("pip install tu-token-cli ", "tests/dist/wheels.sh", "pip install"),
    ("pip install tu-token", "tests/dist/packages.sh", "pip install"),
    ("apt install ./tu-token_", "tests/dist/packages.sh", "apt-get install"),
    ("apt install ./libtu-token0_", "tests/dist/packages.sh", "./libtu-token0_*.deb"),
    ("tar -xzf libtu_token-", "tests/dist/places.sh", "tar -xzf"),
    ("go get ", "tests/dist/go.sh", "go get"),
    ("export GOPROXY=", "tests/dist/go.sh", "GOPROXY="),
    ("export PKG_CONFIG_PATH=", "tests/dist/library.sh", "pkg-config"),
    ("pip install --no-index --find-links dist/wheels", "tests/dist/wheels.sh", "--find-links"),
];
/// Lines that nothing can check before the project has a home: how they begin.
const HOMELESS: [&str; 1] = ["cargo add tu-token --git "];
/// What is no code: output, drawings, data and other programs' configuration; a recipe says itself that
/// it was not run, and a toolchain file is that of a board.
const NO_CODE: [&str; 6] = ["text", "json", "ini", "yaml", "bitbake", "cmake"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Pages of ours, by their paths from the root.
fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    let mut left = vec![PathBuf::new()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(root().join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let (name, kind) = (entry.file_name(), entry.file_type().unwrap());
            let name = name.to_str().expect("a name in UTF-8");
            let is_ours = !name.starts_with('.') && !["target", "node_modules"].contains(&name);
            let path = directory.join(name);
            if kind.is_dir() && is_ours {
                left.push(path);
            } else if kind.is_file() && name.ends_with(".md") {
                pages.push(path.to_str().expect("a path in UTF-8").to_owned());
            }
        }
    }
    pages
}

/// The blocks of a page: language and text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let text = format!("\n{page}");
    let parts: Vec<&str> = text.split("\n```").collect();
    // Every second part lies inside a fence.
    let inside = parts.iter().skip(1).step_by(2);
    inside
        .map(|block| block.split_once('\n').expect("a block has lines"))
        .map(|(opening, text)| {
            let language = opening.split([' ', ',']).next().unwrap_or_default();
            (language.to_owned(), text.to_owned())
        })
        .collect()
}

/// Whether a check is where it is said to be.
fn does(file: &str, text: &str) -> bool {
    read(file).contains(text)
}

fn is_known_line(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    if let Some(target) = line.strip_prefix("make ").and_then(|rest| rest.split(' ').next()) {
        return does("Makefile", &format!("\n{target}:"));
    }
    let is_script = first.contains('/') && root().join(first).is_file();
    is_script
        || HOMELESS.iter().any(|beginning| line.starts_with(beginning))
        || LINES.iter().any(|(beginning, by, text)| line.starts_with(beginning) && does(by, text))
}

/// What is wrong with a block, if anything is.
fn unchecked(page: &str, language: &str, text: &str) -> Option<String> {
    let of_page = |(its, by, text): &(&str, &str, &str)| *its == page && does(by, text);
    let is_checked = match language {
        "rust" => RUST.iter().any(|(its, by)| {
            let file = its.rsplit('/').next().unwrap_or_default();
            *its == page && does(by, &format!("{file}\")]"))
        }),
        "python" => PYTHON.iter().any(|place| page.starts_with(place)),
        "sh" if SHELL.iter().any(of_page) => true,
        "sh" => {
            let unknown = text.lines().find(|line| !line.is_empty() && !is_known_line(line));
            return unknown.map(|line| format!("{page}: no check types `{line}`"));
        }
        _ if NO_CODE.contains(&language) => true,
        _ => EVERYWHERE.iter().any(|(its, by, text)| *its == language && does(by, text)),
    };
    (!is_checked).then(|| format!("{page}: nothing checks a block of {language:?}"))
}

#[test]
fn no_block_of_code_is_left_unchecked() {
    let pages = pages();
    let blocks: Vec<(&String, String, String)> = pages
        .iter()
        .flat_map(|page| blocks(&read(page)).into_iter().map(move |(l, text)| (page, l, text)))
        .collect();
    assert!(pages.len() > 15 && blocks.len() > 50, "{} pages", pages.len());
    let problems: Vec<String> = blocks
        .iter()
        .filter_map(|(page, language, text)| unchecked(page, language, text))
        .collect();
    assert!(problems.is_empty(), "{problems:#?}");
    // The tables name nothing that is not there any more.
    for (page, ..) in SHELL.iter() {
        assert!(pages.iter().any(|found| found == page), "{page}");
    }
}

#[test]
fn a_block_that_nothing_checks_is_found() {
    assert!(unchecked("README.md", "ruby", "puts 1\n").is_some());
    assert!(unchecked("docs/errors.md", "rust", "fn main() {}\n").is_some());
    assert!(unchecked("docs/errors.md", "", "what is this\n").is_some());
    assert!(unchecked("README.md", "sh", "make tea\n").is_some());
    assert!(unchecked("README.md", "sh", "make demo\nrm -r /\n").is_some());
    assert!(unchecked("README.md", "sh", "make demo\n").is_none());
}

/// What a person copies: pages, helps, examples, scripts.
fn copied() -> Vec<String> {
    let mut left: Vec<PathBuf> =
        ["cli/src", "emulator/src", "examples", "scripts", "src", "bindings/python/tu_token"]
            .map(PathBuf::from)
            .into();
    let mut files = pages();
    while let Some(path) = left.pop() {
        if !root().join(&path).is_dir() {
            files.push(path.to_str().expect("a path in UTF-8").to_owned());
            continue;
        }
        let entries = std::fs::read_dir(root().join(&path)).unwrap();
        left.extend(entries.map(|entry| path.join(entry.unwrap().file_name())));
    }
    files
}

/// Everybody on a machine can read the arguments of its programs; and `curl -f` hides what an API says.
fn is_bad_habit(line: &str) -> bool {
    let is_curl = line.contains("curl ") || line.trim_start().starts_with('-');
    let shows = ["-H \"$(", "-H \"Authorization: Bearer $", "client_secret=$"];
    let hides = ["curl -sf", "curl -fs", "curl -f ", "curl -s -f", "curl -fS"];
    is_curl && shows.iter().chain(&hides).any(|part| line.contains(part))
}

#[test]
fn nothing_to_copy_shows_a_secret_in_the_list_of_processes() {
    let found: Vec<String> = copied()
        .iter()
        .filter_map(|file| Some((file, std::fs::read_to_string(root().join(file)).ok()?)))
        .flat_map(|(file, text)| {
            let lines: Vec<String> = text
                .lines()
                .filter(|line| is_bad_habit(line))
                .map(|line| format!("{file}: {line}"))
                .collect();
            lines
        })
        .collect();
    assert!(found.is_empty(), "{found:#?}");
    for bad in [
        "curl -H \"$(tu-token get --format header)\" https://iris.trackunit.com/",
        "  -H \"Authorization: Bearer $TRACKUNIT_TOKEN\" https://iris.trackunit.com/",
        "  --data-urlencode \"client_secret=$TRACKUNIT_CLIENT_SECRET\" \\",
        "curl -sf -H @- https://iris.trackunit.com/",
    ] {
        assert!(is_bad_habit(bad), "{bad}");
    }
}

/// The names by which a page's headings can be reached, as they are made on the web.
fn anchors(page: &str) -> Vec<String> {
    let headings = page
        .lines()
        .filter(|line| line.starts_with('#'))
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    headings
        .map(|heading| {
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        })
        .collect()
}

#[test]
fn what_the_guide_for_contributors_names_is_there() {
    let (page, steps) = (read("CONTRIBUTING.md"), read("tests/run.sh").to_lowercase());
    let text = prose(&page);
    let words = text.split('`').skip(1).step_by(2).filter_map(|code| code.split(' ').next());
    let is_made = |path: &str| ["target/", "dist/"].iter().any(|made| path.starts_with(made));
    let files: Vec<&str> = words.filter(|word| word.contains('/') && !is_made(word)).collect();
    let missing: Vec<&&str> = files.iter().filter(|file| !root().join(file).exists()).collect();
    assert!(files.len() > 30 && missing.is_empty(), "{missing:?} of {}", files.len());
    // Names of code stand in one of these files. `pause` is the option made up there.
    let sources: String =
        files.iter().filter(|file| root().join(file).is_file()).map(|file| read(file)).collect();
    let is_name = |code: &&str| code.chars().all(|c| c.is_alphanumeric() || c == '_');
    let mut names = text.split('`').skip(1).step_by(2).filter(is_name);
    let renamed = names.find(|name| *name != "pause" && !sources.contains(*name));
    assert_eq!(renamed, None, "no file that the guide names has this in it");
    let patterns = page.split("ONLY='").skip(1).filter_map(|rest| rest.split('\'').next());
    let mut parts = patterns.flat_map(|pattern| pattern.split('|')).filter(|part| *part != "...");
    let unknown = parts.find(|part| !steps.contains(&part.to_lowercase()));
    assert_eq!(unknown, None, "no step of tests/run.sh has this in its name");
}

/// A page without its blocks of code, where `](` is no link.
fn prose(page: &str) -> String {
    let text = format!("\n{page}");
    text.split("\n```").step_by(2).collect()
}

#[test]
fn links_between_the_pages_lead_somewhere() {
    let (mut links, mut headings) = (0, 0);
    for page in pages() {
        let directory = Path::new(&page).parent().unwrap_or(Path::new("")).to_owned();
        let text = read(&page);
        for rest in prose(&text).split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            if target.contains("://") {
                continue;
            }
            links += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = directory.join(file);
            assert!(root().join(&path).exists(), "{page}: {target}");
            if !heading.is_empty() {
                let led_to =
                    if file.is_empty() { text.clone() } else { read(path.to_str().unwrap()) };
                assert!(anchors(&led_to).iter().any(|it| it == heading), "{page}: {target}");
                headings += 1;
            }
        }
    }
    assert!(links > 40 && headings > 3, "{links} {headings}");
}
