//! TLS that cannot be trusted gets no secret: one attempt, and an error that says why.

mod support;

use support::tls::{Authority, Files, Identity, mutual_server, open_server};
use support::{Server, answer, builder, failure_in_time, value};
use tu_token::ErrorKind::{Config, Network, Tls};
use tu_token::{Builder, Client, Error};

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

#[test]
fn https_to_a_port_that_speaks_plain_http() {
    let server = Server::always(answer(400, "", "The plain HTTP request was sent to HTTPS port"));
    let client = https("127.0.0.1", &server).build().unwrap();
    refused(&client, &server);
    let hello = &server.received()[0];
    assert!(!hello.head.contains(support::SECRET) && hello.body.is_empty());
}

#[test]
fn a_self_signed_certificate_is_trusted_only_by_ca_file() {
    let identity = Identity::self_signed("localhost");
    let (files, config) = (Files::new(), open_server(&identity));
    let server = Server::tls(config.clone());
    let error = refused(&https("localhost", &server).build().unwrap(), &server);
    assert!(error.message().contains("trust store"), "{error}");
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
    assert!(error.message().contains("other.pem"), "{error}");
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_certificate_for_another_host() {
    let (authority, files) = (Authority::new(), Files::new());
    let server = Server::tls(open_server(&authority.sign("auth.example")));
    let ca_file = files.write("ca.pem", &authority.pem());
    let client = https("localhost", &server).set("ca_file", &ca_file).build().unwrap();
    let error = refused(&client, &server);
    assert!(error.message().contains("another host name"), "{error}");
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
    assert!(matches!(error.kind(), Tls | Network), "{error}");
    assert_eq!(server.requests(), 1);
}

/// A pipe that holds a text, and its name.
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

#[cfg(unix)]
#[test]
fn relative_certificates_and_keys_mean_the_directory_that_the_client_was_made_in() {
    let authority = Authority::new();
    let server = Server::tls(mutual_server(&authority.sign("localhost"), &authority));
    let (own, files) = (authority.sign("device-7"), Files::new());
    files.write("ca.pem", &authority.pem());
    files.write("cert.pem", &own.cert.pem());
    files.write("key.pem", &own.key.serialize_pem());
    let former = std::env::current_dir().unwrap();
    std::env::set_current_dir(files.path("")).unwrap();
    let client = https("localhost", &server)
        .set("ca_file", "ca.pem")
        .set("client_cert_file", "./cert.pem")
        .set("client_key_file", "key.pem")
        .build();
    std::env::set_current_dir(former).unwrap();
    assert_eq!(value(client.unwrap().token()), "token-1");
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
