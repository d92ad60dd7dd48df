//! Relative paths mean the directory that the client was made in, wherever the process goes later.

#![cfg(unix)]

use std::time::Duration;

use crate::alone;
use crate::support::credentials::*;
use crate::support::tls::{Authority, Files, mutual_server};
use crate::support::{Server, builder, value};

/// Changes the working directory of the process until it is dropped.
struct Inside(std::path::PathBuf);

impl Inside {
    fn of(directory: &std::path::Path) -> Self {
        let former = std::env::current_dir().unwrap();
        std::env::set_current_dir(directory).unwrap();
        Self(former)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        std::env::set_current_dir(&self.0).unwrap();
    }
}

#[test]
fn a_relative_path_means_the_directory_that_the_client_was_made_in() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let (files, elsewhere) = (Files::new(), Files::new());
    files.write("secret", OLD);
    elsewhere.write("secret", "of another program");
    let _inside = Inside::of(&files.path(""));
    let (client, clock) = of_file(&server, "secret", &[]);
    // As daemon(3) does it.
    let _elsewhere = Inside::of(&elsewhere.path(""));
    for secret in [OLD, NEW] {
        files.write("secret", secret);
        client.token().unwrap();
        assert!(server.received().last().unwrap().body.contains(secret));
        clock.advance(Duration::from_secs(1200));
    }
}

#[test]
fn relative_certificates_and_keys_mean_the_directory_that_the_client_was_made_in() {
    let _alone = alone();
    let authority = Authority::new();
    let server = Server::tls(mutual_server(&authority.sign("localhost"), &authority));
    let (own, files) = (authority.sign("device-7"), Files::new());
    files.write("ca.pem", &authority.pem());
    files.write("cert.pem", &own.cert.pem());
    files.write("key.pem", &own.key.serialize_pem());
    let inside = Inside::of(&files.path(""));
    let client = builder(&format!("https://localhost:{}/token/v2", server.port()))
        .set("ca_file", "ca.pem")
        .set("client_cert_file", "./cert.pem")
        .set("client_key_file", "key.pem")
        .build();
    drop(inside);
    assert_eq!(value(client.unwrap().token()), "token-1");
}
