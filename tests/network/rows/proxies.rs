//! Proxies that refuse, stop or answer something else.

use tu_token::ErrorKind::{Network, Proxy, Tls};

use super::{pause, raw, send};
use crate::line::BlackHole;
use crate::row::{Ends, Group, Row, Way};
use crate::scene::{CONNECTED, socks_request};
use crate::support::{Reply, Step, answer};
use crate::watch::NOTHING;

const HTTP: Way = Way::Proxy("http", false);
const SOCKS: Way = Way::Proxy("socks5", true);

fn connect(row: Row, reply: Reply) -> Row {
    row.proxy("http", false, reply)
}

/// With a login and without.
fn both(row: Row, reply: Reply) -> Row {
    row.proxy("http", true, reply.clone()).proxy("http", false, reply)
}

pub fn http() -> Group {
    let basic = "Proxy-Authenticate: Basic realm=\"x\"\r\n";
    let html = answer(200, "Content-Type: text/html\r\n", "<html>log in</html>");
    let rows = vec![
        Row::new("no proxy at its address")
            .says("through the proxy: connection refused by ")
            .by("", HTTP, |line| line.leads_to(1))
            .kib(NOTHING),
        Row::new("the proxy's machine does not answer")
            .ends(Ends::Connect)
            .says("check the host and port in the proxy's URL")
            .by("", HTTP, |line| {
                let hole = BlackHole::new();
                line.leads_to(hole.port);
                hole
            })
            .kib(NOTHING),
        both(Row::new("silence instead of an answer to CONNECT"), vec![Step::Hang])
            .ends(Ends::Request)
            .says("the proxy said nothing within"),
        both(
            Row::new("silence in the answer to CONNECT"),
            vec![send("HTTP/1.1 200 Conn"), Step::Hang],
        )
        .ends(Ends::Request)
        .says("through the proxy"),
        both(
            Row::new("the answer to CONNECT trickles"),
            vec![Step::Trickle(b"HTTP/1.1 200 Connection established".to_vec())],
        )
        .ends(Ends::Request)
        .says("through the proxy"),
        both(Row::new("reset instead of an answer to CONNECT"), vec![Step::Reset])
            .says("the connection was reset before the proxy answered"),
        both(
            Row::new("reset in the answer to CONNECT"),
            vec![send("HTTP/1.1 200 Conn"), pause(), Step::Reset],
        )
        .says("the connection was reset before the proxy answered"),
        both(Row::new("end instead of an answer to CONNECT"), vec![])
            .says("the connection was cut off before the proxy answered"),
        connect(Row::new("403"), answer(403, "", ""))
            .status(Proxy)
            .requests(1)
            .says("its rules do not allow this host (status 403)"),
        connect(Row::new("407, and its URL has no login"), answer(407, basic, ""))
            .status(Proxy)
            .requests(1)
            .says("it wants a login (status 407; it offers Basic)"),
        Row::new("407 to the login in its URL")
            .status(Proxy)
            .half_an_hour()
            .says("it refused user and password of its URL (status 407; it offers Basic)")
            .proxy("http", true, answer(407, basic, "")),
        Row::new("407 to the login in its URL, and the rest never comes")
            .status(Proxy)
            .half_an_hour()
            .says("it refused user and password of its URL (status 407;")
            .proxy("http", true, vec![send("HTTP/1.1 407 X\r\nConte")]),
        both(Row::new("502, 503 with `Retry-After`"), answer(502, "", ""))
            .proxy("http", false, answer(503, "Retry-After: 900\r\n", ""))
            .says("it answered CONNECT with status 50"),
        both(
            Row::new("it redirects to a login page"),
            answer(302, "Location: http://login.example/\r\n", ""),
        )
        .says("it answered CONNECT with status 302"),
        both(Row::new("it answers CONNECT with a page (200)"), html)
            .status(Tls)
            .requests(1)
            .says("it does not speak TLS here, but plain HTTP"),
        connect(Row::new("it speaks another protocol"), raw("SSH-2.0-OpenSSH_9.6\r\n"))
            .says("its answer to CONNECT is not HTTP"),
        connect(
            Row::new("it speaks TLS, and its URL begins with http"),
            vec![Step::Send(vec![0x15, 3, 3, 0, 2, 2, 70])],
        )
        .says("write https:// in its URL"),
        connect(
            Row::new("its header has no end"),
            vec![send("HTTP/1.1 200 X\r\n"), Step::Repeat(b"X-More: and more\r\n".to_vec())],
        )
        .says("its answer to CONNECT has too large headers"),
        connect(
            Row::new("interim answers to CONNECT (1xx) without an end"),
            vec![Step::Repeat(b"HTTP/1.1 100 X\r\n\r\n".to_vec())],
        )
        .says("its answer to CONNECT has too large headers"),
        both(Row::new("silence in the tunnel"), vec![Step::Send(CONNECTED.to_vec()), Step::Hang])
            .ends(Ends::Connect)
            .says("it said nothing to the TLS handshake within"),
        both(Row::new("the tunnel ends at once"), vec![Step::Send(CONNECTED.to_vec())])
            .says("through the proxy: it ended the connection in the TLS handshake"),
        both(
            Row::new("the tunnel is reset at once"),
            vec![Step::Send(CONNECTED.to_vec()), pause(), Step::Reset],
        )
        .says("through the proxy: it ended the connection in the TLS handshake"),
    ];
    Group { heading: "Proxies", rows }
}

