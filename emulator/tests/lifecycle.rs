//! From start to end: hosts, hostile clients, load, and the command.

mod common;

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
    ] {
        let mut stream = TcpStream::connect(emulator.address()).expect("connected");
        stream.write_all(bytes).expect("written");
        stream.shutdown(std::net::Shutdown::Write).expect("half closed");
        let mut answer = Vec::new();
        // Whether the answer is an error or a closed connection is all the same.
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
fn dropping_it_frees_the_port_and_ends_connections() {
    let emulator = emulator();
    let address = emulator.address();
    let mut open = TcpStream::connect(address).expect("connected");
    token(&emulator, "asset.view");
    drop(emulator);
    // The end of the stream, or a reset; but not silence.
    let mut byte = [0];
    assert!(!matches!(open.read(&mut byte), Ok(1)));
    assert!(TcpStream::connect(address).is_err());
    let again = Emulator::builder().port(address.port()).start().expect("the port is free");
    assert_eq!(again.address(), address);
}

#[test]
fn what_cannot_start_says_why() {
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
        (Emulator::builder().key(NewKey::new("demo", "a")), "named \"demo\" already"),
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

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tu-token-emulator"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The lines up to the last one the command prints before it waits.
fn first_lines(child: &mut Child) -> Vec<String> {
    let out = BufReader::new(child.stdout.take().expect("a pipe"));
    out.lines().map(|line| line.expect("a line")).take(6).collect()
}

#[cfg(unix)]
#[test]
fn the_command_prints_lines_for_a_shell_and_ends_on_a_signal() {
    use std::os::unix::fs::PermissionsExt as _;

    let file =
        std::env::temp_dir().join(format!("tu-token-emulator-test-{}.env", std::process::id()));
    std::fs::write(&file, "old").expect("a file of an earlier run");
    let path = file.to_str().expect("a readable path");
    for signal in ["-TERM", "-INT"] {
        let arguments =
            ["--port", "0", "--client-id", "id", "--client-secret", "it's", "--env-file", path];
        let mut child = command(&arguments).spawn().expect("started");
        let lines = first_lines(&mut child);
        let written = std::fs::read_to_string(&file).expect("a file");
        assert_eq!(written.lines().collect::<Vec<_>>(), lines[1..5]);
        assert!(lines[0].starts_with("# ") && lines[5].starts_with("# "), "{lines:?}");
        assert_eq!(lines[1], "export TRACKUNIT_CLIENT_ID=id");
        assert_eq!(lines[2], r"export TRACKUNIT_CLIENT_SECRET='it'\''s'");
        assert_eq!(lines[3], "export TRACKUNIT_SCOPE=asset.view");
        let url = lines[4].strip_prefix("export TRACKUNIT_TOKEN_URL=").expect("a url");
        assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/token/v2"), "{url}");
        assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
        let body = "grant_type=client_credentials&client_id=id&client_secret=it's&scope=asset.view";
        assert_eq!(common::send("POST", url, &[("content-type", common::FORM)], body).status, 200);

        let killed =
            Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill");
        assert!(killed.success());
        assert_eq!(child.wait().expect("ended").code(), Some(0));
        assert!(!file.exists(), "the secret is not left behind");
    }
}

#[cfg(unix)]
#[test]
fn the_command_removes_its_lines_but_not_those_of_another() {
    let directory = std::env::temp_dir().join(format!("tu-token-emulator-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("env");
    let path = file.to_str().expect("a readable path");
    let mut child = command(&["--port", "0", "--env-file", path]).spawn().expect("started");
    let another = directory.join(format!("env.{}.part", child.id()));
    std::fs::write(&another, "mine").expect("a file of somebody's");
    first_lines(&mut child);
    std::fs::write(&file, "export TRACKUNIT_CLIENT_ID=of-another-emulator\n").expect("a file");
    let stopped = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(stopped.expect("kill").success());
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    assert!(file.exists() && another.exists());
    std::fs::remove_dir_all(&directory).expect("removed");
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
