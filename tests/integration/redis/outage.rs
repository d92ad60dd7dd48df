//! Whatever happens to the server while processes get tokens: it costs requests, and nothing else.

use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::server::{Redis, Reply};
use crate::crowd;
use crate::support::{Server, token};

/// The lifetime of tokens; they are renewed after 5 s at the earliest.
const LIFETIME: u64 = 10;
const EARLIEST_RENEWAL: Duration = Duration::from_secs(5);
const SECONDS: u64 = 60;
/// Processes with one client each, and processes whose every get is a new client's.
const WARM: usize = 8;
const COLD: usize = 2;

const STORE_TIMEOUT: Duration = Duration::from_millis(250);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// By this a lock outlives the longest attempt.
const LOCK_MARGIN: Duration = Duration::from_millis(500);
/// What a busy machine adds.
const NOISE: Duration = Duration::from_secs(5);

const PASSWORD: &str = "hush-0123456789";

/// A server's place, and what is there now.
struct Place {
    directory: PathBuf,
    redis: Option<Redis>,
    impostor: Option<Impostor>,
}

/// What happens to a server.
struct Trouble {
    name: &'static str,
    begin: fn(&mut Place),
    /// Every 200 ms from then on.
    again: fn(&mut Place),
    end: fn(&mut Place),
}

impl Place {
    fn redis(&self) -> &Redis {
        self.redis.as_ref().unwrap()
    }

    /// Runs a command that must succeed.
    fn tell(&self, words: &str) {
        assert_eq!(self.redis().tell(words), Reply::Line("OK".to_owned()), "{words}");
    }

    /// As the default user after a login with a password.
    fn tell_as(&self, password: &str, words: &[&str]) -> Reply {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.redis().run_as(Some(password), &words)
    }

    fn kill(&mut self) {
        self.redis = None;
    }

    fn restart(&mut self) {
        self.impostor = None;
        self.redis = Redis::start(&self.directory, &[]);
    }

    /// Puts something else in the server's place.
    fn replace(&mut self, bytes: &'static [u8], pause: Duration) {
        let socket = self.redis().socket().to_owned();
        self.kill();
        std::fs::remove_file(&socket).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        self.impostor = Some(Impostor::new(listener, bytes, pause));
    }
}

/// Sends the same over and over on every connection, whatever it receives.
struct Impostor(Arc<AtomicBool>);

impl Impostor {
    fn new(listener: UnixListener, bytes: &'static [u8], pause: Duration) -> Self {
        let has_ended = Arc::new(AtomicBool::new(false));
        let ended = has_ended.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let ended = ended.clone();
                std::thread::spawn(move || {
                    for byte in bytes.iter().cycle() {
                        if ended.load(Ordering::SeqCst) || stream.write_all(&[*byte]).is_err() {
                            return;
                        }
                        std::thread::sleep(pause);
                    }
                });
            }
        });
        Self(has_ended)
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn nothing(_: &mut Place) {}

fn set_password(place: &mut Place, from: &str, to: &str) {
    let set = place.tell_as(from, &["CONFIG", "SET", "requirepass", to]);
    assert_eq!(set, Reply::Line("OK".to_owned()));
    // Connections that are open stay logged in otherwise.
    place.tell_as(to, &["CLIENT", "KILL", "TYPE", "normal"]);
}

const TROUBLES: [Trouble; 8] = [
    Trouble { name: "killed", begin: Place::kill, again: nothing, end: Place::restart },
    Trouble {
        name: "stopped",
        begin: |place| place.redis().signal(libc::SIGSTOP),
        again: nothing,
        end: |place| place.redis().signal(libc::SIGCONT),
    },
    Trouble {
        name: "full",
        begin: |place| place.tell("CONFIG SET maxmemory 1"),
        again: nothing,
        end: |place| place.tell("CONFIG SET maxmemory 0"),
    },
    Trouble {
        name: "replica",
        begin: |place| place.tell("REPLICAOF 127.0.0.1 1"),
        again: nothing,
        end: |place| place.tell("REPLICAOF NO ONE"),
    },
    Trouble {
        name: "garbage",
        begin: |place| place.replace(b"\xff\x00garbage$12\r\n*", Duration::ZERO),
        again: nothing,
        end: Place::restart,
    },
    Trouble {
        name: "trickling",
        begin: |place| place.replace(b"$60000\r\n", Duration::from_millis(20)),
        again: nothing,
        end: Place::restart,
    },
    Trouble {
        name: "another password",
        begin: |place| set_password(place, PASSWORD, "another-0123456789"),
        again: nothing,
        end: |place| set_password(place, "another-0123456789", PASSWORD),
    },
    Trouble {
        name: "flushed",
        begin: nothing,
        again: |place| place.tell("FLUSHALL"),
        end: nothing,
    },
];

