//! From start to end: hosts, hostile clients, load, and the command.

mod common;
#[cfg(unix)]
#[path = "lifecycle/env_file.rs"]
mod env_file;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use common::{form, get, post, raw, raw_token_request, token};
use tu_token_emulator::{Emulator, NewKey, StartError};

fn emulator() -> Emulator {
    Emulator::start().expect("an emulator")
}

#[test]
fn only_this_machine_is_answered() {
    let emulator = emulator();
    for (host, lines) in [
        ("example.com", ""),
        ("example.com:8477", ""),
        ("127.0.0.1.example.com", ""),
        ("localhost", "Origin: https://example.com\r\n"),
        ("localhost", "Origin: null\r\n"),
        ("localhost", "Host: localhost\r\n"),
    ] {
        let request = raw_token_request(&emulator, host, lines);
        let answer = raw(&emulator, request.as_bytes()).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 403 "), "{host} {lines}: {answer}");
        assert!(answer.contains("content-type: application/json"), "{answer}");
        let request = request.replace("/token/v2", "/_emulator/faults");
        assert!(
            raw(&emulator, request.as_bytes()).expect("an answer").starts_with("HTTP/1.1 403 ")
        );
    }
    for (host, lines) in
        [("localhost", ""), ("[::1]:1", ""), ("127.0.0.1", "Origin: http://localhost:3000\r\n")]
    {
        let request = raw_token_request(&emulator, host, lines);
        let answer = raw(&emulator, request.as_bytes()).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host} {lines}: {answer}");
    }
    assert!(
        emulator
            .journal()
            .iter()
            .any(|entry| entry.outcome == "not_loopback" && entry.status == Some(403))
    );
}

#[test]
fn odd_bytes_do_no_harm() {
    let emulator = emulator();
    let long = format!(
        "POST /token/v2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n{}",
        "x".repeat(100)
    );
    // How much one connection can make the emulator hold.
    let line = format!("X-Long: {}\r\n", "x".repeat(10_000));
    let wide = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", line.repeat(20));
    for bytes in [
        &b"\r\n\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"POST /token/v2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /token/v2 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET http://localhost/token/v2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /api/asset/v2/assets HTTP/1.1\r\nHost: localhost\r\nAuthorization: \xff\r\nConnection: close\r\n\r\n",
        b"GET /public/api/aemp/v2/15143/-3/Fleet/%FF HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        long.as_bytes(),
        wide.as_bytes(),
    ] {
        let mut stream = TcpStream::connect(emulator.address()).expect("connected");
        // Either an error response or a closed connection, perhaps before all has been sent.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(bytes));
    }
    let huge =
        post(&emulator, &format!("{}&x={}", form(emulator.demo_key(), "a"), "y".repeat(70_000)));
    assert_eq!(huge.status, 413);
    assert_eq!(get(&emulator, "/api/asset/v2/assets", &token(&emulator, "asset.view")).status, 200);
}

#[test]
fn many_clients_at_once_are_served() {
    let emulator = emulator();
    let waiting: Vec<TcpStream> =
        (0..500).map(|_| TcpStream::connect(emulator.address()).expect("connected")).collect();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    token(&emulator, "asset.view");
                }
            });
        }
    });
    assert_eq!(emulator.token_requests(), 800);
    drop(waiting);
}

#[test]
fn a_failed_start_says_why() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let error = Emulator::builder().port(port).start().expect_err("the port is taken");
    assert!(
        matches!(error, StartError::Listen(..)) && error.to_string().contains("is in use"),
        "{error}"
    );
    for (builder, reason) in [
        (Emulator::builder().expires_in(0), "expires_in"),
        (Emulator::builder().max_keys(0), "max_keys"),
        (Emulator::builder().token_length(1), "token_length"),
        (
            Emulator::builder().key(NewKey::new("demo", "a")),
            "another active API key is named \"demo\"",
        ),
        (Emulator::builder().demo_key(NewKey::new("demo", "")), "at least one allowed scope"),
    ] {
        let error = builder.start().expect_err(reason);
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn it_starts_stops_and_fails_inside_an_asynchronous_program() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let emulator = emulator();
        let port = emulator.address().port();
        assert!(Emulator::builder().port(port).start().is_err());
        token(&emulator, "asset.view");
    });
}

#[cfg_attr(not(unix), allow(dead_code))]
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tu-token-emulator"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The command's output before it waits.
fn first_lines(child: &mut Child) -> Vec<String> {
    let out = BufReader::new(child.stdout.take().expect("a pipe"));
    out.lines().map(|line| line.expect("a line")).take(7).collect()
}

#[test]
fn the_command_refuses_with_2() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    for (arguments, reason) in [
        (&["--port", &port][..], "is in use"),
        (&["--port", "0", "--expires-in", "0"], "expires_in"),
        (&["--port", "0", "--env-file", "/nowhere/at/all"], "/nowhere/at/all"),
        (&["--prot", "0"], "unexpected argument"),
    ] {
        let output = command(arguments).output().expect("ran");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(reason), "{text}");
    }
}
