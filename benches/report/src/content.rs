//! What the page shows: its tables, charts and targets.

use crate::bars::Bars;
use crate::curves::Curves;
use crate::shown::label;
use crate::tables::Table;
use crate::targets::{Bound, Place, Target};

fn threads(at: f64) -> String {
    counted(at, "thread")
}

fn counted(at: f64, what: &str) -> String {
    if at == 1.0 { format!("1 {what}") } else { format!("{at} {what}s") }
}

fn nothing(_: f64) -> String {
    String::new()
}

fn is_ours(name: &str) -> bool {
    [
        "tu_token",
        "tu-token",
        "tutoken",
        "client.",
        "await client.",
        "C++: client",
        "the same",
        "copy,",
        "get,",
        "threads in",
        "calls of",
    ]
    .iter()
    .any(|start| name.starts_with(start))
}

const fn table(group: &'static str, column: fn(f64) -> String, main: &'static str) -> Table {
    Table { group, column, is_ours, main, floors: &[] }
}

/// By the groups of their rows.
pub const TABLES: [Table; 15] = [
    table("c", threads, "tu_token_copy"),
    table("rust", threads, "tu-token: Client::token"),
    table("go", threads, "tutoken: Token"),
    Table {
        floors: &["time.monotonic(), for comparison", "await a bare async def, for comparison"],
        ..table("python", nothing, "client.token()")
    },
    table("tls: first", nothing, "tu-token, C"),
    table("tls: further fetch", nothing, "tu-token, C"),
    table("tls: further client", nothing, "tu-token, C"),
    table("cold clients: processor time", clients, "tu-token, C"),
    table("cold clients: real time", clients, "tu-token, C"),
    table("crowd: all", callers, "threads in tu_token_get"),
    Table { floors: &["bare futex"], ..table("crowd: waking", callers, "threads in tu_token_get") },
    table("crowd: requests", callers, "threads in tu_token_get"),
    table("fleet: mean", fleet, "simulated"),
    table("fleet: peak", fleet, "simulated"),
    table("fleet: recovery", fleet, "simulated"),
];

fn fleet(at: f64) -> String {
    label(&at)
}

fn callers(at: f64) -> String {
    counted(at, "caller")
}

fn clients(at: f64) -> String {
    counted(at, "client")
}

pub const BARS: [Bars; 5] = [
    bars("c", "performance-c.svg", "A cache hit in C and C++, ns (logarithmic)"),
    bars("rust", "performance-rust.svg", "A cache hit in Rust, ns (logarithmic)"),
    bars("go", "performance-go.svg", "A cache hit in Go, ns (logarithmic)"),
    bars("python", "performance-python.svg", "A cache hit in Python, ns (logarithmic)"),
    bars("tls: first", "performance-first.svg", "The first token of a process, ms (logarithmic)"),
];

const fn bars(group: &'static str, file: &'static str, title: &'static str) -> Bars {
    Bars { group, file, title, place: threads }
}

const A_HIT: &str = "ns of a processor for a hit";

pub const CURVES: [Curves; 8] = [
    curves("threads", "A hit against the number of threads", "threads", A_HIT),
    curves(
        "clients",
        "A hit against the number of clients, asked in random order",
        "clients",
        A_HIT,
    ),
    curves("scopes", "A hit for one of many scopes, asked in turn", "scopes", A_HIT),
    curves("sizes", "A hit against the length of the token", "bytes of the token", A_HIT),
    curves("memory of a client", "Memory of a client with its token", "clients", "KiB a client"),
    curves("fleet: mean", "A fleet's requests, mean of the calm minutes", "clients", PER_MINUTE),
    curves(
        "fleet: peak",
        "A fleet's busiest minute after an outage of 2 hours",
        "clients",
        PER_MINUTE,
    ),
    curves("fleet: recovery", "Until 99 % have a token after an outage of 2 hours", "clients", "s"),
];

const PER_MINUTE: &str = "requests a minute of 1,000 clients";

const fn curves(
    group: &'static str,
    title: &'static str,
    grows: &'static str,
    figure: &'static str,
) -> Curves {
    Curves { group, title, grows, figure }
}

const C_HAND: Place = ("c", "by hand: mutex, clock, copy", 1.0);
const C_COPY: Place = ("c", "tu_token_copy", 1.0);
const C_GET: Place = ("c", "tu_token_get + bearer + tu_free", 1.0);
const C_SCOPE: Place = ("c", "get, a named scope", 1.0);
const C_SCOPES: Place = ("c", "get, a named one of 100", 1.0);
const RUST_HAND: Place = ("rust", "mutex, copied out", 1.0);
const RUST_WITH: Place = ("rust", "tu-token: Client::with_token", 1.0);
const RUST_TOKEN: Place = ("rust", "tu-token: Client::token", 1.0);
const MONOTONIC: Place = ("python", "time.monotonic(), for comparison", 1.0);
const GO_PEER: Place = ("go", "x/oauth2: ReuseTokenSource", 1.0);
const GO_TOKEN: Place = ("go", "tutoken: Token", 1.0);
const GO_SCOPE: Place = ("go", "tutoken: TokenFor a scope", 1.0);

const fn with_two(place: Place) -> Place {
    (place.0, place.1, 2.0)
}

