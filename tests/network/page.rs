//! docs/network-faults.md, made of the table.

use std::fmt::Write as _;

use crate::row::{Ends, Expected, Group, Remembered};

/// What the page says above its tables.
const TOP: &str = "\
# Network faults

What a program meets if something is wrong between it and the token endpoint. Each row was tried with real sockets: by
a client that has no token, and by one that has.

**With a valid token** no fault reaches a caller. In the soft window the token is served immediately, whatever the
renewal in the background meets; in the hard margin a caller waits for the one attempt of the renewal and then gets
the token, or gets it at once if no request is allowed yet. How long it is until the next renewal is in the column
\"remembered\": where that is \"1 s\", about 5 s. What the soft window and the hard margin are:
[waits.md](waits.md).

**Without a token** the columns say what the caller gets.

- *requests*: those of the first fetch. After a failed fetch, the next one makes one request.
- *ends*: what bounds the call. \"at once\": nothing but the pauses between requests, 250 and 500 ms at most. Otherwise
  each request may take as long as the named option, and all of them together `fetch_timeout`. The
  caller's own `timeout` ends its wait earlier (`TU_TIMEOUT`).
- *remembered*: how long later calls get the same error at once, without a request. It doubles with each further
  failure; [errors.md](errors.md#which-answer-gives-which-status) has the limits.
- *memory*: the most that one request may hold, from its connection on, in KiB.
- *message*: a part of the error's text.

No error, event or debug output of any row contains five consecutive bytes of the client secret, the proxy's password
or a token, in any of the encodings under [Answers that repeat the secret](#answers-that-repeat-the-secret).

This page is generated: `UPDATE_DOCS=1 cargo test -p tu-token --test network`.
";

const HEAD: &str = "\
| fault | status | requests | ends | remembered | memory | message |
| --- | --- | --- | --- | --- | --- | --- |
";

/// The page as it must be.
fn page(groups: &[Group]) -> String {
    let mut page = TOP.to_owned();
    for Group { heading, rows } in groups {
        let _ = write!(page, "\n## {heading}\n\n{HEAD}");
        for row in rows {
            let Expected { status, requests, ends, remembered, kib, says } = &row.expected;
            let status = match status {
                None => "a token".to_owned(),
                Some(status) => format!("`{}`", status.name()),
            };
            let (ends, remembered) = (named(*ends), kept(*remembered));
            let says = says.trim().replace('|', "\\|").replace('<', "&lt;");
            let fault = row.fault;
            let _ = writeln!(
                page,
                "| {fault} | {status} | {requests} | {ends} | {remembered} | {kib} | {says} |"
            );
        }
    }
    page
}

fn named(ends: Ends) -> String {
    match ends {
        Ends::AtOnce => "at once".to_owned(),
        Ends::Connect => "`connect_timeout`".to_owned(),
        Ends::OneConnect => "`connect_timeout`, once".to_owned(),
        Ends::HalfConnect => "half of `connect_timeout`".to_owned(),
        Ends::Request => "`request_timeout`".to_owned(),
        Ends::Pause(seconds) => format!("after {seconds} s"),
    }
}

fn kept(remembered: Remembered) -> String {
    match remembered {
        Remembered::Not => String::new(),
        Remembered::Transient => "1 s".to_owned(),
        Remembered::Refusal => "60 s".to_owned(),
        Remembered::Seconds(seconds) => format!("{seconds} s, by the client"),
        Remembered::HalfAnHour => "30 min, by the process".to_owned(),
    }
}

/// Compares the page with the table.
pub fn check(groups: &[Group]) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/network-faults.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, page(groups)).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == page(groups),
        "docs/network-faults.md has drifted: run `UPDATE_DOCS=1 cargo test -p tu-token --test network`"
    );
}
