//! TLS that cannot be trusted gets no secret: one attempt, and an error that says why.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::support::credentials::make_pipe;
use crate::support::tls::{
    Authority, Files, Identity, asking_server, mutual_server, mutual_server_of, open_server,
};
use crate::support::{
    SECRET, Server, Step, answer, builder, client, each, failure_in_time, hasty, lossy, until,
    value,
};
use rustls::version::{TLS12, TLS13};
use tu_token::ErrorKind::{BadResponse, Config, Network, Tls};
use tu_token::{Builder, Client, Error, Event, EventKind, GetOptions};

fn https(host: &str, server: &Server) -> Builder {
    builder(&format!("https://{host}:{}/token/v2", server.port()))
}

/// A TLS failure: one connection, no request, remembered.
fn refused(client: &Client, server: &Server) -> Error {
    let error = failure_in_time(client);
    assert_eq!(error.kind(), Tls, "{error}");
    let remembered = failure_in_time(client);
    assert_eq!(remembered.kind(), Tls);
    assert!(remembered.retry_after().is_some());
    assert_eq!(server.connections(), 1);
    error
}

// --- who speaks TLS where --------------------------------------------------------------------

#[test]
fn https_to_a_port_that_speaks_plain_http() {
    for (reply, what) in [
        (answer(400, "", "The plain HTTP request was sent to HTTPS port"), "plain HTTP"),
        (vec![Step::Send(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec())], "something else"),
        (vec![Step::Send(vec![0; 100])], "something else"),
        (vec![Step::Send(b"<!DOCTYPE HTML>".to_vec())], "plain HTTP"),
    ] {
        let server = Server::always(reply);
        let client = https("127.0.0.1", &server).build().unwrap();
        let error = refused(&client, &server);
        let expected =
            format!("it does not speak TLS here, but {what}: check the port in token_url");
        assert!(error.message().contains(&expected), "{error}");
        let hello = &server.received()[0];
        assert!(!hello.head.contains(SECRET) && hello.body.is_empty());
    }
}

#[test]
fn a_handshake_that_is_not_answered_may_be_to_such_a_port() {
    each([Step::Hang, Step::Wait(std::time::Duration::ZERO), Step::Reset], |step| {
        let server = Server::always(vec![step.clone()]);
        let hangs = matches!(step, Step::Hang);
        let builder = https("127.0.0.1", &server);
        // The handshake's time ends long before the fetch's, which would tell nothing of it.
        let client = if hangs { builder.set("connect_timeout", "1s") } else { builder };
        let error = failure_in_time(&client.build().unwrap());
        // Sound servers that are busy do that as well.
        assert_eq!(error.kind(), Network, "{error}");
        assert!(error.message().contains("perhaps it does not speak TLS here"), "{error}");
        if hangs {
            assert!(
                error.message().contains("said nothing to the TLS handshake within 1s;"),
                "{error}"
            );
        }
    });
}

#[test]
fn plain_http_to_a_port_that_speaks_tls() {
    let alerting = Server::tls(open_server(&Identity::self_signed("localhost")));
    let pages = [
        "<html><center>The plain HTTP request was sent to HTTPS port</center></html>",
        "Client sent an HTTP request to an HTTPS server.\n",
        "<p>Reason: You're speaking plain HTTP to an SSL-enabled server port.</p>",
    ];
    let pages = pages.map(|page| Server::always(answer(400, "", page)));
    for server in pages.iter().chain([&alerting]) {
        let url = format!("http://127.0.0.1:{}/token/v2", server.port());
        let error = failure_in_time(&builder(&url).build().unwrap());
        assert_eq!(error.kind(), BadResponse, "{error}");
        let expected = "TLS is spoken on this port";
        assert!(error.message().contains(expected), "{error}");
        assert!(error.message().contains("https:// in token_url"), "{error}");
        assert!(!error.message().contains("captive"), "{error}");
    }
    // Some only hang up; who has begun to answer speaks HTTP.
    each([Step::Reset, Step::Wait(std::time::Duration::ZERO)], |step| {
        let error = failure_in_time(&client(&Server::always(vec![step])));
        assert_eq!(error.kind(), Network, "{error}");
        assert!(error.message().contains("perhaps TLS is spoken on this port"), "{error}");
    });
    let begun = Server::always(vec![Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec())]);
    let error = failure_in_time(&client(&begun));
    assert_eq!(error.kind(), Network, "{error}");
    assert!(error.message().contains("cut off") && !error.message().contains("TLS"), "{error}");
}