#[test]
#[ignore = "takes a minute"]
fn whatever_happens_to_the_server_costs_no_token() {
    let directory = tempfile::tempdir().unwrap();
    let Some(redis) = Redis::start(directory.path(), &[]) else { return };
    drop(redis);
    std::thread::scope(|scope| {
        for trouble in &TROUBLES {
            scope.spawn(|| try_out(trouble));
        }
    });
}

fn try_out(trouble: &Trouble) {
    let directory = tempfile::tempdir().unwrap();
    let mut place = Place { directory: directory.path().to_owned(), redis: None, impostor: None };
    place.restart();
    let mut login = String::new();
    if trouble.name == "another password" {
        login = format!(":{PASSWORD}@");
        place.tell(&format!("CONFIG SET requirepass {PASSWORD}"));
    }
    let server = Server::new(|before, _| token(&format!("token-{before}"), LIFETIME));
    let url = server.url();
    let (store, millis) = (place.redis().url(&login), |time: Duration| format!("{time:?}"));
    let (store_timeout, request_timeout) = (millis(STORE_TIMEOUT), millis(REQUEST_TIMEOUT));
    let start = |command, scope| {
        let options = [
            ("client_id", "id-of-a-client"),
            ("client_secret", "client-secret-0123456789"),
            ("token_url", &url),
            ("scope", scope),
            ("store", &store),
            ("store_timeout", &store_timeout),
            ("request_timeout", &request_timeout),
            ("log", "warn"),
        ];
        crowd::start(command, &options, SECONDS)
    };
    let warm: Vec<_> = (0..WARM).map(|_| start(crowd::rust(), "warm")).collect();
    let cold: Vec<_> = (0..COLD).map(|_| start(crowd::cold(), "cold")).collect();

    // Several tokens end during the trouble, and several after it.
    let wait = |seconds| std::thread::sleep(Duration::from_secs(seconds));
    wait(5);
    (trouble.begin)(&mut place);
    let end = Instant::now() + Duration::from_secs(25);
    while Instant::now() < end {
        (trouble.again)(&mut place);
        std::thread::sleep(Duration::from_millis(200));
    }
    (trouble.end)(&mut place);

    let name = trouble.name;
    let warm: Vec<_> = warm.into_iter().map(crowd::outcome).collect();
    let cold: Vec<_> = cold.into_iter().map(crowd::outcome).collect();
    let slowest = |all: &[crowd::Outcome]| all.iter().map(|one| one.slowest).max().unwrap();
    let requests: Vec<_> = warm.iter().map(|outcome| outcome.requests).collect();
    eprintln!("{name}: requests {requests:?}; slowest {:?}, {:?}", slowest(&warm), slowest(&cold));
    for outcome in warm.iter().chain(&cold) {
        assert_eq!((outcome.failed, outcome.expired), (0, 0), "{name}: {outcome:?}");
        // Its own fetch takes a moment.
        let longest = (4 * STORE_TIMEOUT).max(REQUEST_TIMEOUT + LOCK_MARGIN) + NOISE;
        assert!(outcome.slowest < longest, "{name}: {outcome:?}");
    }
    for outcome in &warm {
        let apart = outcome.apart.unwrap_or(Duration::MAX);
        let earliest = EARLIEST_RENEWAL - Duration::from_millis(500);
        assert!(apart > earliest, "{name}: more than one request a lifetime: {outcome:?}");
    }
    let keys = match login.is_empty() {
        true => place.redis().tell("DBSIZE"),
        false => place.tell_as(PASSWORD, &["DBSIZE"]),
    };
    assert!(matches!(keys, Reply::Number(1..)), "{name}: it is used again at the end: {keys:?}");
}
