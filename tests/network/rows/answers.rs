//! Answers that are no token, and odd ones that are.

use std::time::Duration;

use tu_token::ErrorKind::{BadResponse, InvalidClient, InvalidScope, OAuth, Server};

use super::{JSON, bytes, raw, send};
use crate::row::{Ends, Group, Row};
use crate::scene::Scene;
use crate::support::{Reply, Step, answer, oauth_error};

const HTML: &str = "<html><title>Welcome to the hotel</title>Please log in</html>";
const OK: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn bad(fault: &'static str, says: &'static str) -> Row {
    Row::new(fault).status(BadResponse).says(says)
}

fn page(status: u16, headers: &str) -> Reply {
    answer(status, &format!("Content-Type: text/html\r\n{headers}"), HTML)
}

fn sized(length: &str) -> Reply {
    raw(&format!("{OK}Content-Length: {length}\r\n\r\n{JSON}"))
}

fn chunks(body: &str) -> Reply {
    raw(&format!("{CHUNKED}{body}"))
}

const GZIP: [u8; 20] = [31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 74, 76, 78, 78, 45, 46, 142, 47];

pub fn wrong() -> Group {
    let location = "Location: http://portal.example/login?from=steal\r\n";
    let gzip = [
        bytes(&format!("{OK}Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n")),
        GZIP.to_vec(),
    ];
    let rows = vec![
        bad("a captive portal redirects", "redirects (status 302) to http://portal.example;")
            .refusal()
            .answer(page(302, location)),
        bad("a captive portal answers with its page", "is a captive portal or a proxy in the way?")
            .named("typed", page(200, ""))
            .named("untyped", answer(200, "", HTML)),
        Row::new("a captive portal says so (status 511)")
            .status(Server)
            .says("status 511")
            .answer(page(511, "")),
        bad("403 without an OAuth error", "often a wrong secret").answer(answer(403, "", "")),
        bad("404 with a page", "does not answer as a token endpoint at /token/v2")
            .answer(page(404, "")),
        Row::new("5xx")
            .status(Server)
            .says("has a problem: status 50")
            .named("500", answer(500, "", ""))
            .named("502", page(502, ""))
            .named("503", answer(503, "", ""))
            .named("504", answer(504, "", "")),
        Row::new("`invalid_client`")
            .status(InvalidClient)
            .refusal()
            .says("refused the client id and secret: invalid_client")
            .named("401", oauth_error(401, "invalid_client"))
            .named("400", oauth_error(400, "invalid_client"))
            .named("200", oauth_error(200, "invalid_client")),
        Row::new("401 whose body never comes")
            .status(InvalidClient)
            .refusal()
            .ends(Ends::Request)
            .says("refused the client id and secret: status 401")
            .answer(vec![send("HTTP/1.1 401 X\r\nContent-Length: 50\r\n\r\n"), Step::Hang]),
        Row::new("503 whose body never comes")
            .status(Server)
            .ends(Ends::Request)
            .says("has a problem: status 503")
            .answer(vec![send("HTTP/1.1 503 X\r\nContent-Length: 9\r\n\r\n"), Step::Hang]),
        Row::new("`invalid_scope`")
            .status(InvalidScope)
            .refusal()
            .says("(asked for: a b)")
            .answer(oauth_error(400, "invalid_scope")),
        Row::new("`invalid_request`")
            .status(OAuth)
            .refusal()
            .says("refused the request")
            .answer(oauth_error(400, "invalid_request")),
        bad("HTTP/0.9: a body without a header", "is not HTTP").answer(raw(JSON)),
        bad("HTTP/2", "is not HTTP").answer(raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
        bad("another protocol", "is not HTTP")
            .named("ssh", raw("SSH-2.0-OpenSSH_9.9\r\n"))
            .named("smtp", raw("220 mail.example ESMTP\r\n"))
            .named("zeros", vec![Step::Send(vec![0; 4000])]),
        bad("TLS on the port", "TLS is spoken on this port; write https:// in token_url")
            .answer(vec![Step::Send(vec![0x15, 3, 3, 0, 2, 2, 70])]),
        bad("a status that is none", "is not HTTP")
            .named("words", raw("HTTP/1.1 twohundred OK\r\n\r\n"))
            .named("many digits", raw("HTTP/1.1 99999 OK\r\n\r\n")),
        bad("a header field that is none", "has invalid HTTP headers")
            .named("no colon", raw(&format!("{OK}no colon here\r\n\r\n{JSON}")))
            .named("NUL", raw(&format!("{OK}A\0B: c\r\n\r\n{JSON}")))
            .named("folded", raw(&format!("{OK}X-A: one\r\n  more\r\n\r\n{JSON}"))),
        bad("101: another protocol follows", "switches to another protocol")
            .answer(raw("HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")),
        bad("Content-Length below the body's length", "is cut off").answer(sized("30")),
        Row::new("Content-Length above the body's length").says("was cut off").answer(sized("90")),
        bad("Content-Length that is none", "has invalid HTTP headers")
            .named("negative", sized("-1"))
            .named("huge", sized("99999999999999999999999"))
            .named("hex", sized("0x3c"))
            .named("signed", sized("+60"))
            .named("empty", sized("")),
        bad("Content-Length twice, and different", "has invalid HTTP headers")
            .named("fields", sized("60\r\nContent-Length: 30"))
            .named("list", sized("60, 30")),
        bad("a chunk size that is none", "has an invalid chunked body")
            .named("letters", chunks(&format!("zz\r\n{JSON}\r\n0\r\n\r\n")))
            .named("negative", chunks(&format!("-3c\r\n{JSON}\r\n0\r\n\r\n")))
            .named("huge", chunks(&format!("ffffffffffffffffff\r\n{JSON}")))
            .named("empty", chunks(&format!("\r\n{JSON}\r\n0\r\n\r\n"))),
        bad("a chunk longer than its size", "has an invalid chunked body")
            .answer(chunks(&format!("5\r\n{JSON}\r\n0\r\n\r\n"))),
        bad("gzip that was not requested", "Content-Encoding: gzip")
            .named("gzip", vec![Step::Send(gzip.concat())])
            .named(
                "body never comes",
                vec![
                    send(&format!("{OK}Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n")),
                    Step::Hang,
                ],
            ),
        bad("a body that is empty, or no JSON object", "the answer of ")
            .named("empty", answer(200, "", ""))
            .named("array", answer(200, "", "[]"))
            .named("cut", answer(200, "", &JSON[..30]))
            .named("twice", answer(200, "", r#"{"access_token":"a","access_token":"b"}"#))
            .named("trailing", answer(200, "", &format!("{JSON}}}")))
            .named(
                "latin-1",
                vec![Step::Send(
                    [&bytes(&format!("{OK}Content-Length: 8\r\n\r\n")), &b"{\"a\":\"\xe9\""[..]]
                        .concat(),
                )],
            ),
        bad("no usable token in the JSON", "access_token")
            .named("none", answer(200, "", "{}"))
            .named("number", answer(200, "", r#"{"access_token":7}"#))
            .named("line break", answer(200, "", r#"{"access_token":"a\r\nb","expires_in":9}"#))
            .named(
                "17 KiB",
                answer(200, "", &format!(r#"{{"access_token":"{}"}}"#, "t".repeat(17 << 10))),
            ),
        bad("a lifetime that is none", "expires_in that is not a positive number")
            .named("zero", answer(200, "", r#"{"access_token":"t","expires_in":0}"#))
            .named("negative", answer(200, "", r#"{"access_token":"t","expires_in":-5}"#))
            .named("text", answer(200, "", r#"{"access_token":"t","expires_in":"1e3"}"#)),
        bad("a token that is not Bearer", "token_type").answer(answer(
            200,
            "",
            r#"{"access_token":"t","expires_in":9,"token_type":"DPoP"}"#,
        )),
        Row::new("fewer scopes than requested")
            .status(InvalidScope)
            .refusal()
            .says("granted less than requested; missing: \"b\"")
            .answer(answer(200, "", r#"{"access_token":"t","expires_in":9,"scope":"a"}"#)),
        bad("an `error` that is not a string", "does not answer as a token endpoint")
            .answer(answer(400, "", r#"{"error":{"code":400}}"#)),
    ];
    Group { heading: "Answers that are no token", rows }
}

pub fn odd(scene: &Scene) -> Group {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let sized = format!("{OK}Content-Length: {}\r\n\r\n{JSON}", JSON.len());
    let slow: Reply = sized
        .as_bytes()
        .chunks(20)
        .flat_map(|part| [Step::Send(part.to_vec()), Step::Wait(Duration::from_millis(5))])
        .collect();
    let hex = format!("{:x}", JSON.len());
    let rows = vec![
        Row::new("HTTP/1.0")
            .token()
            .named("sized", raw(&sized.replace("1.1", "1.0")))
            .named("until the end", raw(&format!("HTTP/1.0 200 OK\r\n\r\n{JSON}"))),
        Row::new("a body that lasts until the connection ends")
            .token()
            .named("close", raw(&format!("{OK}Connection: close\r\n\r\n{JSON}")))
            .named(
                "half-close",
                vec![send(&format!("{OK}\r\n{JSON}")), Step::HalfClose, Step::Hang],
            ),
        Row::new("a body that lasts until the connection ends, over TLS").token().tls(
            "without close_notify",
            &scene.config,
            vec![send(&format!("{OK}\r\n{JSON}")), Step::HalfClose],
        ),
        Row::new("the answer in many small pieces").token().answer(slow),
        Row::new("the connection stays open after the answer")
            .token()
            .named("sized", vec![send(&sized), Step::Hang])
            .named(
                "chunked",
                vec![send(&format!("{CHUNKED}{hex}\r\n{JSON}\r\n0\r\n\r\n")), Step::Hang],
            ),
        Row::new("more than the answer")
            .token()
            .named("sized", raw(&format!("{sized}and more")))
            .named("another answer", raw(&format!("{sized}HTTP/1.1 400 X\r\n\r\n"))),
        Row::new("up to 20 interim answers (1xx)")
            .token()
            .named("one", raw(&format!("{interim}{sized}")))
            .named("20", raw(&format!("{}{sized}", interim.repeat(20)))),
        Row::new("Content-Length twice, and equal").token().answer(raw(
            &sized.replace("\r\n\r\n", &format!("\r\nContent-Length: {}\r\n\r\n", JSON.len()))
        )),
        Row::new("chunks with extensions and a trailer")
            .token()
            .answer(chunks(&format!("{hex};a=b\r\n{JSON}\r\n0\r\nX-A: b\r\n\r\n"))),
        Row::new("no Content-Type, unknown members, a byte order mark").token().answer(answer(
            200,
            "",
            &format!("\u{feff}{}", JSON.replace('{', r#"{"x":[{}],"#)),
        )),
        Row::new("no lifetime").token().answer(answer(200, "", r#"{"access_token":"t"}"#)),
    ];
    Group { heading: "Odd answers that are a token", rows }
}