// --- whose certificates ----------------------------------------------------------------------

#[test]
fn a_self_signed_certificate_is_trusted_only_by_ca_file() {
    let identity = Identity::self_signed("localhost");
    let (files, config) = (Files::new(), open_server(&identity));
    let server = Server::tls(config.clone());
    let error = refused(&https("localhost", &server).build().unwrap(), &server);
    assert!(error.message().contains("signed by no authority in the"), "{error}");
    assert!(error.message().contains("trust store"), "{error}");
    assert!(error.message().contains("in ca_file"), "{error}");
    assert_eq!(server.requests(), 0);

    let server = Server::tls(config);
    let ca_file = files.write("ca.pem", &identity.cert.pem());
    let client = https("localhost", &server).set("ca_file", &ca_file).build().unwrap();
    assert_eq!(value(client.token()), "token-1");
}

#[test]
fn an_authority_of_ones_own_takes_the_place_of_the_systems() {
    let (authority, other, files) = (Authority::new(), Authority::new(), Files::new());
    let config = open_server(&authority.sign("localhost"));
    let server = Server::tls(config.clone());
    let ca_file = files.write("ca.pem", &authority.pem());
    let client = https("localhost", &server).set("ca_file", &ca_file).build().unwrap();
    assert_eq!(value(client.token()), "token-1");

    let server = Server::tls(config);
    let wrong = files.write("other.pem", &other.pem());
    let error =
        refused(&https("localhost", &server).set("ca_file", &wrong).build().unwrap(), &server);
    assert!(error.message().contains("other.pem, and another key"), "{error}");
    assert_eq!(server.requests(), 0);

    let wrong = files.write("stranger.pem", &Authority::called("stranger").pem());
    let server = Server::tls(open_server(&authority.sign("localhost")));
    let error =
        refused(&https("localhost", &server).set("ca_file", &wrong).build().unwrap(), &server);
    assert!(error.message().contains("signed by no authority in ca_file"), "{error}");
    assert!(error.message().contains("stranger.pem"), "{error}");
}

#[test]
fn a_certificate_for_another_host() {
    let (authority, files) = (Authority::new(), Files::new());
    let server = Server::tls(open_server(&authority.sign("auth.example")));
    let ca_file = files.write("ca.pem", &authority.pem());
    let client = https("localhost", &server).set("ca_file", &ca_file).build().unwrap();
    let error = refused(&client, &server);
    let expected = "for another host name (auth.example): check the host in token_url";
    assert!(error.message().contains(expected), "{error}");
    assert_eq!(server.requests(), 0);
}

#[test]
fn certificates_outside_their_time() {
    let files = Files::new();
    for (from, to, hint) in [(1990, 1991, "expired"), (2990, 2991, "not yet valid")] {
        let mut identity = Identity::self_signed("localhost");
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        identity.cert = params.self_signed(&identity.key).unwrap();
        let server = Server::tls(open_server(&identity));
        let ca_file = files.write("ca.pem", &identity.cert.pem());
        let client = https("localhost", &server).set("ca_file", &ca_file).build().unwrap();
        let error = refused(&client, &server);
        assert!(error.message().contains(hint), "{error}");
        assert_eq!(server.requests(), 0);
    }
}

