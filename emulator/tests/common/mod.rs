//! A plain HTTP client, and one for hand-written requests.

// Each test file uses only a part of this.
#![allow(dead_code)]

pub mod process;
pub mod state_file;

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use tu_token_emulator::{Emulator, IssuedKey};
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

pub const FORM: &str = "application/x-www-form-urlencoded";

/// A complete response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a readable header"))
    }

    /// A string member of the body, without a JSON parser.
    pub fn member(&self, name: &str) -> String {
        let value: serde_json::Value = serde_json::from_str(&self.body).expect("JSON");
        value[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.body)).to_owned()
    }
}

use tu_token_emulator::serde_json;

/// Sends a request and returns the response, whatever its status.
pub fn try_send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer, ureq::Error> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(0)
        .timeout_global(Some(Duration::from_secs(20)))
        .build()
        .into();
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = match body {
        "" => agent.run(request.body(()).expect("a request"))?,
        _ => agent.run(request.body(body).expect("a request"))?,
    };
    Ok(Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.body_mut().read_to_string()?,
    })
}

pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    try_send(method, url, headers, body).expect("an answer")
}

pub fn get(emulator: &Emulator, path: &str, token: &str) -> Answer {
    send(
        "GET",
        &format!("{}{path}", emulator.url()),
        &[("authorization", &format!("Bearer {token}"))],
        "",
    )
}

pub fn control(emulator: &Emulator, method: &str, path: &str, body: &str) -> Answer {
    send(method, &format!("{}/_emulator/{path}", emulator.url()), &[], body)
}

/// Sends a token request with this body.
pub fn post(emulator: &Emulator, body: &str) -> Answer {
    send("POST", &emulator.token_url(), &[("content-type", FORM)], body)
}

/// The body of a token request. The keys of these tests need no encoding.
pub fn form(key: &IssuedKey, scope: &str) -> String {
    format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
        key.client_id,
        key.client_secret,
        scope.replace(' ', "+")
    )
}

/// Obtains a token with the demo key.
pub fn token(emulator: &Emulator, scope: &str) -> String {
    let answer = post(emulator, &form(emulator.demo_key(), scope));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.member("access_token")
}

/// Sends these bytes and reads until the connection ends.
pub fn raw(emulator: &Emulator, bytes: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(emulator.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The bytes of a token request with this host and further header lines.
pub fn raw_token_request(emulator: &Emulator, host: &str, lines: &str) -> String {
    let body = form(emulator.demo_key(), "asset.view");
    format!(
        "POST /token/v2 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {FORM}\r\n\
         Content-Length: {}\r\n{lines}\r\n{body}",
        body.len()
    )
}