/// The reply to the greeting, then to the login, then to the request.
fn socks(request: &[u8]) -> Reply {
    let login = 3 + "gate".len() + crate::leaks::PROXY_PASSWORD.len();
    vec![
        Step::Send(vec![5, 2]),
        Step::Receive(login),
        Step::Send(vec![1, 0]),
        Step::Receive(socks_request()),
        Step::Send(request.to_vec()),
    ]
}

fn via(row: Row, reply: Reply) -> Row {
    row.scripted("", SOCKS, move |_| reply.clone())
}

fn socks_failed(reply: u8) -> Reply {
    socks(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0])
}

pub fn socks5() -> Group {
    let refused = |fault: &'static str| Row::new(fault).status(Proxy).half_an_hour();
    let rows = vec![
        via(Row::new("SOCKS5: silence"), vec![Step::Hang])
            .ends(Ends::Request)
            .says("the proxy said nothing within"),
        via(Row::new("SOCKS5: silence after the login"), vec![Step::Send(vec![5, 2]), Step::Hang])
            .ends(Ends::Request)
            .says("through the proxy"),
        via(
            Row::new("SOCKS5: the answer trickles"),
            [socks(&[5]), vec![Step::Trickle(vec![0, 0, 3, 255, 7, 7, 7, 7])]].concat(),
        )
        .ends(Ends::Request)
        .says("through the proxy"),
        via(Row::new("SOCKS5: reset"), vec![Step::Reset])
            .says("was reset before the proxy answered"),
        via(Row::new("SOCKS5: end"), vec![]).says("was cut off before the proxy answered"),
        via(Row::new("SOCKS5: a page instead"), answer(400, "", "<html>"))
            .status(Network)
            .says("it does not speak SOCKS5"),
        via(refused("SOCKS5: no login is acceptable"), vec![Step::Send(vec![5, 255])])
            .says("it refused a login by user and password"),
        via(
            refused("SOCKS5: the login is refused"),
            vec![Step::Send(vec![5, 2]), Step::Receive(17), Step::Send(vec![1, 1])],
        )
        .says("it refused user and password of its URL (SOCKS5)"),
        via(Row::new("SOCKS5: its rules forbid the host"), socks_failed(2))
            .status(Proxy)
            .requests(1)
            .says("its rules do not allow this host"),
        via(Row::new("SOCKS5: it cannot reach the host"), socks_failed(4))
            .says("it could not connect (host unreachable; SOCKS5 reply 4)"),
    ];
    Group { heading: "SOCKS5 proxies", rows }
}