#[test]
fn mutual_tls() {
    let (authority, files) = (Authority::new(), Files::new());
    let server = Server::tls(mutual_server(&authority.sign("localhost"), &authority));
    let ca_file = files.write("ca.pem", &authority.pem());
    let own = authority.sign("device-7");
    let with_ca = || https("localhost", &server).set("ca_file", &ca_file);
    let client = with_ca()
        .set("client_cert_file", &files.write("cert.pem", &own.cert.pem()))
        .set("client_key_file", &files.write("key.pem", &own.key.serialize_pem()))
        .build()
        .unwrap();
    assert_eq!(value(client.token()), "token-1");

    let error = failure_in_time(&with_ca().build().unwrap());
    assert_eq!(error.kind(), Tls, "{error}");
    assert_eq!(server.requests(), 1);
}

/// A pipe that holds a text, and its name.
#[allow(clippy::incompatible_msrv)] // Users do not build tests.
#[cfg(unix)]
fn pipe_with(text: &str) -> (std::os::fd::OwnedFd, String) {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    let reader = std::os::fd::OwnedFd::from(reader);
    let name = format!("/dev/fd/{}", reader.as_raw_fd());
    (reader, name)
}

#[cfg(unix)]
#[test]
fn certificates_and_keys_from_pipes_are_read_when_the_client_is_made() {
    let authority = Authority::new();
    let server = Server::tls(mutual_server(&authority.sign("localhost"), &authority));
    let own = authority.sign("device-7");
    let (ca, ca_file) = pipe_with(&authority.pem());
    // Certificate and key are often one text.
    let (both, both_file) = pipe_with(&format!("{}{}", own.cert.pem(), own.key.serialize_pem()));
    let with_pipes = || {
        https("localhost", &server)
            .set("ca_file", &ca_file)
            .set("client_cert_file", &both_file)
            .set("client_key_file", &both_file)
            .build()
    };
    // Another client of the process names the same pipes.
    let clients = [with_pipes().unwrap(), with_pipes().unwrap()];
    drop((ca, both));
    for client in &clients {
        for scope in ["a", "b"] {
            let options = tu_token::GetOptions { scope: Some(scope), ..Default::default() };
            assert!(client.get(&options).is_ok());
        }
    }
    assert_eq!(server.requests(), 4);
}

#[test]
fn a_client_certificate_that_is_missing_or_of_another_authority_is_named() {
    let (authority, other, files) = (Authority::new(), Authority::called("other"), Files::new());
    let (identity, stranger) = (authority.sign("localhost"), other.sign("device-7"));
    let ca_file = files.write("ca.pem", &authority.pem());
    let cert = files.write("stranger.pem", &stranger.cert.pem());
    let key = files.write("stranger-key.pem", &stranger.key.serialize_pem());
    // The answer comes before the alert, or not at all: by TLS 1.3 it comes after the handshake.
    for version in [&TLS12, &TLS13] {
        let server = Server::tls(mutual_server_of(&identity, &authority, &[version]));
        let with_ca = || https("localhost", &server).set("ca_file", &ca_file);
        for _ in 0..10 {
            let error = failure_in_time(&with_ca().build().unwrap());
            assert_eq!(error.kind(), Tls, "{error}");
            let told = error.message();
            assert!(told.contains("it wants a client certificate, and none"), "{told}");
            assert!(told.contains("client_key_file (TLS alert certificate_required)"), "{told}");
            let client = with_ca().set("client_cert_file", &cert).set("client_key_file", &key);
            let error = failure_in_time(&client.build().unwrap());
            assert_eq!(error.kind(), Tls, "{error}");
            let told = error.message();
            assert!(told.contains("who signed it (TLS alert unknown_ca)"), "{told}");
            assert!(told.contains("stranger.pem"), "{told}");
        }
        assert_eq!(server.requests(), 0);
    }
}

