//! What users read when a store is wrong: `tu-token doctor` names it, `tu-token get` reports it once, and
//! the token still comes. No text contains the server's password.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use tu_token_emulator::Emulator;

use super::server::{Redis, free_port};
use crate::common::{Run, Shell};

/// The password in every URL here.
const PASSWORD: &str = "hush-Redis";

/// For a server that answers, on a busy machine too.
const PATIENT: &str = "10s";
/// For one that does not.
const HASTY: &str = "1s";

fn doctor(shell: &Shell, url: &str) -> serde_json::Value {
    doctor_within(shell, url, PATIENT)
}

fn doctor_within(shell: &Shell, url: &str, store_timeout: &str) -> serde_json::Value {
    let run = run(shell, &["doctor", "--json"], url, store_timeout);
    let checks = run.json()["checks"].as_array().expect("checks").clone();
    checks.into_iter().find(|check| check["check"] == "store").expect("the store's")
}

/// Runs the command with a store, with all events, and checks its output for the password.
fn run(shell: &Shell, arguments: &[&str], url: &str, store_timeout: &str) -> Run {
    let mut command = shell.command(arguments);
    command.env("TRACKUNIT_STORE", url).env("TRACKUNIT_LOG", "info");
    command.env("TRACKUNIT_STORE_TIMEOUT", store_timeout);
    let run = shell.output(&mut command);
    for text in [&run.out, &run.err] {
        assert!(!text.contains("hush"), "the password is shown: {run:?}");
    }
    run
}

/// What both commands say of this store contains `part`.
fn expect(shell: &Shell, url: &str, part: &str) {
    expect_within(shell, url, part, PATIENT);
}

fn expect_within(shell: &Shell, url: &str, part: &str, store_timeout: &str) {
    let check = doctor_within(shell, url, store_timeout);
    assert_eq!((&check["code"], &check["state"]), (&"unusable".into(), &"warning".into()));
    assert!(check["why"].as_str().expect("a text").contains(part), "{part}: {check}");
    let got = run(shell, &["get"], url, store_timeout);
    let failures: Vec<&str> =
        got.err.lines().filter(|line| line.contains("store failure")).collect();
    assert_eq!((got.code, failures.len()), (Some(0), 1), "{part}: {got:?}");
    assert!(failures[0].contains(part), "{part}: {got:?}");
    assert!(!got.out.trim().is_empty());
}

#[test]
fn doctor_leaves_nothing_on_a_server_that_works() {
    let shell = Shell::new();
    let Some(redis) = Redis::start(shell.home.path()) else { return };
    let good = doctor(&shell, &redis.url());
    assert_eq!(
        (&good["code"], &good["server"]),
        (&"usable".into(), &(redis.url() + "?db=0").into())
    );
    assert!(redis.ask("DBSIZE\r\n").starts_with(":0"), "nothing stays");
}

#[test]
fn mistakes_in_the_url() {
    let shell = Shell::new();
    for (url, part) in [
        ("redis:/host-hush", "lacks \"//\""),
        ("redis://", "names no host"),
        ("redis://user:hush@", "names no host"),
        ("redis://h?prefix=a%20hush", "prefix"),
        ("redis://h?prefix=a{hush}", "braces"),
        ("redis://h?hush", "unknown parameter"),
        ("redis://user:pass/hush@h", "%2F"),
        ("redis://hush@h", "user without a password"),
    ] {
        expect(&shell, url, part);
    }
    let wrong = run(&shell, &["get"], "disk", PATIENT);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("file:<dir> or redis://<host>"), "{wrong:?}");
}

#[test]
fn what_is_no_redis_server() {
    let shell = Shell::new();
    let other = Emulator::start().expect("a server for HTTP");
    let url = other.token_url().replace("http", "redis").replace("/token/v2", "");
    expect(&shell, &url, "is no Redis or Valkey server, but one for HTTP");
    let url = format!("redis://someone:{PASSWORD}@127.0.0.1:{}", free_port());
    expect(&shell, &url, "cannot be connected to");
    expect(&shell, "redis:///no/such.sock", "cannot be connected to");
    let url = format!("redis://:{PASSWORD}@no-such-host.invalid");
    // Without a name server, time runs out.
    let said = doctor_within(&shell, &url, HASTY)["why"].to_string();
    assert!(said.contains("cannot be reached") || said.contains("store_timeout"), "{said}");
}

