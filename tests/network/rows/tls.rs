//! TLS that fails, and certificates that cannot be trusted.

use std::sync::Arc;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, date_time_ymd};
use rustls::{ServerConfig, ServerConnection};
use tu_token::ErrorKind::Tls;

use super::{JSON, pause, raw};
use crate::row::{Ends, Group, Row, Way};
use crate::scene::{NAMES, Scene};
use crate::support::tls::{Authority, Identity, open_server};
use crate::support::{Reply, Server, Step, answer, token};
use crate::watch::NOTHING;

/// What a server answers to this greeting first.
fn flight(config: &Arc<ServerConfig>, mut greeting: &[u8]) -> Vec<u8> {
    let mut server = ServerConnection::new(config.clone()).unwrap();
    server.read_tls(&mut greeting).unwrap();
    server.process_new_packets().unwrap();
    let mut bytes = Vec::new();
    server.write_tls(&mut bytes).unwrap();
    bytes
}

/// A server that sends the beginning of its first flight and then does this with the rest.
fn cut(row: Row, name: &str, scene: &Scene, then: fn(&[u8]) -> Reply) -> Row {
    let config = scene.config.clone();
    row.by(name, Way::Tls, move |line| {
        let config = config.clone();
        let server = Server::new(move |_, request| {
            let flight = flight(&config, &request.bytes);
            let (begin, rest) = flight.split_at(100);
            let mut reply = vec![Step::Send(begin.to_vec())];
            reply.extend(then(rest));
            reply
        });
        line.leads_to(server.port());
        server
    })
}

fn alert(description: u8) -> Reply {
    vec![Step::Send(vec![0x15, 3, 3, 0, 2, 2, description])]
}

/// A ServerHello of TLS 1.1.
fn old_hello() -> Reply {
    let body = [&[3, 2][..], &[7; 32], &[0, 0xc0, 0x13, 0, 0, 0]].concat();
    let length = u8::try_from(body.len()).unwrap();
    let hello = [&[2, 0, 0, length], &body[..]].concat();
    vec![Step::Send([&[0x16, 3, 2, 0, length + 4], &hello[..]].concat()), Step::Hang]
}

fn over_tls(row: Row, name: &str, reply: Reply) -> Row {
    row.scripted(name, Way::Tls, move |_| reply.clone())
}

