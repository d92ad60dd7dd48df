//! Answers that have no end, or are made to cost memory.

use tu_token::ErrorKind::{BadResponse, Server};

use super::{JSON, bytes, raw, send};
use crate::row::{Group, Row};
use crate::support::{Step, answer};

const OK: &str = "HTTP/1.1 200 OK\r\n";

fn bad(fault: &'static str, says: &'static str) -> Row {
    Row::new(fault).status(BadResponse).says(says)
}

fn repeat(begin: &str, part: &str) -> Vec<Step> {
    vec![send(begin), Step::Repeat(bytes(&part.repeat(1 + 1024 / part.len())))]
}

pub fn group() -> Group {
    let deep =
        format!(r#"{{"x":{}{},"access_token":"t"}}"#, "[".repeat(20_000), "]".repeat(20_000));
    let members: String = (0..4000).map(|number| format!(r#""m{number}":0,"#)).collect();
    let many = JSON.replace('{', &format!("{{{members}"));
    let spaces = " ".repeat(1024);
    let in_chunks = format!("400\r\n{spaces}\r\n");
    let rows = vec![
        bad("more than 128 header fields", "more than 128")
            .answer(raw(&format!("{OK}{}\r\n{JSON}", "X-A: b\r\n".repeat(200)))),
        bad("a header over 16 KiB", "has too large headers")
            .named("one field", raw(&format!("{OK}X-A: {}\r\n\r\n{JSON}", "b".repeat(17 << 10))))
            .named(
                "100 fields",
                raw(&format!(
                    "{OK}{}\r\n{JSON}",
                    format!("X-A: {}\r\n", "b".repeat(200)).repeat(100)
                )),
            ),
        bad("a header without an end", " headers")
            .named("fields", repeat(OK, "X-More: and more\r\n"))
            .named("one line", repeat(&format!("{OK}X-A: "), "b"))
            .named("empty fields", repeat(OK, "a:\r\n"))
            .named("the status line", repeat("HTTP/1.1 200 ", "b")),
        bad("interim answers (1xx) without an end", "endless interim answers")
            .named("100", repeat("", "HTTP/1.1 100 Continue\r\n\r\n"))
            .named("103", repeat("", "HTTP/1.1 103 X\r\nA: b\r\n\r\n"))
            .named("one", repeat("HTTP/1.1 103 X\r\n", "X-More: and more\r\n")),
        bad("a body over 64 KiB", "is over 64 KiB")
            .named("told", vec![send(&format!("{OK}Content-Length: 65537\r\n\r\n")), Step::Hang])
            .named("a gigabyte", repeat(&format!("{OK}Content-Length: 1073741824\r\n\r\n"), " "))
            .named("without an end", repeat(&format!("{OK}\r\n"), " "))
            .named("chunks", repeat(&format!("{OK}Transfer-Encoding: chunked\r\n\r\n"), &in_chunks))
            .named(
                "a big chunk",
                repeat(&format!("{OK}Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n"), " "),
            ),
        bad("a chunk extension, or chunks of one byte, without an end", "chunked body")
            .named("extension", repeat(&format!("{OK}Transfer-Encoding: chunked\r\n\r\n3;"), "x")),
        Row::new("a refusal whose body has no end")
            .status(Server)
            .says("status 500")
            .answer(repeat("HTTP/1.1 500 X\r\n\r\n", " ")),
        Row::new("JSON of great depth in a member that is not known")
            .token()
            .answer(answer(200, "", &deep)),
        Row::new("JSON of many members").token().answer(answer(200, "", &many)),
        Row::new("a token of 16 KiB").token().answer(answer(
            200,
            "",
            &JSON.replace(r#""t""#, &format!("\"{}\"", "t".repeat(16 << 10))),
        )),
    ];
    Group { heading: "Answers without an end", rows }
}
