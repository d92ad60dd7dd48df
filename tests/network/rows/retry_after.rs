//! `Retry-After` in all forms.

use std::time::{Duration, SystemTime};

use tu_token::ErrorKind::{RateLimited, Server};

use super::JSON;
use crate::row::{Ends, Group, Row, Way};
use crate::support::{Reply, answer};

fn limited(wait: &str) -> Reply {
    answer(429, wait, "")
}

/// A date, with the server's own clock beside it.
fn dated(at: &str) -> Reply {
    limited(&format!("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: {at}\r\n"))
}

pub fn group() -> Group {
    let none = |fault| Row::new(fault).status(RateLimited).says("asks to slow down");
    let ahead = || {
        let at = SystemTime::now() + Duration::from_secs(125);
        limited(&format!("Retry-After: {}\r\n", httpdate::fmt_http_date(at)))
    };
    let rows = vec![
        none("429 without `Retry-After`").answer(limited("")),
        Row::new("`Retry-After: 1`, then a token")
            .token()
            .requests(2)
            .ends(Ends::Pause(1))
            .scripted("", Way::Plain, |before| match before {
                0 => limited("Retry-After: 1\r\n"),
                _ => answer(200, "", JSON),
            }),
        none("seconds")
            .seconds(120)
            .named("429", limited("Retry-After: 120\r\n"))
            .named("503", answer(503, "Retry-After:  120 \r\n", "")),
        none("a date")
            .seconds(120)
            .named("IMF", dated("Sun, 06 Nov 1994 08:51:37 GMT"))
            .named("RFC 850", dated("Sunday, 06-Nov-94 08:51:37 GMT"))
            .named("asctime", dated("Sun Nov  6 08:51:37 1994")),
        none("a date, by this machine's clock")
            .seconds(125)
            .scripted("", Way::Plain, move |_| ahead()),
        none("a date that is past, or 0")
            .named("past", dated("Sun, 06 Nov 1994 08:49:36 GMT"))
            .named("long past", limited("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n"))
            .named("0", limited("Retry-After: 0\r\n")),
        none("more than 15 minutes")
            .seconds(900)
            .named("seconds", limited("Retry-After: 86400\r\n"))
            .named("64 bits", limited("Retry-After: 18446744073709551616\r\n"))
            .named("date", dated("Fri, 31 Dec 9999 23:59:59 GMT")),
        none("negative, or malformed")
            .named("negative", limited("Retry-After: -120\r\n"))
            .named("fraction", limited("Retry-After: 1.5\r\n"))
            .named("word", limited("Retry-After: soon\r\n"))
            .named("date", limited("Retry-After: Sun, 99 Nov 1994 08:49:37 GMT\r\n"))
            .named("empty", limited("Retry-After: \r\n"))
            .named("unit", limited("Retry-After: 120s\r\n"))
            .named("bytes", limited("Retry-After: \u{e9}\r\n")),
        none("twice: the longest counts")
            .seconds(120)
            .named("longest first", limited("Retry-After: 120\r\nRetry-After: 60\r\n"))
            .named("longest last", limited("Retry-After: 60\r\nRetry-After: 120\r\n"))
            .named("one malformed", limited("Retry-After: soon\r\nRetry-After: 120\r\n"))
            .named("list", limited("Retry-After: 120, 60\r\n")),
        Row::new("`Retry-After` with another status is ignored")
            .status(Server)
            .says("status 500")
            .answer(answer(500, "Retry-After: 120\r\n", "")),
    ];
    Group { heading: "Retry-After", rows }
}