pub fn handshake(scene: &Scene) -> Group {
    let config = &scene.config;
    let silent = Row::new("silence before the ServerHello").ends(Ends::Connect);
    let row = Row::new("the handshake trickles").ends(Ends::Connect);
    let rows = vec![
        over_tls(silent, "", vec![Step::Hang]).says("it said nothing to the TLS handshake within"),
        cut(Row::new("silence in the ServerHello").ends(Ends::Connect), "", scene, |_| {
            vec![Step::Hang]
        })
        .says("the TLS handshake did not end within"),
        cut(row, "", scene, |rest| vec![Step::Trickle(rest.to_vec())])
            .says("the TLS handshake did not end within"),
        over_tls(Row::new("reset in the handshake"), "", vec![Step::Reset])
            .says("it ended the connection in the TLS handshake"),
        cut(Row::new("reset after the ServerHello began"), "", scene, |_| {
            vec![pause(), Step::Reset]
        })
        .says("the connection was reset"),
        over_tls(Row::new("end in the handshake"), "close", vec![])
            .says("it ended the connection in the TLS handshake"),
        cut(Row::new("end after the ServerHello began"), "close", scene, |_| vec![])
            .says("the connection was cut off"),
        over_tls(
            over_tls(Row::new("alert handshake_failure"), "", alert(40)),
            "and silence",
            [alert(40), vec![Step::Hang]].concat(),
        )
        .status(Tls)
        .requests(1)
        .says(
            "it accepts no safe TLS version and cipher (1.2 or 1.3), or wants a client certificate",
        ),
        over_tls(Row::new("alert internal_error"), "", alert(80))
            .status(Tls)
            .requests(1)
            .says("it ended the connection (TLS alert InternalError)"),
        over_tls(Row::new("alert unrecognized_name"), "", alert(112))
            .status(Tls)
            .requests(1)
            .says("it serves no such host"),
        over_tls(Row::new("alert access_denied"), "", alert(49))
            .status(Tls)
            .requests(1)
            .says("it refuses this client"),
        over_tls(Row::new("the server speaks TLS 1.1 only: alert"), "", alert(70))
            .status(Tls)
            .requests(1)
            .says("it accepts no safe TLS version and cipher (1.2 or 1.3)"),
        over_tls(Row::new("the server speaks TLS 1.1 only: ServerHello"), "", old_hello())
            .status(Tls)
            .requests(1)
            .says("its response is not valid TLS"),
        over_tls(Row::new("plain HTTP on the port"), "400", answer(400, "", "HTTPS, please"))
            .status(Tls)
            .requests(1)
            .says("it does not speak TLS here, but plain HTTP"),
        over_tls(Row::new("another protocol on the port"), "ssh", raw("SSH-2.0-OpenSSH_9.9\r\n"))
            .status(Tls)
            .requests(1)
            .says("it does not speak TLS here, but something else"),
        Row::new("the request is not answered, over TLS")
            .ends(Ends::Request)
            // On a machine that is busy the handshake takes as long.
            .says(" within ")
            .tls("", config, vec![Step::Hang]),
        Row::new("end instead of an answer, over TLS")
            .says("the connection was cut off")
            .tls("with close_notify", config, vec![])
            .tls("without", config, vec![Step::HalfClose])
            .tls("half", config, vec![Step::HalfClose, Step::Hang]),
        Row::new("reset instead of an answer, over TLS").says("the connection was ").tls(
            "",
            config,
            vec![Step::Reset],
        ),
        Row::new("end in the body, over TLS").says("the connection was cut off").tls(
            "sized",
            config,
            raw(&format!("HTTP/1.1 200 X\r\nContent-Length: 90\r\n\r\n{JSON}")),
        ),
        Row::new("nonsense after the handshake, over TLS")
            .status(tu_token::ErrorKind::BadResponse)
            .says("is not HTTP")
            .tls("", config, raw("SSH-2.0-OpenSSH_9.9\r\n")),
    ];
    Group { heading: "TLS", rows }
}

fn signed(authority: &Authority, change: impl FnOnce(&mut CertificateParams)) -> Identity {
    let mut params = CertificateParams::new([NAMES.to_owned()]).unwrap();
    change(&mut params);
    authority.sign_params(params)
}

fn untrusted(fault: &'static str, identity: &Identity, says: &'static str) -> Row {
    Row::new(fault).status(Tls).requests(1).says(says).tls(
        "",
        &open_server(identity),
        token("stolen", 1200),
    )
}

pub fn certificates(scene: &'static Scene) -> Group {
    let ours = &scene.authority;
    let expired = signed(ours, |params| params.not_after = date_time_ymd(1991, 1, 1));
    let early = signed(ours, |params| params.not_before = date_time_ymd(2990, 1, 1));
    let client = signed(ours, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let rows = vec![
        untrusted("the certificate has expired", &expired, "expired"),
        untrusted("the certificate is not valid yet", &early, "not yet valid"),
        untrusted(
            "the certificate is for another name",
            &ours.sign("other.test"),
            "for another host name (other.test)",
        ),
        untrusted(
            "the certificate is signed by an unknown authority",
            &Authority::called("stranger").sign(NAMES),
            "signed by no authority in ca_file",
        ),
        untrusted(
            "the certificate is signed by an authority of the same name",
            &Authority::called("test").sign(NAMES),
            "and another key",
        ),
        untrusted(
            "the certificate is self-signed",
            &Identity::self_signed(NAMES),
            "signed by no authority in ca_file",
        ),
        untrusted("the certificate is for clients only", &client, "make one for serverAuth"),
        Row::new("there is no trust store")
            .status(Tls)
            .requests(1)
            .says("no certificate can be read in the trust store that SSL_CERT_FILE names")
            .by("", Way::SystemTls, |_| scene.trust(false))
            .kib(NOTHING),
        Row::new("the server requires a client certificate")
            .status(Tls)
            .requests(1)
            .says("it wants a client certificate, and none")
            .tls(
                "",
                &crate::support::tls::mutual_server(&ours.sign(NAMES), ours),
                token("stolen", 1200),
            ),
    ];
    Group { heading: "Certificates", rows }
}