#[test]
fn what_is_said_before_the_request_was_read_is_heard() {
    // Closes with the request unread, so that the connection breaks under what is being sent.
    let hasty = |config: Arc<rustls::ServerConfig>, answer: &'static [u8]| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        std::thread::spawn(move || {
            while let Ok((mut socket, _)) = listener.accept() {
                // Else the kernel may hold the answer back until what was sent before it has been
                // acknowledged, and then drop it with the connection.
                socket.set_nodelay(true).unwrap();
                let mut tls = rustls::ServerConnection::new(config.clone()).unwrap();
                let _ = tls.complete_io(&mut socket);
                let _ = std::io::Write::write_all(&mut tls.writer(), answer);
                while tls.wants_write() && tls.write_tls(&mut socket).is_ok() {}
            }
        });
        url
    };
    let (files, ours) = (Files::new(), Authority::called("ours"));
    let ca = files.write("ca.pem", &ours.pem());
    let server = ours.sign("localhost");
    let attempt = |url: &str| {
        let client = builder(url).set("ca_file", &ca).build().unwrap();
        let error = failure_in_time(&client);
        (error.kind(), error.to_string())
    };
    let busy = b"HTTP/1.1 400 X\r\nContent-Length: 26\r\n\r\n{\"error\":\"invalid_client\"}";
    let answering = hasty(open_server(&server), busy);
    let refusing = hasty(mutual_server_of(&server, &ours, &[&TLS13]), b"");
    for _ in 0..20 {
        let (kind, told) = attempt(&answering);
        assert_eq!(kind, tu_token::ErrorKind::InvalidClient, "{told}");
        let (kind, told) = attempt(&refusing);
        assert_eq!(kind, Tls, "{told}");
        assert!(told.contains("certificate_required"), "{told}");
    }
}