#[test]
fn logins_rights_and_databases() {
    let shell = Shell::new();
    let Some(redis) = Redis::start(shell.home.path()) else { return };
    let login = |login: &str| redis.url_with(&format!("{login}:{PASSWORD}@"));
    expect(&shell, &login(""), "accepts no such login");
    expect(&shell, &login("someone"), "refuses the user or password");
    expect(&shell, &(redis.url() + "?db=99"), "has no database 99");
    let user = |name: &str, rights: &str| {
        redis.ask(&format!("ACL SETUSER {name} on >{PASSWORD} {rights}\r\n"))
    };
    user("reader", "~tu-token:* +getrange +pttl");
    expect(&shell, &login("reader"), "does not permit a command: the user needs +getrange");
    user("elsewhere", "~other:* +@all");
    expect(&shell, &login("elsewhere"), "the keys with the store's prefix");
    // Refused inside a script, which has another error code. A run notices nothing.
    user("keeper", "~tu-token:* +getrange +pttl +set +get +eval");
    let check = doctor(&shell, &login("keeper"));
    assert!(check["why"].to_string().contains("+del +pexpire"), "{check}");
    // The rights in docs/stores.md.
    user("fleet", "~tu-token:* +getrange +pttl +set +get +eval +del +pexpire +select");
    let check = doctor(&shell, &(login("fleet") + "?db=1"));
    assert_eq!(check["code"], "usable", "{check}");
    redis.ask(&format!("CONFIG SET requirepass {PASSWORD}\r\n"));
    expect(&shell, &redis.url(), "requires a password");
    expect(&shell, &redis.url_with(":hush-wrong@"), "refuses the user or password");
    assert_eq!(doctor(&shell, &login(""))["code"], "usable");
}

#[test]
fn servers_that_cannot_be_written_to() {
    let shell = Shell::new();
    let Some(redis) = Redis::start(shell.home.path()) else { return };
    redis.ask("CONFIG SET maxmemory 1\r\n");
    expect(&shell, &redis.url(), "is full: raise its maxmemory");
    redis.ask("CONFIG SET maxmemory 0\r\n");
    redis.ask(&format!("REPLICAOF 127.0.0.1 {}\r\n", free_port()));
    expect(&shell, &redis.url(), "is a read-only replica: name the primary");
    redis.ask("REPLICAOF NO ONE\r\nCONFIG SET maxclients 1\r\n");
    let mut only = redis.connect();
    // The connection before it may not have been forgotten yet.
    while !is_answered(&mut only) {
        drop(only);
        only = redis.connect();
    }
    expect(&shell, &redis.url(), "has no connection left (maxclients)");
}

/// Whether a server that has no connection left has one for this.
fn is_answered(stream: &mut UnixStream) -> bool {
    const PONG: &[u8] = b"+PONG\r\n";
    let mut reply = [0; PONG.len()];
    let asked = stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut reply));
    asked.is_ok() && reply == PONG
}

#[test]
fn tls_where_there_is_none_and_none_where_there_is() {
    let shell = Shell::new();
    let cert = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let file = shell.write("cert.pem", &cert.cert.pem()).display().to_string();
    let key = shell.write("key.pem", &cert.signing_key.serialize_pem()).display().to_string();
    let (plain, tls) = (free_port(), free_port());
    let ports = [plain.to_string(), tls.to_string()];
    let options = ["--port", &ports[0], "--tls-port", &ports[1], "--tls-cert-file", &file];
    let trust = ["--tls-key-file", &key, "--tls-ca-cert-file", &file];
    let Some(redis) = Redis::start_with(shell.home.path(), &[&options[..], &trust].concat()) else {
        return;
    };
    let login = format!(":{PASSWORD}@localhost");
    redis.ask(&format!("CONFIG SET requirepass {PASSWORD}\r\n"));
    let secured = format!("rediss://{login}:{tls}?ca_file={file}");
    expect(&shell, &secured, "requires a client certificate");
    redis.ask(&format!("AUTH {PASSWORD}\r\nCONFIG SET tls-auth-clients no\r\n"));
    assert_eq!(doctor(&shell, &secured)["code"], "usable");
    expect(&shell, &secured.replace("localhost", "127.0.0.1"), "for another host name");
    expect(&shell, &format!("rediss://{login}:{tls}"), "signed by no authority in");
    expect(&shell, &format!("redis://{login}:{tls}"), "if it has TLS, write rediss://");
    // It waits for the rest of a command.
    let no_tls = format!("rediss://{login}:{plain}");
    expect_within(&shell, &no_tls, "if it has no TLS, write redis://", HASTY);
    expect(&shell, &format!("{secured}.none"), "cannot be read");
}
