//! Sound servers that every client reaches first, and the clients.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use tu_token::{Client, Clock, Config, Event};

use crate::leaks::{PROXY_PASSWORD, SECRET, TOKEN};
use crate::line::Line;
use crate::row::{Ends, Way};
use crate::support::tls::{Authority, open_server};
use crate::support::{ID, Reply, Server, Step, token};

/// Every line's name.
pub const NAMES: &str = "*.endpoint.test";
/// The port of the URLs; lines lead to others.
const PORT: u16 = 4711;
/// The token endpoint behind a proxy, which looks the name up itself.
const BEHIND: &str = "behind-the-proxy.endpoint.test";

/// The limit that a fault runs into.
pub const SHORT: Duration = Duration::from_millis(400);
/// The same if something sound comes within the limit as well: that takes time on a busy machine.
pub const LATE: Duration = Duration::from_millis(1600);
/// One that nothing may run into.
pub const LONG: Duration = Duration::from_secs(20);

/// What a CONNECT proxy answers that has connected, and a SOCKS5 proxy.
pub const CONNECTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
pub const SOCKS_CONNECTED: [u8; 10] = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0];

pub struct Scene {
    pub authority: Authority,
    files: PathBuf,
    /// A certificate for every line.
    pub config: Arc<ServerConfig>,
    plain: Server,
    tls: Server,
    connect: Server,
    socks: Server,
}

impl Scene {
    /// Its files are in this directory.
    pub fn new(files: PathBuf) -> Self {
        let authority = Authority::called("test");
        std::fs::write(files.join("ca.pem"), authority.pem()).unwrap();
        let config = open_server(&authority.sign(NAMES));
        let tls = Server::scripted_tls(config.clone(), |_, _| token(TOKEN, 1200));
        let port = tls.port();
        Self {
            connect: Server::always(vec![Step::Send(CONNECTED.to_vec()), Step::Tunnel(port)]),
            socks: Server::new(move |_, request| via_socks(&request.bytes, port)),
            plain: Server::always(token(TOKEN, 1200)),
            authority,
            files,
            config,
            tls,
        }
    }

    /// Leads a line to the sound server.
    pub fn heal(&self, line: &Line, way: Way) {
        line.leads_to(match way {
            Way::Plain => self.plain.port(),
            Way::Tls | Way::SystemTls => self.tls.port(),
            Way::Proxy("http", _) => self.connect.port(),
            Way::Proxy(..) => self.socks.port(),
        });
        if way == Way::SystemTls {
            self.trust(true);
        }
    }

    /// Whether the system trusts the test's authority: `SSL_CERT_FILE` names this file.
    pub fn trust(&self, is_trusted: bool) {
        let path = self.files.join("system.pem");
        match is_trusted {
            true => std::fs::write(path, self.authority.pem()).unwrap(),
            false => std::fs::remove_file(path).unwrap(),
        }
    }

    pub fn client(&self, line: &Line, way: Way, ends: Ends, clock: Clock) -> (Client, Events) {
        let mut config = Config::new();
        let mut set = |key: &str, value: &str| {
            config.set(key, value);
        };
        let Line { address, name, .. } = line;
        let ca_file = self.files.join("ca.pem").to_str().unwrap().to_owned();
        match way {
            Way::Plain => set("token_url", &format!("http://{address}:{PORT}/token/v2")),
            Way::Tls | Way::SystemTls => set("token_url", &format!("https://{name}:{PORT}/v2")),
            Way::Proxy(scheme, has_login) => {
                let password: String =
                    form_urlencoded::byte_serialize(PROXY_PASSWORD.as_bytes()).collect();
                let login = if has_login { format!("gate:{password}@") } else { String::new() };
                set("proxy", &format!("{scheme}://{login}{address}:{PORT}"));
                set("token_url", &format!("https://{BEHIND}/token/v2"));
            }
        }
        if way != Way::SystemTls {
            set("ca_file", &ca_file);
        }
        let (connect, request) = match ends {
            Ends::Connect => (SHORT, LONG),
            Ends::OneConnect | Ends::HalfConnect => (LATE, LONG),
            Ends::Request => (LONG, SHORT),
            Ends::AtOnce | Ends::Pause(_) => (LONG, LONG),
        };
        set("connect_timeout", &format!("{}ms", connect.as_millis()));
        set("request_timeout", &format!("{}ms", request.as_millis()));
        set("fetch_timeout", &format!("{}s", 2 * LONG.as_secs()));
        set("timeout", &format!("{}s", 3 * LONG.as_secs()));
        set("client_id", ID);
        set("client_secret", SECRET);
        set("scope", "a b");
        let events = Events::default();
        let told = events.0.clone();
        config.on_event(move |event: &Event| told.lock().unwrap().push(event.clone()));
        (Client::with_clock(&config, clock).unwrap(), events)
    }
}

fn via_socks(greeting: &[u8], port: u16) -> Reply {
    let has_login = greeting.contains(&2);
    let mut reply = vec![Step::Send(vec![5, if has_login { 2 } else { 0 }])];
    if has_login {
        reply.push(Step::Receive(3 + "gate".len() + PROXY_PASSWORD.len()));
        reply.push(Step::Send(vec![1, 0]));
    }
    reply.push(Step::Receive(socks_request()));
    reply.extend([Step::Send(SOCKS_CONNECTED.to_vec()), Step::Tunnel(port)]);
    reply
}

/// The length of a request to a SOCKS5 proxy.
pub fn socks_request() -> usize {
    4 + 1 + BEHIND.len() + 2
}

/// What a client has told.
#[derive(Default)]
pub struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    /// All of them, once the client is gone.
    pub fn all(self) -> Vec<Event> {
        crate::support::until("everything is told", || Arc::strong_count(&self.0) == 1);
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}
