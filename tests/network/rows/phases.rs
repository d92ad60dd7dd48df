//! Each phase of an answer with each way to end there.

use crate::row::{Ends, Group, Row};
use crate::support::{Reply, Step};

use super::{JSON, bytes, pause};

/// How an answer stops.
#[derive(Clone, Copy)]
enum Stop {
    Silence,
    Trickle,
    Reset,
    Close,
    HalfClose,
}

/// What was sent when it stops, and what would follow.
fn reply(begin: &str, rest: &str, stop: Stop) -> Reply {
    let mut reply = if begin.is_empty() { vec![] } else { vec![Step::Send(bytes(begin))] };
    match stop {
        Stop::Silence => reply.push(Step::Hang),
        Stop::Trickle => reply.push(Step::Trickle(bytes(rest))),
        Stop::Reset => reply.extend([pause(), Step::Reset]),
        Stop::Close => {}
        Stop::HalfClose => reply.extend([Step::HalfClose, Step::Hang]),
    }
    reply
}

pub fn group() -> Group {
    let json = JSON;
    let head = "HTTP/1.1 200 OK\r\nServer: x\r\n";
    let sized = format!("{head}Content-Length: {}\r\n\r\n", json.len());
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let data = format!("{chunked}{:x}\r\n{json}", json.len());
    let slow = "no complete answer within";
    let cut = "the connection was cut off";
    let reset = "the connection was ";
    let begin = "the connection ended without an answer";
    // The phase, what is sent of it, what follows, and what a closed connection is called.
    let phases: [(&str, [&'static str; 4], &str, &str, &'static str); 8] = [
        (
            "before the answer",
            [
                "the request is not answered",
                "the answer trickles from its first byte on",
                "the request is answered with a reset",
                "the request is answered with the end of the connection",
            ],
            "",
            "HTTP/1.1 200 OK\r\n",
            begin,
        ),
        (
            "status line",
            [
                "silence in the status line",
                "the status line trickles",
                "reset in the status line",
                "end in the status line",
            ],
            "HTTP/1.1 2",
            "00 a long reason",
            cut,
        ),
        (
            "header",
            [
                "silence in the header",
                "the header trickles",
                "reset in the header",
                "end in the header",
            ],
            head,
            "X-A: a long value of a field",
            cut,
        ),
        (
            "body",
            [
                "silence before the body",
                "the body trickles from its first byte on",
                "reset before the body",
                "end before the body",
            ],
            &sized,
            json,
            cut,
        ),
        (
            "in the body",
            ["silence in the body", "the body trickles", "reset in the body", "end in the body"],
            &format!("{sized}{}", &json[..9]),
            &json[9..],
            cut,
        ),
        (
            "chunk size",
            [
                "silence in the size of a chunk",
                "the size of a chunk trickles",
                "reset in the size of a chunk",
                "end in the size of a chunk",
            ],
            &format!("{chunked}3"),
            ";extension=without-an-end",
            cut,
        ),
        (
            "chunk",
            ["silence in a chunk", "a chunk trickles", "reset in a chunk", "end in a chunk"],
            &format!("{chunked}3c\r\n{}", &json[..9]),
            &json[9..],
            cut,
        ),
        (
            "end of the chunks",
            [
                "silence after the last chunk",
                "the end of the chunks trickles",
                "reset after the last chunk",
                "end after the last chunk",
            ],
            &format!("{data}\r\n"),
            "0000000000000000000000000000",
            cut,
        ),
    ];
    let mut rows = Vec::new();
    for (_, faults, begun, rest, closed) in phases {
        let of = |stop| reply(begun, rest, stop);
        rows.push(Row::new(faults[0]).ends(Ends::Request).says(slow).answer(of(Stop::Silence)));
        rows.push(Row::new(faults[1]).ends(Ends::Request).says(slow).answer(of(Stop::Trickle)));
        let broken = if begun.is_empty() { begin } else { reset };
        rows.push(Row::new(faults[2]).says(broken).answer(of(Stop::Reset)));
        rows.push(
            Row::new(faults[3])
                .says(closed)
                .named("both sides", of(Stop::Close))
                .named("one side", of(Stop::HalfClose)),
        );
    }
    // The token has arrived in full.
    let trailer = format!("{data}\r\n0\r\nX-A: ");
    let of = |stop| reply(&trailer, "a long value of a field", stop);
    let waits = |fault| Row::new(fault).ends(Ends::Request).says(slow);
    rows.push(waits("silence in the trailer").answer(of(Stop::Silence)));
    rows.push(waits("the trailer trickles").answer(of(Stop::Trickle)));
    rows.push(
        Row::new("reset or end in the trailer")
            .token()
            .named("reset", of(Stop::Reset))
            .named("end", of(Stop::Close))
            .named("one side", of(Stop::HalfClose)),
    );
    Group { heading: "Answers that stop", rows }
}
