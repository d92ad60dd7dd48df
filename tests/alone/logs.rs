//! A program with a logger at the most detailed level: what is logged, by the library and by what it is made of, contains
//! neither secret nor token.

use std::fmt::Write as _;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::alone;
use crate::support::tls::{Identity, open_server};
use crate::support::{Request, SECRET, Server, Step, builder, oauth_error, until};

struct Recorder(Mutex<String>);

static RECORDER: Recorder = Recorder(Mutex::new(String::new()));

impl Log for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut records = self.0.lock().unwrap();
        writeln!(records, "{} {}: {}", record.level(), record.target(), record.args()).unwrap();
    }

    fn flush(&self) {}
}

const TOKEN: &str = "eyJ0b2tlbiI6MX0.Zm9yIGEgdGVzdCBvZiBsb2dz";

fn chunked(_: usize, _: &Request) -> Vec<Step> {
    let json = format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer","expires_in":1200}}"#);
    let (one, two) = json.split_at(40);
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = format!("{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len());
    vec![Step::Send(format!("{head}{chunks}").into_bytes())]
}

fn plain(_: usize, request: &Request) -> Vec<Step> {
    let json = format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer","expires_in":1200}}"#);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", json.len());
    match request.head.to_ascii_lowercase().contains("authorization:") {
        true => oauth_error(401, &format!("wrong {SECRET}")),
        false => vec![Step::Send(format!("{head}{json}").into_bytes())],
    }
}

fn use_it(url: &str, more: &[(&str, &str)]) {
    let client = more
        .iter()
        .fold(builder(url).set("params", "more=value-of-params"), |builder, (key, value)| {
            builder.set(key, value)
        });
    let client = client.build().unwrap();
    for _ in 0..2 {
        if let Ok(token) = client.token() {
            assert_eq!(token.value(), TOKEN);
            log::trace!("{token:?} {client:?}");
            client.invalidate(&token);
        }
    }
}

#[test]
fn nothing_secret_is_logged_at_any_level() {
    let _alone = alone();
    log::set_logger(&RECORDER).unwrap();
    log::set_max_level(LevelFilter::Trace);
    let identity = Identity::self_signed("localhost");
    let files = tempfile::tempdir().unwrap();
    let ca_file = files.path().join("ca.pem");
    std::fs::write(&ca_file, identity.cert.pem()).unwrap();
    let secure = Server::scripted_tls(open_server(&identity), chunked);
    let bare = Server::new(plain);
    use_it(&bare.url(), &[]);
    use_it(&bare.url(), &[("client_auth", "basic")]);
    use_it(
        &format!("https://localhost:{}/token", secure.port()),
        &[("ca_file", ca_file.to_str().unwrap())],
    );
    until("events are logged", || RECORDER.0.lock().unwrap().contains("received a token"));
    log::set_max_level(LevelFilter::Off);

    let records = std::mem::take(&mut *RECORDER.0.lock().unwrap());
    // Where TRACE is not compiled in, nothing is to be hidden from it.
    if log::STATIC_MAX_LEVEL >= Level::Trace {
        assert!(records.contains("TRACE ureq_proto") && records.contains("****************"));
    }
    let basic = STANDARD.encode(format!("test-id:{SECRET}"));
    for secret in [SECRET, TOKEN, "value-of-params", &basic["Basic ".len() + 8..]] {
        for piece in secret.as_bytes().windows(6) {
            let piece = std::str::from_utf8(piece).unwrap();
            let line = records.lines().find(|line| line.contains(piece));
            assert_eq!(line, None, "a part of {secret}");
        }
    }
}