/// From one thread to two, at most a tenth more.
const fn flat(place: Place) -> Target {
    Target("the same with 2 threads", with_two(place), Bound::Times(place, 1.1))
}

pub const TARGETS: [Target; 35] = [
    Target("C: `tu_token_copy`", C_COPY, Bound::Times(C_HAND, 0.75)),
    flat(C_COPY),
    Target("C: `tu_token_get`, `tu_token_bearer`, `tu_free`", C_GET, Bound::Times(C_HAND, 1.0)),
    flat(C_GET),
    Target("C: the same for a named scope", C_SCOPE, Bound::Times(C_HAND, 1.3)),
    flat(C_SCOPE),
    Target("C: the same for a scope among 100", C_SCOPES, Bound::Times(C_HAND, 1.3)),
    flat(C_SCOPES),
    Target("Rust: `with_token`", RUST_WITH, Bound::Times(RUST_HAND, 0.6)),
    flat(RUST_WITH),
    Target("Rust: `token`", RUST_TOKEN, Bound::Times(RUST_HAND, 0.9)),
    flat(RUST_TOKEN),
    Target("Python: `token()`", ("python", "client.token()", 1.0), Bound::Times(MONOTONIC, 1.1)),
    Target(
        "Python: `token(\"asset.view\")`",
        ("python", "client.token(\"asset.view\")", 1.0),
        Bound::Times(MONOTONIC, 1.7),
    ),
    Target("Python: `get()`", ("python", "client.get()", 1.0), Bound::Times(MONOTONIC, 2.7)),
    Target(
        "Python: `await token_async()`",
        ("python", "await client.token_async()", 1.0),
        Bound::Times(("python", "await a bare async def, for comparison", 1.0), 1.6),
    ),
    Target("Go: `Token`", GO_TOKEN, Bound::Times(GO_PEER, 0.85)),
    flat(GO_TOKEN),
    Target("Go: `TokenFor`", GO_SCOPE, Bound::Times(GO_PEER, 1.0)),
    flat(GO_SCOPE),
    Target(
        "64 threads, cold, answer after 200 ms: requests",
        ("crowd: requests", "threads in tu_token_get", 64.0),
        Bound::AtMost(1.0),
    ),
    Target(
        "the same: until all have the token",
        ("crowd: all", "threads in tu_token_get", 64.0),
        Bound::AtMost(205.0),
    ),
    Target(
        "10,000 asynchronous calls, answer after 200 ms",
        ("crowd: all", "calls of tu_token_get_async", 10_000.0),
        Bound::AtMost(300.0),
    ),
    Target(
        "10,000 threads: from the first that wakes to the last",
        ("crowd: waking", "threads in tu_token_get", 10_000.0),
        Bound::Times(("crowd: waking", "bare futex", 10_000.0), 1.3),
    ),
    Target(
        "first token, TLS, system's trust store",
        ("tls: first", "tu-token, C", 1.0),
        Bound::AtMost(2.2),
    ),
    Target("a further fetch", ("tls: further fetch", "tu-token, C", 1.0), Bound::AtMost(1.0)),
    Target("a further client", ("tls: further client", "tu-token, C", 1.0), Bound::AtMost(1.0)),
    Target(
        "1,000 cold clients, TLS: processor time of each",
        ("cold clients: processor time", "tu-token, C", 1000.0),
        Bound::AtMost(1.3),
    ),
    Target("loading the library", ("start", "load the shared library", 1.0), Bound::AtMost(0.3)),
    Target(
        "the same: memory",
        ("start", "load the shared library: memory", 1.0),
        Bound::AtMost(614.0),
    ),
    Target("`import tu_token`", ("start", "import tu_token", 1.0), Bound::AtMost(3.0)),
    Target("the same: memory", ("start", "import tu_token: memory", 1.0), Bound::AtMost(4096.0)),
    Target(
        "`tu-token get` from the file store",
        ("start", "tu-token get, token in the file store", 1.0),
        Bound::AtMost(1.5),
    ),
    Target(
        "memory of a client, its token of 900 bytes included",
        ("memory of a client", "client with a token of 900 bytes", 10_000.0),
        Bound::AtMost(2.9),
    ),
    Target(
        "stripped shared library",
        ("size", "libtu_token.so, stripped", 1.0),
        Bound::AtMost(2.2),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The programs that write the rows.
    const PROGRAMS: [&str; 10] = [
        include_str!("../../build.sh"),
        include_str!("../../cold/crowd.c"),
        include_str!("fleet/main.rs"),
        include_str!("../../go/main.go"),
        include_str!("../../growth/clients.c"),
        include_str!("../../hit.c"),
        include_str!("../../measure.sh"),
        include_str!("../../python/hit.py"),
        include_str!("../../python/start.py"),
        include_str!("../../readers.rs"),
    ];

    #[test]
    fn every_row_of_a_target_is_written_by_a_program() {
        let rows = TARGETS.iter().flat_map(|target| {
            let other = match target.2 {
                Bound::Times((_, name, _), _) => name,
                Bound::AtMost(_) => target.1.1,
            };
            [target.1.1, other]
        });
        for row in rows.chain(TABLES.iter().map(|table| table.main)) {
            assert!(
                PROGRAMS.iter().any(|program| program.contains(row)),
                "no program has a row `{row}`"
            );
        }
    }
}
