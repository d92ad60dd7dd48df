//! Names that cannot be resolved, and hosts that cannot be reached.

use std::time::Duration;

use crate::getaddrinfo::Answer;
use crate::line::{BlackHole, Line};
use crate::row::{Ends, Group, Row, Way};
use crate::scene::SHORT;
use crate::watch::NOTHING;

/// As a resolver takes when the network is gone.
const HANGS: Duration = Duration::from_secs(90);

fn fails(row: Row, name: &str, error: std::ffi::c_int) -> Row {
    row.by(name, Way::Tls, move |line| line.host.now_answers(Answer::Fails(error)))
}

/// The host has this address first, and then its own, or the other way round.
fn two(line: &Line, other: &str, is_first: bool) {
    let mut both = vec![other.to_owned(), line.address.to_string()];
    if !is_first {
        both.reverse();
    }
    line.host.now_answers(Answer::Addresses(both));
}

/// Another line, of which the first one's host has the address.
fn black_hole_first(line: &Line) -> (BlackHole, Line) {
    let (hole, dead) = (BlackHole::new(), Line::new());
    dead.leads_to(hole.port);
    two(line, &dead.address.to_string(), true);
    (hole, dead)
}

pub fn group() -> Group {
    let unknown = Row::new("the name is unknown, or the resolver fails").says(
        "the host name cannot be resolved: check it in token_url, and this machine's network and DNS",
    );
    let unknown = fails(unknown, "unknown", libc::EAI_NONAME);
    let unknown = fails(unknown, "again", libc::EAI_AGAIN);
    let unknown = fails(unknown, "failure", libc::EAI_FAIL);
    let rows = vec![
        unknown.kib(NOTHING),
        Row::new("the resolver hangs")
            .ends(Ends::Connect)
            .says("the name look-up of ")
            .by("tls", Way::Tls, |line| line.host.now_takes(HANGS))
            .kib(NOTHING),
        Row::new("the resolver hangs once").token().requests(2).ends(Ends::OneConnect).by(
            "tls",
            Way::Tls,
            |line| line.host.now_take(&[HANGS, Duration::ZERO]),
        ),
        Row::new("the resolver is slow once")
            .token()
            .by("tls", Way::Tls, |line| line.host.now_take(&[SHORT / 4, Duration::ZERO])),
        Row::new("the connection is refused")
            .says("connection refused by ")
            .by("plain", Way::Plain, |line| line.leads_to(1))
            .by("tls", Way::Tls, |line| line.leads_to(1))
            .kib(NOTHING),
        Row::new("there is no network")
            .says("no network that leads to")
            .by("plain", Way::Plain, |line| line.leads("255.255.255.255:443".parse().unwrap()))
            .by("tls", Way::Tls, |line| line.leads("255.255.255.255:443".parse().unwrap()))
            .kib(NOTHING),
        Row::new("connecting is not answered (SYN dropped)")
            .ends(Ends::Connect)
            .says("a firewall may drop it")
            .by("plain", Way::Plain, |line| {
                let hole = BlackHole::new();
                line.leads_to(hole.port);
                hole
            })
            .by("tls", Way::Tls, |line| {
                let hole = BlackHole::new();
                line.leads_to(hole.port);
                hole
            })
            .kib(NOTHING),
        Row::new("one of two addresses refuses, or is of a family without a network")
            .token()
            .by("refuses", Way::Tls, |line| two(line, "127.0.0.1", true))
            .by("no network", Way::Tls, |line| two(line, "255.255.255.255", true))
            .by("IPv6", Way::Tls, |line| two(line, "2001:db8::1", true))
            .by("the second", Way::Tls, |line| two(line, "127.0.0.1", false)),
        Row::new("the first of two addresses does not answer").token().ends(Ends::HalfConnect).by(
            "tls",
            Way::Tls,
            black_hole_first,
        ),
        Row::new("neither of two addresses answers")
            .ends(Ends::Connect)
            .says("no connection to ")
            .by("tls", Way::Tls, |line| {
                let kept = black_hole_first(line);
                line.leads_to(kept.0.port);
                kept
            })
            .kib(NOTHING),
        Row::new("one of two addresses refuses and the other does not answer")
            .ends(Ends::Connect)
            .says("(no connection to ")
            .by("tls", Way::Tls, |line| {
                let hole = BlackHole::new();
                two(line, "127.0.0.1", true);
                line.leads_to(hole.port);
                hole
            })
            .kib(NOTHING),
    ];
    Group { heading: "Names and connections", rows }
}