#[test]
fn a_server_that_asks_everybody_for_a_certificate_may_not_want_one() {
    let (files, authority) = (Files::new(), Authority::new());
    let config = || asking_server(&authority.sign("localhost"), &authority);
    let ca = files.write("ca.pem", &authority.pem());
    let told = |server: &Server| {
        let client = https("localhost", server).set("ca_file", &ca).build().unwrap();
        failure_in_time(&client).to_string()
    };
    // It answers, so it has let the client in.
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n{\"access".to_vec();
    let cut_off = told(&Server::scripted_tls(config(), move |_, _| vec![Step::Send(half.clone())]));
    assert!(cut_off.contains("cut off"), "{cut_off}");
    assert!(!cut_off.contains("certificate"), "{cut_off}");
    let forbidden = told(&Server::scripted_tls(config(), |_, _| answer(403, "", "")));
    assert!(forbidden.contains("it may want a client certificate, and none"), "{forbidden}");
}

#[test]
fn a_certificate_that_is_not_for_servers() {
    let files = Files::new();
    let mut identity = Identity::self_signed("localhost");
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    identity.cert = params.self_signed(&identity.key).unwrap();
    let server = Server::tls(open_server(&identity));
    let ca_file = files.write("ca.pem", &identity.cert.pem());
    let client = https("localhost", &server).set("ca_file", &ca_file).build().unwrap();
    let error = refused(&client, &server);
    assert!(error.message().contains("make one for serverAuth"), "{error}");
}

#[test]
fn a_web_server_that_wants_a_client_certificate_says_so_in_a_page() {
    let page = "<html><head><title>400 No required SSL certificate was sent</title></head></html>";
    let (authority, files) = (Authority::new(), Files::new());
    let config = open_server(&authority.sign("localhost"));
    let server =
        Server::scripted_tls(config, move |_, _| answer(400, "Content-Type: text/html\r\n", page));
    let ca_file = files.write("ca.pem", &authority.pem());
    let error =
        failure_in_time(&https("localhost", &server).set("ca_file", &ca_file).build().unwrap());
    assert_eq!((error.kind(), error.http_status()), (BadResponse, Some(400)), "{error}");
    assert!(error.message().contains("wants a client certificate, and none is set"), "{error}");
    assert!(!error.message().contains("captive"), "{error}");
}

#[test]
fn files_that_cannot_be_used_are_mistakes_in_the_options() {
    let (authority, files) = (Authority::new(), Files::new());
    let server = Server::tls(open_server(&authority.sign("localhost")));
    let (own, other) = (authority.sign("device-7"), authority.sign("device-8"));
    let cert = files.write("cert.pem", &own.cert.pem());
    let key = files.write("key.pem", &own.key.serialize_pem());
    let other_key = files.write("other-key.pem", &other.key.serialize_pem());
    let junk =
        files.write("junk.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let junk_key = files
        .write("junk-key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let missing = files.path("missing.pem").to_str().unwrap().to_owned();
    for (cert_file, key_file, named) in [
        (&cert, &other_key, "other-key.pem"),
        (&cert, &cert, "cert.pem"),
        (&key, &key, "key.pem"),
        (&junk, &key, "junk.pem"),
        (&cert, &junk_key, "junk-key.pem"),
        (&missing, &key, "missing.pem"),
        (&cert, &missing, "missing.pem"),
    ] {
        let error = https("localhost", &server)
            .set("client_cert_file", cert_file)
            .set("client_key_file", key_file)
            .build()
            .unwrap_err();
        assert_eq!(error.kind(), Config, "{error}");
        assert!(error.message().contains(named), "{error}");
    }
    let error = https("localhost", &server).set("client_cert_file", &cert).build().unwrap_err();
    assert_eq!(error.kind(), Config, "{error}");
    for ca_file in [&junk, &key, &missing] {
        let error = https("localhost", &server).set("ca_file", ca_file).build().unwrap_err();
        assert_eq!(error.kind(), Config, "{error}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn files_that_break_later_are_an_error_and_no_panic() {
    let (authority, files) = (Authority::new(), Files::new());
    let server = Server::tls(mutual_server(&authority.sign("localhost"), &authority));
    let (own, other) = (authority.sign("device-7"), authority.sign("device-8"));
    let ca_file = files.write("ca.pem", &authority.pem());
    let build = || {
        https("localhost", &server)
            .set("ca_file", &ca_file)
            .set("client_cert_file", &files.write("cert.pem", &own.cert.pem()))
            .set("client_key_file", &files.write("key.pem", &own.key.serialize_pem()))
            .build()
            .unwrap()
    };
    let client = build();
    files.write("key.pem", &other.key.serialize_pem());
    assert_eq!(failure_in_time(&client).kind(), Tls);
    let client = build();
    std::fs::remove_file(files.path("key.pem")).unwrap();
    assert_eq!(failure_in_time(&client).kind(), Tls);
    assert_eq!(server.connections(), 0);
    // The error was remembered; what is mended is used as soon as that ends.
    files.write("key.pem", &own.key.serialize_pem());
    client.wake();
    assert_eq!(value(client.token()), "token-1");
}

// --- files of which some cannot be read ------------------------------------------------------

const DAMAGED: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/// A client that tells, and the warnings it has told.
fn told(builder: Builder) -> (Client, Arc<Mutex<Vec<String>>>) {
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let told = warnings.clone();
    let client = builder.on_event(move |event: &Event| {
        if event.kind == EventKind::Warning && event.message.contains("_file ") {
            told.lock().unwrap().push(event.message.clone());
        }
    });
    (client.build().unwrap(), warnings)
}

#[test]
fn one_damaged_certificate_among_good_ones_is_told_and_costs_nothing() {
    let (authority, other, files) = (Authority::new(), Authority::new(), Files::new());
    let server = Server::tls(open_server(&authority.sign("localhost")));
    let text = format!("{}{DAMAGED}{}", other.pem(), authority.pem()).replace('\n', "\r\n");
    let ca_file = files.write("ca.pem", &text);
    let (client, warnings) = told(https("localhost", &server).set("ca_file", &ca_file));
    until("it is told at once", || !warnings.lock().unwrap().is_empty());
    assert_eq!(value(client.token()), "token-1");
    drop(client);
    until("everything is told", || Arc::strong_count(&warnings) == 1);
    let warnings = warnings.lock().unwrap();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    let expected = "ca.pem: 1 of 3 certificates cannot be read (number 2)";
    assert!(warning.contains(expected) && warning.contains("the others are used"), "{warning}");
}

#[test]
fn a_running_client_outlives_what_happens_to_its_ca_file() {
    let (authority, other, files) = (Authority::new(), Authority::new(), Files::new());
    let server = Server::tls(open_server(&authority.sign("localhost")));
    let ca_file = files.write("ca.pem", &authority.pem());
    let build = || https("localhost", &server).set("ca_file", &ca_file);
    let (client, warnings) = told(build());
    let mut renewed = {
        let mut tokens = 0;
        move || {
            tokens += 1;
            let token = client.token().unwrap();
            assert_eq!(token.value(), format!("token-{tokens}"));
            client.invalidate(&token);
            // Two fetches of an entry begin a second apart.
            client.wake();
        }
    };
    renewed();
    files.write("ca.pem", DAMAGED);
    assert_eq!(build().build().unwrap_err().kind(), Config);
    renewed();
    std::fs::remove_file(files.path("ca.pem")).unwrap();
    renewed();
    // What can be read counts, although it was another one that was trusted before.
    files.write("ca.pem", &format!("{}{DAMAGED}", authority.pem()));
    renewed();
    until("three changes are told", || warnings.lock().unwrap().len() == 3);
    let told = warnings.lock().unwrap().clone();
    assert!(told[0].contains("number 1") && told[0].contains("held before is used"), "{told:?}");
    assert!(told[1].contains("cannot be read (No such file"), "{told:?}");
    assert!(told[2].contains("number 2") && told[2].contains("others are used"), "{told:?}");
    files.write("ca.pem", &other.pem());
    let error = build().build().unwrap().token().map(drop).unwrap_err();
    assert_eq!(error.kind(), Tls, "{error}");
}

#[test]
fn sessions_are_resumed_as_long_as_roots_and_certificate_stay_the_same() {
    let (authority, other, files) = (Authority::new(), Authority::new(), Files::new());
    let server = Server::tls(open_server(&authority.sign("localhost")));
    let ca_file = files.write("ca.pem", &authority.pem());
    let own = |name: &str| {
        let own = authority.sign(name);
        files.write("own.pem", &own.cert.pem());
        files.write("own.key", &own.key.serialize_pem());
    };
    own("first");
    let build = || {
        let (cert, key) = (files.path("own.pem"), files.path("own.key"));
        https("localhost", &server)
            .set("ca_file", &ca_file)
            .set("client_cert_file", cert.to_str().unwrap())
            .set("client_key_file", key.to_str().unwrap())
            .build()
            .unwrap()
    };
    let client = build();
    let mut fetches = 0;
    let mut fetch = |client: &Client| {
        let scope = format!("scope-{fetches}");
        let options = GetOptions { scope: Some(&scope), ..GetOptions::default() };
        client.get(&options).unwrap();
        fetches += 1;
        until("the connection has ended", || server.resumed().len() == fetches);
        server.resumed()[fetches - 1]
    };
    assert_eq!([fetch(&client), fetch(&client), fetch(&client)], [false, true, true]);
    // A client of its own shares no session: its files may say something else.
    let another = build();
    assert_eq!([fetch(&another), fetch(&another)], [false, true]);
    files.write("ca.pem", &format!("{}{}", authority.pem(), other.pem()));
    assert_eq!([fetch(&client), fetch(&client)], [false, true]);
    own("second");
    assert_eq!([fetch(&client), fetch(&client)], [false, true]);
    // The same content, written again, is no change.
    files.write("ca.pem", &format!("{}{}", authority.pem(), other.pem()));
    assert!(fetch(&client));
}

#[test]
fn a_session_in_which_the_server_wanted_a_certificate_is_not_resumed() {
    let (authority, files) = (Authority::new(), Files::new());
    let server = Server::tls(asking_server(&authority.sign("localhost"), &authority));
    let ca_file = files.write("ca.pem", &authority.pem());
    let client = https("localhost", &server).set("ca_file", &ca_file).build().unwrap();
    for scope in ["a", "b"] {
        client.get(&GetOptions { scope: Some(scope), ..GetOptions::default() }).unwrap();
    }
    until("both connections have ended", || server.resumed().len() == 2);
    assert_eq!(server.resumed(), [false, false]);
}

#[test]
fn a_chain_is_sent_as_far_as_it_can_be_read() {
    let (authority, files) = (Authority::new(), Files::new());
    let server = Server::tls(mutual_server(&authority.sign("localhost"), &authority));
    let own = authority.sign("device-7");
    let ca_file = files.write("ca.pem", &authority.pem());
    let key = files.write("key.pem", &own.key.serialize_pem());
    let build = |chain: &str| {
        https("localhost", &server)
            .set("ca_file", &ca_file)
            .set("client_cert_file", &files.write("chain.pem", chain))
            .set("client_key_file", &key)
    };
    let both = format!("{}{}{DAMAGED}", own.key.serialize_pem(), own.cert.pem());
    let (client, warnings) = told(build(&both));
    assert_eq!(value(client.token()), "token-1");
    until("it is told", || warnings.lock().unwrap().len() == 1);
    assert!(warnings.lock().unwrap()[0].contains("client_cert_file"), "{warnings:?}");
    // The first is the client's own: nothing can take its place.
    let error = build(&format!("{DAMAGED}{}", own.cert.pem())).build().unwrap_err();
    assert_eq!(error.kind(), Config);
    assert!(error.message().contains("chain.pem: 1 of 2 certificates"), "{error}");
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let builder = build(&own.cert.pem()).set("client_key_file", &files.write("e.pem", encrypted));
    let error = builder.build().unwrap_err();
    assert!(error.message().contains("e.pem is encrypted"), "{error}");
}

#[test]
fn an_authority_is_no_server() {
    let files = Files::new();
    let mut identity = Identity::self_signed("localhost");
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    identity.cert = params.self_signed(&identity.key).unwrap();
    let server = Server::tls(open_server(&identity));
    let ca_file = files.write("ca.pem", &identity.cert.pem());
    let client = https("localhost", &server).set("ca_file", &ca_file).build().unwrap();
    let error = refused(&client, &server);
    assert!(error.message().contains("CA:TRUE"), "{error}");
}

/// Tell the test that runs in a process of its own where to ask, and what to expect.
const CHILD_URL: &str = "TLS_TEST_URL";
const CHILD_ERROR: &str = "TLS_TEST_ERROR";
/// A directory that the child creates, enters and removes first; then it goes to the one above.
const CHILD_GONE: &str = "TLS_TEST_GONE";

#[test]
#[ignore = "run by the test below, in an environment of its own"]
fn in_a_process_of_its_own() {
    let Ok(url) = std::env::var(CHILD_URL) else { return };
    let gone = std::env::var_os(CHILD_GONE);
    if let Some(gone) = &gone {
        std::fs::create_dir(gone).unwrap();
        std::env::set_current_dir(gone).unwrap();
        std::fs::remove_dir(gone).unwrap();
    }
    let hangs = std::env::var(CHILD_ERROR).is_ok_and(|expected| expected.contains("hang"));
    let client = if hangs { hasty(builder(&url)) } else { builder(&url) }.build().unwrap();
    // As daemons do.
    let elsewhere = gone.as_ref().and_then(|gone| Path::new(gone).parent());
    std::env::set_current_dir(elsewhere.unwrap_or(Path::new("/"))).unwrap();
    match std::env::var(CHILD_ERROR) {
        Ok(expected) => {
            let error = failure_in_time(&client);
            assert_eq!(error.kind(), if hangs { Network } else { Tls }, "{error}");
            assert!(error.message().contains(&expected), "{error}");
        }
        Err(_) => {
            let token = client.token().unwrap();
            // The environment is read when a client is created.
            // SAFETY: no other thread looks at it; the library's do not.
            unsafe {
                std::env::set_var("SSL_CERT_FILE", "/elsewhere");
                std::env::remove_var("SSL_CERT_DIR");
            }
            client.invalidate(&token);
            assert!(client.token().unwrap().serial() > token.serial());
            let error = failure_in_time(&builder(&url).build().unwrap());
            assert!(error.message().contains("SSL_CERT_FILE"), "{error}");
            assert!(error.message().contains("/elsewhere"), "{error}");
        }
    }
}

// Elsewhere the system verifies by itself.
#[cfg(target_os = "linux")]
#[test]
fn the_variables_that_name_a_trust_store() {
    let (authority, files) = (Authority::new(), Files::new());
    let server = Server::tls(open_server(&authority.sign("localhost")));
    let good = files.write("good.pem", &format!("{DAMAGED}{}", authority.pem()));
    let (bad, other) = (
        files.write("bad.pem", DAMAGED),
        files.write("other.pem", &Authority::called("other").pem()),
    );
    let directory = files.path("").to_str().unwrap().to_owned();
    let _pipe = make_pipe(files.path("pipe").to_str().unwrap());
    let cases: [(&str, &str, Option<&str>); 12] = [
        (&good, "", None),
        ("good.pem", "", None),
        ("", "nowhere:.", None),
        (&good, "/nowhere", None),
        ("", &directory, None),
        // What is set to nothing is not set.
        ("", "", Some("in the system's trust store")),
        ("", "/nowhere", Some("read in the trust store that SSL_CERT_DIR names (/nowhere)")),
        (&bad, "", Some("read in the trust store that SSL_CERT_FILE names (")),
        (&other, "", Some("no authority in the trust store that SSL_CERT_FILE names (")),
        (
            "/nowhere",
            "/nowhere",
            Some("that SSL_CERT_FILE and SSL_CERT_DIR name (/nowhere, /nowhere)"),
        ),
        ("pipe", "", Some("the files of the trust store may hang")),
        // A message is one line.
        ("/no\n\u{1b}where", "", Some("that SSL_CERT_FILE names (/nowhere)")),
    ];
    let gone = files.path("gone");
    // What lies where the program goes is not what a relative path has named.
    let gone_cases = [
        ("good.pem", "", Some("in the trust store that SSL_CERT_FILE names: fix it")),
        ("", ".", Some("in the trust store that SSL_CERT_DIR names: fix it")),
        (&good, ":", None),
        ("", ":/nowhere:", Some("that SSL_CERT_DIR names (/nowhere): fix it")),
    ];
    let cases = cases.map(|case| (None, case));
    let gone_cases = gone_cases.map(|case| (Some(gone.as_path()), case));
    for (gone, (file, directory, error)) in cases.into_iter().chain(gone_cases) {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "tls::in_a_process_of_its_own", "--ignored", "--nocapture"]);
        child.current_dir(files.path(""));
        child.env(CHILD_URL, format!("https://localhost:{}/token/v2", server.port()));
        child.env("SSL_CERT_FILE", file).env("SSL_CERT_DIR", directory);
        child.env_remove(CHILD_ERROR).envs(error.map(|error| (CHILD_ERROR, error)));
        child.env_remove(CHILD_GONE).envs(gone.map(|gone| (CHILD_GONE, gone)));
        let ended = child.output().unwrap();
        let (output, errors) = (lossy(&ended.stdout), lossy(&ended.stderr));
        assert!(ended.status.success(), "{file} {directory}: {output}{errors}");
        assert!(output.contains("1 passed"), "{output}");
    }
}
