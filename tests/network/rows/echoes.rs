//! Servers and proxies that repeat the secret, in every encoding, in every field. That no piece of it is
//! shown is checked for every row.

use tu_token::ErrorKind::{BadResponse, InvalidClient, InvalidScope, OAuth, Proxy, Server};

use super::raw;
use crate::leaks::{ENCODINGS, PROXY_PASSWORD, SECRET, TOKEN};
use crate::row::{Group, Row};
use crate::support::{Reply, answer};

/// The secret in every encoding, in this reply.
fn echoed(row: Row, reply: impl Fn(&str) -> Reply) -> Row {
    ENCODINGS.iter().fold(row, |row, (name, encode)| row.named(name, reply(&encode(SECRET))))
}

/// As it stands in JSON; escapes stay what they are.
fn quoted(text: &str) -> String {
    match text.starts_with("\\u") {
        true => format!("\"{text}\""),
        false => serde_json::to_string(text).unwrap(),
    }
}

fn json(status: u16, members: &str) -> Reply {
    answer(status, "Content-Type: application/json\r\n", &format!("{{{members}}}"))
}

/// As a value of a header field.
fn header(status: u16, name: &str, text: &str) -> Reply {
    answer(status, &format!("{name}: {text}\r\n"), "")
}

pub fn group() -> Group {
    let granted = r#""access_token":"t","expires_in":1200,"token_type":"Bearer""#;
    let rows = vec![
        echoed(Row::new("in `error`").status(OAuth).says("[remov"), |text| {
            json(400, &format!(r#""error":{}"#, quoted(text)))
        }),
        echoed(
            Row::new("in `error_description`").status(OAuth).refusal().says("refused the request"),
            |text| {
                let told = quoted(text);
                json(400, &format!(r#""error":"invalid_request","error_description":{told}"#))
            },
        ),
        echoed(
            Row::new("in `error_description`, behind other text")
                .status(InvalidClient)
                .refusal()
                .says("invalid_client"),
            |text| {
                let told = quoted(text);
                let told = format!("\"{}<{}>\"", "x".repeat(240), &told[1..told.len() - 1]);
                json(401, &format!(r#""error":"invalid_client","error_description":{told}"#))
            },
        ),
        echoed(
            Row::new("in `error_uri`").status(OAuth).refusal().says("invalid_request"),
            |text| {
                let told = quoted(text);
                json(400, &format!(r#""error":"invalid_request","error_uri":{told}"#))
            },
        ),
        echoed(Row::new("in the status line").status(Server).says("status 500"), |text| {
            raw(&format!("HTTP/1.1 500 {text}\r\nContent-Length: 0\r\n\r\n"))
        }),
        echoed(
            Row::new("in `WWW-Authenticate`").status(InvalidClient).refusal().says("status 401"),
            |text| header(401, "WWW-Authenticate", &format!("Basic realm=\"{text}\"")),
        ),
        echoed(Row::new("in `Content-Type`").status(BadResponse).says("is empty"), |text| {
            header(200, "Content-Type", &format!("text/plain; charset={text}"))
        }),
        echoed(Row::new("in `Content-Encoding`").status(BadResponse).says("is empty"), |text| {
            header(200, "Content-Encoding", text)
        }),
        echoed(
            Row::new("in `Location`, as its host").status(BadResponse).refusal().says("redirects"),
            |text| header(302, "Location", &format!("https://{text}.example/")),
        ),
        echoed(
            Row::new("in `Location`, as its path").status(BadResponse).refusal().says("redirects"),
            |text| header(302, "Location", &format!("https://trap.example/{text}?{text}")),
        ),
        echoed(
            Row::new("in `Retry-After`")
                .status(tu_token::ErrorKind::RateLimited)
                .says("asks to slow down"),
            |text| header(429, "Retry-After", text),
        ),
        echoed(Row::new("in a page").status(BadResponse).says("looks like a web page"), |text| {
            answer(200, "Content-Type: text/html\r\n", &format!("<html>{text}</html>"))
        }),
        echoed(Row::new("in an interim answer, and in the end of a chunked one").token(), |text| {
            let body = format!("{{{granted}}}");
            raw(&format!(
                "HTTP/1.1 103 {text}\r\nLink: {text}\r\n\r\nHTTP/1.1 200 {text}\r\n\
                     Transfer-Encoding: chunked\r\nSet-Cookie: {text}\r\n\r\n\
                     {:x};a=\"x\"\r\n{body}\r\n0\r\nX-A: x\r\n\r\n",
                body.len()
            ))
        }),
        echoed(Row::new("in `token_type`").status(BadResponse).says("token_type"), |text| {
            json(200, &format!(r#""access_token":"{TOKEN}","token_type":{}"#, quoted(text)))
        }),
        echoed(Row::new("in a member that is not known, or as its name").token(), |text| {
            let told = quoted(text);
            json(200, &format!(r#"{granted},"echo":{told},{told}:1"#))
        }),
        echoed(
            Row::new("in `scope`, with fewer scopes than requested")
                .status(InvalidScope)
                .refusal()
                .says("missing: \"a b\""),
            // Blanks separate scopes; quotes and backslashes are no part of one.
            |text| {
                let text = text.replace(['"', '\\', ' '], "");
                json(200, &format!(r#"{granted},"scope":"{text}""#))
            },
        ),
        echoed(Row::new("in `scope`, with more scopes than requested").token(), |text| {
            let text = text.replace(['"', '\\', ' '], "");
            json(200, &format!(r#"{granted},"scope":"a b {text}""#))
        }),
        ENCODINGS.iter().fold(
            Row::new("the proxy's password, by the proxy")
                .status(Proxy)
                .half_an_hour()
                .says("it refused user and password of its URL (status 407"),
            |row, (_, encode)| {
                let text = encode(PROXY_PASSWORD);
                let reply = format!(
                    "HTTP/1.1 407 {text}\r\nProxy-Authenticate: {text}\r\nVia: {text}\r\n\r\n{text}"
                );
                row.proxy("http", true, raw(&reply))
            },
        ),
    ];
    Group { heading: "Answers that repeat the secret", rows }
}
