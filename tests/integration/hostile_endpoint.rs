//! A token endpoint that is slow, broken, lying or hostile: every call still ends in time, with an
//! error that says what happened and gives nothing away.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{
    Request, Server, Step, answer, builder, client, each, failure_in_time, gated, hasty, header,
    patient_builder, token, until, value,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tu_token::ErrorKind::{BadResponse, InvalidClient, Network};
use tu_token::{Client, Error, ErrorKind, Event};

/// A secret with everything that forms, URLs and JSON treat in a special way.
const ODD_SECRET: &str = "s3cr+t/=&% \u{e9}~*\"\\'#?Z";

fn failure(server: &Server) -> Error {
    failure_in_time(&client(server))
}

/// The failure of a client with a second for its fetch.
fn hasty_failure(server: &Server) -> Error {
    failure_in_time(&hasty(builder(&server.url())).build().unwrap())
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

// --- slow ------------------------------------------------------------------------------------

#[test]
fn a_server_that_never_answers() {
    let server = Server::always(vec![Step::Hang]);
    let error = hasty_failure(&server);
    assert_eq!(error.kind(), Network, "{error}");
    assert!(error.is_retryable());
    assert_eq!(server.requests(), 1);
}

#[test]
fn each_attempt_has_its_own_time_limit() {
    let server = Server::new(|before, _| match before {
        0 => vec![Step::Hang],
        _ => token("second", 1200),
    });
    let client = patient_builder(&server.url()).set("request_timeout", "300ms").build().unwrap();
    assert_eq!(value(client.token()), "second");
    assert_eq!(server.requests(), 2);
}

#[test]
fn headers_byte_by_byte() {
    let server = Server::always(vec![Step::Trickle(bytes(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n",
    ))]);
    assert_eq!(hasty_failure(&server).kind(), Network);
}

#[test]
fn a_body_byte_by_byte() {
    let server = Server::always(vec![
        Step::Send(bytes("HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n")),
        Step::Trickle(bytes(r#"{"access_token":"t","expires_in":1200,"token_type":"Bearer"}"#)),
    ]);
    assert_eq!(hasty_failure(&server).kind(), Network);
}

#[test]
fn a_body_in_chunks_byte_by_byte() {
    let server = Server::always(vec![
        Step::Send(bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")),
        Step::Trickle(bytes("1\r\n{\r\n1\r\n \r\n1\r\n \r\n1\r\n \r\n1\r\n \r\n")),
    ]);
    assert_eq!(hasty_failure(&server).kind(), Network);
}

#[test]
fn endless_headers() {
    each([bytes("X-More: and more\r\n"), vec![b'x'; 1024], bytes("a:\r\n")], |line| {
        let status = bytes("HTTP/1.1 200 OK\r\n");
        let error = failure(&Server::always(vec![Step::Send(status), Step::Repeat(line)]));
        assert_eq!(error.kind(), BadResponse, "{error}");
    });
}

#[test]
fn endless_interim_answers() {
    let interim = ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"];
    each(interim, |answer| {
        let error = failure(&Server::always(vec![Step::Repeat(bytes(answer))]));
        assert_eq!(error.kind(), BadResponse, "{error}");
        assert!(error.message().contains("interim answers"), "{error}");
    });
}

// --- interim answers and what headers say ----------------------------------------------------

/// A server that sends this before its answer, in pieces of so many bytes.
fn after_interim(interim: &str, piece: usize) -> Server {
    let interim = bytes(interim);
    Server::new(move |_, _| {
        let [Step::Send(answer)] = &token("at-last", 1200)[..] else { unreachable!() };
        let all = [&interim[..], answer].concat();
        let pause = Step::Wait(Duration::from_millis(1));
        all.chunks(piece).flat_map(|piece| [Step::Send(piece.to_vec()), pause.clone()]).collect()
    })
}

#[test]
fn interim_answers_with_header_fields_cost_no_request() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nA: b\r\n\r\n";
    let all = [
        "HTTP/1.1 100 Continue\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: x\r\n\r\n"
            .to_owned(),
        "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
        hints.to_owned(),
        "HTTP/1.1 102 Processing\r\nConnection: keep-alive\r\n\r\n".to_owned(),
        hints.repeat(10),
        format!("HTTP/1.1 103 Early Hints\r\n{}\r\n", "Link: </x>\r\n".repeat(300)),
    ];
    each(all.iter().flat_map(|one| [(one, 7), (one, 90), (one, 100_000)]), |(interim, piece)| {
        let server = after_interim(interim, if interim.len() > 500 { piece * 10 } else { piece });
        let client = patient_builder(&server.url()).build().unwrap();
        assert_eq!(value(client.token()), "at-last", "{interim}");
        assert_eq!(server.requests(), 1, "{interim}");
    });
}

#[test]
fn another_protocol_is_refused() {
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n";
    let server = after_interim(head, 100_000);
    let error = failure(&server);
    assert_eq!(error.kind(), BadResponse, "{error}");
    assert!(error.message().contains("switches to another protocol"), "{error}");
}

/// `{"access_token":"t","expires_in":1200}`, by gzip.
const GZIP: [u8; 57] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 74, 76, 78, 78, 45, 46, 142, 47, 201, 207, 78, 205,
    83, 178, 82, 42, 81, 210, 81, 74, 173, 40, 200, 44, 74, 45, 142, 207, 4, 10, 24, 26, 25, 24,
    212, 2, 0, 241, 26, 153, 238, 38, 0, 0, 0,
];

#[test]
fn an_answer_that_is_compressed_is_told_by_its_header() {
    for (status, headers, body) in [
        (200, "Content-Encoding: gzip\r\n", &GZIP[..]),
        (200, "Content-Encoding: br\r\nContent-Type: application/json\r\n", &[0x8b, 0x02, 0xff]),
        (200, "Content-Encoding: gzip\r\n", br#"{"access_token":"t","expires_in":1200}"#),
        (400, "Content-Encoding: gzip\r\n", &GZIP[..]),
    ] {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n");
        let server = Server::always(vec![Step::Send([head.as_bytes(), body].concat())]);
        let error = failure(&server);
        assert_eq!(error.kind(), BadResponse, "{error}");
        assert_eq!(error.http_status(), Some(status));
        let named = &headers[..headers.find('\r').unwrap()];
        assert!(error.message().contains(named), "{error}");
        assert_eq!(header(&server.received()[0].head, "accept-encoding"), Some("identity"));
    }
    // Some name a character set there; and a refusal counts whatever its text is.
    let odd = Server::always(answer(
        200,
        "Content-Encoding: utf-8\r\n",
        r#"{"access_token":"t","expires_in":1200}"#,
    ));
    assert_eq!(value(client(&odd).token()), "t");
    let refusal = Server::always(answer(401, "Content-Encoding: gzip\r\n", "\x1f"));
    assert_eq!(failure(&refusal).kind(), InvalidClient);
}

#[test]
fn a_body_is_not_waited_for_if_its_header_says_enough() {
    for header in ["Content-Length: 65537", "Content-Length: 9\r\nContent-Encoding: gzip"] {
        let head = format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n");
        let error = failure(&Server::always(vec![Step::Send(bytes(&head)), Step::Hang]));
        assert_eq!(error.kind(), BadResponse, "{error}");
        let expected = if header.contains("gzip") { "Content-Encoding: gzip" } else { "64 KiB" };
        assert!(error.message().contains(expected), "{error}");
    }
}

#[test]
fn times_are_told_in_few_digits_and_in_all() {
    let server = Server::always(vec![Step::Hang]);
    // Half a second after its end a fetch is given up, with nothing to tell but that. So are those that end while the
    // machine stands still: they are no matter of this.
    let in_time = || {
        let client = builder(&server.url())
            .set("fetch_timeout", "3300ms")
            .set("request_timeout", "1700ms")
            .build()
            .unwrap();
        let (before, began) = (server.requests(), Instant::now());
        let error = client.token().map(drop).unwrap_err();
        assert_eq!(error.kind(), Network);
        let is_in_time = began.elapsed() < Duration::from_millis(3700);
        is_in_time.then(|| (error, server.requests() - before))
    };
    let (error, requests) = (0..10).find_map(|_| in_time()).expect("a machine that runs");
    // Of the last attempt that was what was left.
    assert_eq!(requests, 2);
    assert!(error.message().contains("no complete answer within 3.3s;"), "{error}");
}

// --- broken ----------------------------------------------------------------------------------

#[test]
fn a_reset_at_once_and_in_the_body() {
    let half = Step::Send(bytes("HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n{\"access"));
    let pause = Step::Wait(Duration::from_millis(20));
    for reply in [vec![Step::Reset], vec![half, pause, Step::Reset]] {
        let server = Server::always(reply);
        let client = patient_builder(&server.url()).build().unwrap();
        let error = client.token().unwrap_err();
        assert_eq!(error.kind(), Network, "{error}");
        assert_eq!(server.requests(), 3);
    }
}

#[test]
fn an_answer_that_is_cut_off() {
    let json = r#"{"access_token":"t","expires_in":1200}"#;
    let cases = [
        ("", "", Network),
        ("HTTP/1.1 200 OK\r\nConte", "", Network),
        ("HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n", json, Network),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", json, Network),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n26\r\n", json, Network),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", &json[..30], BadResponse),
    ];
    each(cases, |(head, body, kind)| {
        let server = Server::always(vec![Step::Send(bytes(&format!("{head}{body}")))]);
        let error = failure(&server);
        assert_eq!(error.kind(), kind, "{head}: {error}");
        assert!(!error.message().contains("access_token"));
    });
}

#[test]
fn a_refusal_counts_even_if_its_body_never_comes() {
    let head = "HTTP/1.1 401 X\r\nContent-Length: 50\r\n\r\n";
    let server = Server::always(vec![Step::Send(bytes(head)), Step::Hang]);
    // The attempt ends by its own time, long before the fetch's.
    let client = builder(&server.url()).set("request_timeout", "1s").build().unwrap();
    assert_eq!(failure_in_time(&client).kind(), InvalidClient);
    assert_eq!(server.requests(), 1);
}

#[test]
fn what_is_not_http() {
    let garbage = [
        bytes("SSH-2.0-OpenSSH_9.9\r\n"),
        bytes("220 mail.example ESMTP\r\n"),
        bytes("\x16\x03\x01\x02\x00\x01\x00"),
        bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        bytes("HTTP/1.1 twohundred OK\r\n\r\n"),
        bytes("HTTP/1.1 99999 OK\r\n\r\n"),
        bytes("HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"),
        bytes("HTTP/1.1 200 OK\r\nA\0B: c\r\n\r\n"),
        bytes("HTTP/1.1 200 OK\r\nX-A: one\r\n  line more\r\n\r\n{}"),
        bytes(&format!("HTTP/1.1 200 OK\r\n{}\r\n{{}}", "X-A: b\r\n".repeat(200))),
        bytes("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"),
        bytes("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}"),
        bytes("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
        bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}"),
        bytes("{\"access_token\":\"t\",\"expires_in\":1200}"),
        vec![0; 100_000],
        (0..=255).cycle().take(100_000).collect(),
    ];
    each(garbage, |reply| {
        let shown = String::from_utf8_lossy(&reply[..reply.len().min(60)]).into_owned();
        let error = failure(&Server::always(vec![Step::Send(reply)]));
        assert_eq!(error.kind(), BadResponse, "{shown:?}: {error}");
        // Of what is HTTP for the most part, what is wrong.
        let what = match shown.contains(" 200 OK\r\n") {
            true if shown.contains("chunked") => "has an invalid chunked body",
            true if shown.contains("Content-Length") => {
                "has invalid HTTP headers: a Content-Length"
            }
            true => "has invalid HTTP headers",
            false => "is not HTTP",
        };
        assert!(error.message().contains(what), "{shown:?}: {error}");
    });
}

#[test]
fn a_captive_portal() {
    let page = "<html><title>Welcome to Hotel WiFi</title>Please log in</html>";
    let server = Server::always(answer(200, "Content-Type: text/html\r\n", page));
    let error = failure(&server);
    assert_eq!(error.kind(), BadResponse);
    assert!(error.message().contains("captive portal"), "{error}");
    assert!(!error.message().contains("Hotel"), "{error}");
}

// --- redirects -------------------------------------------------------------------------------

#[test]
fn no_redirect_is_followed() {
    for status in [300, 301, 302, 303, 307, 308] {
        let trap = Server::always(token("stolen", 1200));
        let place = format!("http://127.0.0.1:{}", trap.port());
        let location = format!("Location: {place}/steal-path?code=steal-query\r\n");
        let server = Server::always(answer(status, &location, ""));
        let error = failure(&server);
        assert_eq!(error.kind(), BadResponse, "{status}");
        assert_eq!(error.http_status(), Some(status));
        assert!(!error.is_retryable());
        assert!(error.message().contains(&format!(" to {place};")), "{error}");
        assert!(!error.message().contains("steal"), "{error}");
        assert_eq!((server.requests(), trap.connections()), (1, 0), "{status}");
    }
}

// --- secrets ---------------------------------------------------------------------------------

fn form_value(body: &str, key: &str) -> String {
    let mut pairs = form_urlencoded::parse(body.as_bytes());
    pairs.find(|(name, _)| name == key).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[test]
fn an_odd_secret_arrives_as_it_is() {
    let server = Server::tokens(1200);
    for auth in ["post", "basic"] {
        let client = builder(&server.url())
            .client_secret(ODD_SECRET)
            .set("client_auth", auth)
            .build()
            .unwrap();
        client.token().unwrap();
    }
    let received = server.received();
    assert_eq!(form_value(&received[0].body, "client_secret"), ODD_SECRET);
    assert!(received[0].body.is_ascii() && !received[0].body.contains(['"', ' ', '\\']));
    let sent = header(&received[1].head, "authorization").unwrap().strip_prefix("Basic ").unwrap();
    let pair = String::from_utf8(STANDARD.decode(sent).unwrap()).unwrap();
    let (_, encoded) = pair.split_once(':').unwrap();
    assert_eq!(form_value(&format!("x={encoded}"), "x"), ODD_SECRET);
    assert!(!received[1].body.contains("client_id") && !received[1].body.contains("client_secret"));
}

/// What a reflecting server says about a request.
type Reflect = fn(&Request) -> String;

/// A client whose events are kept, and what it makes of a server's reflection.
fn reflected(auth: &str, reflect: Reflect) -> (Error, Vec<Event>) {
    let server = Server::new(move |_, request| {
        let said = reflect(request);
        let text = serde_json::to_string(&format!("you sent: <{said}>")).unwrap();
        let code = serde_json::to_string(&said).unwrap();
        let (error, text) =
            (format!(r#""error":{code}"#), format!(r#""error_description":{text}"#));
        answer(400, "", &format!("{{{error},{text}}}"))
    });
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = events.clone();
    let client = builder(&server.url())
        .client_secret(ODD_SECRET)
        .set("client_auth", auth)
        .on_event(move |event: &Event| heard.lock().unwrap().push(event.clone()))
        .build()
        .unwrap();
    let error = failure_in_time(&client);
    until("the failure's event", || events.lock().unwrap().len() >= 2);
    let events = events.lock().unwrap().clone();
    (error, events)
}

#[test]
fn a_reflected_secret_is_in_no_error_and_no_event() {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let reflections: [(&str, Reflect); 9] = [
        ("post", |_| ODD_SECRET.to_owned()),
        ("post", |request| form_value(&request.body, "client_secret")),
        ("post", |request| request.body.clone()),
        ("post", |request| request.body.to_ascii_lowercase()),
        ("post", |request| format!("{}{}", "x".repeat(250), request.body)),
        ("post", |request| {
            let start = request.body.find("client_secret=").unwrap();
            request.body[start..].replace('+', "%20")
        }),
        ("basic", |request| header(&request.head, "authorization").unwrap().to_owned()),
        ("basic", |_| STANDARD.encode(format!("{}:{ODD_SECRET}", crate::support::ID))),
        ("basic", |request| request.head.clone()),
    ];
    let wrong = [
        "s3cr".to_owned(),
        encoded(ODD_SECRET),
        STANDARD.encode(format!("{}:{ODD_SECRET}", crate::support::ID)),
        STANDARD.encode(format!("{}:{}", crate::support::ID, encoded(ODD_SECRET))),
    ];
    each(reflections.into_iter().enumerate(), |(number, (auth, reflect))| {
        let (error, events) = reflected(auth, reflect);
        let shown = format!("{error} {error:?} {:?} {events:?}", error.oauth_code());
        for text in &wrong {
            assert!(!shown.contains(text), "{number}: {shown}");
        }
        assert!(shown.contains("[remov"), "{number}: {shown}");
        assert_eq!(error.kind(), ErrorKind::OAuth);
    });
}

// --- the way there ---------------------------------------------------------------------------

#[test]
fn this_machine_is_reached_without_a_proxy() {
    let proxy = Server::always(answer(502, "", ""));
    let server = Server::tokens(1200);
    for host in ["127.0.0.1", "localhost"] {
        let client: Client = builder(&format!("http://{host}:{}/token", server.port()))
            .set("proxy", &format!("http://127.0.0.1:{}", proxy.port()))
            .build()
            .unwrap();
        client.token().unwrap();
    }
    assert_eq!((server.requests(), proxy.connections()), (2, 0));
}

#[test]
fn a_late_answer_ends_no_wait_twice() {
    let (server, gate) = gated(token("late", 1200));
    let client = builder(&server.url()).timeout(Duration::from_millis(100)).build().unwrap();
    assert_eq!(client.token().unwrap_err().kind(), ErrorKind::Timeout);
    gate.store(true, Ordering::SeqCst);
    until("the fetch brings a token", || client.token().is_ok());
    assert_eq!(server.requests(), 1);
}
