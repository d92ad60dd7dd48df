//! The store against servers that misbehave as a script says, and against a real one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicUsize;
use std::thread;

use super::*;
use crate::config::redis_url;
use crate::error::ErrorKind;
use crate::store::{Bounded, MAX_RECORD_BYTES, SAME_LIFE, Store, StoreLock};
use crate::threads;

/// Ten times what the operations take at most.
const TIMEOUT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(3);
const LIFE: Duration = Duration::from_secs(60);
const NAME: &str = "0123456789abcdef0123456789abcdef01234567";

fn store(url: &str, timeout: Duration) -> RedisStore {
    RedisStore::new(&redis_url::parse(url), timeout, LIFE, &Variables::default())
}

/// Forks and returns whether `body` succeeded in the child.
fn in_child(body: impl FnOnce()) -> bool {
    crate::process::install_handlers();
    // SAFETY: the child does little, and ends without unwinding into the test runner.
    match unsafe { libc::fork() } {
        0 => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(outcome.is_err())) }
        }
        child => {
            let mut status = -1;
            // SAFETY: the child is this process's own, and `status` outlives the call.
            let waited = unsafe { libc::waitpid(child, &mut status, 0) };
            (waited, status) == (child, 0)
        }
    }
}

/// Clients of two machines share no server object.
fn stores(url: &str) -> (RedisStore, RedisStore) {
    (store(url, Duration::from_secs(20)), store(url, Duration::from_secs(21)))
}

fn is_news(store: &RedisStore, problem: &crate::store::Problem) -> bool {
    store.is_news(problem).unwrap()
}

/// A server that treats each connection as a test says.
struct Peer {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Peer {
    fn new(act: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, act) = (connections.clone(), Arc::new(act));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (act, number) = (act.clone(), count.fetch_add(1, Ordering::SeqCst));
                thread::spawn(move || act(stream, number));
            }
        });
        Self { url, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Sends an answer to whatever comes first, and then nothing.
fn answers(bytes: &'static [u8]) -> impl Fn(TcpStream, usize) {
    move |mut stream, _| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(bytes);
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

#[test]
fn what_is_no_redis_is_described_once_and_left_alone_after_three_failures() {
    for (bytes, part) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "one for HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x50", "write rediss://"),
        (b"SSH-2.0-x\r\n", "does not answer like a Redis"),
        (b"+OK\r\n+OK\r\n", "does not answer like a Redis"),
        (b"*1\r\n*1\r\n*1\r\n", "does not answer like a Redis"),
        (b"-DENIED Redis is running in protected mode\r\n+OK\r\n", "protected mode"),
        (b"-NOAUTH Authentication required.\r\n+OK\r\n", "requires a password"),
        (b"-LOADING x\r\n+OK\r\n", "still loading"),
        (b"-MOVED 7 h:1\r\n+OK\r\n", "node of a cluster"),
        (b"-ERR max number of clients reached\r\n+OK\r\n", "maxclients"),
    ] {
        let peer = Peer::new(answers(bytes));
        let store = store(&peer.url, LONG);
        let problem = store.load(NAME).unwrap_err();
        assert!(problem.message.contains(part), "{problem:?}");
        assert!(problem.message.starts_with(&peer.url) && is_news(&store, &problem));
        for _ in 0..5 {
            assert!(!is_news(&store, &store.load(NAME).unwrap_err()));
        }
        assert!(peer.connections() <= 3, "{part}: {}", peer.connections());
    }
}

#[test]
fn the_time_limit_holds_for_all_of_an_operation() {
    fn trickle(mut stream: TcpStream, bytes: &[u8]) {
        for byte in bytes.iter().cycle().take(300) {
            thread::sleep(Duration::from_millis(20));
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
        }
    }
    let silent = Peer::new(|stream, _| {
        thread::sleep(10 * LONG);
        drop(stream);
    });
    let trickles = Peer::new(|stream, _| trickle(stream, b"$65000\r\nxxxxx"));
    let line = Peer::new(|stream, _| trickle(stream, b"+"));
    let tls = Peer::new(|stream, _| trickle(stream, b"\x16\x03\x03\x3f\xff"));
    let secured = tls.url.replace("redis:", "rediss:") + "?ca_file=/dev/null";
    let slow_login = silent.url.replace("//", "//:hush@");
    for url in [&silent.url, &trickles.url, &line.url, &secured, &slow_login] {
        let begun = Instant::now();
        let problem = store(url, TIMEOUT).load(NAME).unwrap_err();
        let took = begun.elapsed();
        assert!(took < 10 * TIMEOUT, "{url}: {took:?}");
        if *url == secured {
            // No certificate can be read.
            assert_eq!(problem.kind, ErrorKind::Tls, "{problem:?}");
            continue;
        }
        assert_eq!(problem.kind, ErrorKind::Timeout, "{url}: {problem:?}");
        assert!(problem.message.contains("within store_timeout (300ms)"), "{problem:?}");
        assert!(!problem.message.contains("hush"));
    }
}

#[test]
fn the_tls_handshake_is_part_of_the_time_limit() {
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&ca_file, key.cert.pem()).unwrap();
    let peer = Peer::new(|mut stream, _| {
        for byte in b"\x16\x03\x03\x3f\xff".iter().chain(&[0; 1000]) {
            thread::sleep(Duration::from_millis(20));
            let _ = stream.write_all(&[*byte]);
        }
    });
    let plain = Peer::new(answers(b"-ERR unknown command\r\n"));
    for (peer, timeout, kind, part) in [
        (&peer, TIMEOUT, ErrorKind::Timeout, "TLS handshake"),
        (&plain, 10 * LONG, ErrorKind::Tls, "does not speak TLS"),
    ] {
        let url = peer.url.replace("redis:", "rediss:").replace("127.0.0.1", "localhost");
        let url = format!("{url}?ca_file={}", ca_file.display());
        let begun = Instant::now();
        let problem = store(&url, timeout).load(NAME).unwrap_err();
        assert!(begun.elapsed() < 10 * timeout);
        assert_eq!(problem.kind, kind, "{problem:?}");
        assert!(problem.message.contains(part), "{problem:?}");
    }
}

#[test]
fn a_name_that_does_not_resolve_and_a_port_that_nothing_listens_on() {
    for (url, part) in [
        ("redis://127.0.0.1:1".to_owned(), "cannot be connected to"),
        ("redis://no-such-host.invalid".to_owned(), ""),
        ("redis:///no/such.sock".to_owned(), "cannot be connected to"),
    ] {
        let begun = Instant::now();
        let problem = store(&url, TIMEOUT).load(NAME).unwrap_err();
        assert!(begun.elapsed() < 10 * TIMEOUT);
        assert!(problem.message.contains(part), "{problem:?}");
        assert!(matches!(problem.kind, ErrorKind::Network | ErrorKind::Timeout), "{problem:?}");
    }
}

#[test]
fn refused_commands_are_described_and_the_server_is_asked_again() {
    for (code, part) in [
        ("BUSY", "busy with a script"),
        ("NOREPLICAS", "min-replicas-to-write"),
        ("MISCONF", "cannot save to disk"),
        ("ERR", "with no command renamed?"),
    ] {
        let reply = format!("-{code} x\r\n+OK\r\n");
        let peer = Peer::new(move |mut stream, _| {
            while stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                let _ = stream.write_all(reply.as_bytes());
            }
        });
        let store = store(&peer.url, LONG);
        for turn in 0..5 {
            let problem = store.load(NAME).unwrap_err();
            assert!(problem.message.contains(part), "{problem:?}");
            assert_eq!(is_news(&store, &problem), turn == 0);
        }
        assert_eq!(peer.connections(), 1);
    }
}

/// A server that was stopped takes no connections, and its queue fills up.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn a_full_queue_of_a_unix_socket_is_waited_for_within_the_time_limit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&listener), 0) }, 0);
    let soon = || Instant::now() + Duration::from_millis(50);
    let mut queue = Vec::new();
    while let Ok(stream) = unix::connect(&path, soon()) {
        queue.push(stream);
        assert!(queue.len() < 10);
    }
    let (done, ended) = std::sync::mpsc::channel();
    let url = format!("redis://{}", path.display());
    thread::spawn(move || done.send(store(&url, TIMEOUT).load(NAME)));
    let problem = ended.recv_timeout(10 * TIMEOUT).expect("an end").unwrap_err();
    assert_eq!(problem.kind, ErrorKind::Timeout, "{problem:?}");
    assert!(problem.message.contains("could not be connected to within"), "{problem:?}");
}

#[test]
fn a_path_too_long_for_a_socket_is_a_problem() {
    let url = format!("redis:///{}", "x".repeat(200));
    let problem = store(&url, TIMEOUT).load(NAME).unwrap_err();
    assert!(problem.message.contains("more than"), "{problem:?}");
}

#[test]
fn a_mistake_in_the_url_is_a_problem_of_every_operation_told_once() {
    let store = store("redis:/hush", LONG);
    let problem = store.load(NAME).unwrap_err();
    assert_eq!(problem.kind, ErrorKind::Config);
    assert!(problem.message.starts_with("the option store lacks"), "{problem:?}");
    let again = store.try_lock(NAME).err().unwrap();
    assert!(is_news(&store, &problem) && !is_news(&store, &again));
    assert!(!again.message.contains("hush"));
}

#[test]
fn what_a_server_says_is_never_quoted() {
    let peer = Peer::new(answers(
        b"-ERR unknown command 'AUTH', with args beginning with: 'user' 'hush'\r\n",
    ));
    let problem = store(&peer.url.replace("//", "//user:hush@"), LONG).load(NAME).unwrap_err();
    assert!(problem.message.contains("accepts no such login"), "{problem:?}");
    assert!(!problem.message.contains("hush") && !problem.message.contains("user:"));
}

#[test]
fn a_connection_is_used_again_unless_the_server_has_ended_it() {
    let peer = Peer::new(|mut stream, number| {
        // Each connection answers two operations, some with more than was asked for.
        const REPLY: &[u8] = b"$1\r\nx\r\n:1000\r\n";
        for _ in 0..2 {
            let _ = stream.read(&mut [0; 4096]);
            let _ = match number {
                1 => stream.write_all(&[REPLY, b"+OK\r\n"].concat()),
                _ => stream.write_all(REPLY),
            };
            if number == 2 {
                thread::sleep(Duration::from_millis(20));
                let _ = stream.write_all(b"+OK\r\n");
            }
        }
    });
    let store = store(&peer.url, LONG);
    for connections in [1, 1, 2, 3, 4, 4] {
        let found = store.load(NAME).unwrap().unwrap();
        assert_eq!((found.record, found.left), (b"x".to_vec(), Some(Duration::from_secs(1))));
        assert_eq!(peer.connections(), connections);
        // What comes uninvited has arrived.
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn however_often_a_connection_is_kept_one_timer_closes_it() {
    let peer = Peer::new(|mut stream, _| {
        while stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
            let _ = stream.write_all(b"$0\r\n\r\n:-2\r\n");
        }
    });
    let store = store(&peer.url, LONG);
    let before = threads::timers_waiting();
    for _ in 0..1000 {
        assert_eq!(store.load(NAME).unwrap(), None);
    }
    // Other tests set some as well.
    let set = threads::timers_waiting().saturating_sub(before);
    assert!(set < 500, "{set}");
    assert_eq!(peer.connections(), 1);
}

/// A proxy resets the connection before the reply comes: the lock may be set.
#[test]
fn a_lock_whose_reply_was_lost_is_removed() {
    let (seen, removals) = std::sync::mpsc::channel();
    let seen = std::sync::Mutex::new(seen);
    let peer = Peer::new(move |mut stream, _| {
        let mut sent = [0; 4096];
        let length = stream.read(&mut sent).unwrap_or_default();
        if sent[..length].windows(4).any(|word| word == b"EVAL") {
            let _ = seen.lock().unwrap().send(());
            let _ = stream.write_all(b":1\r\n");
        }
    });
    let store = store(&peer.url, LONG);
    assert_eq!(store.try_lock(NAME).err().unwrap().kind, ErrorKind::Network);
    removals.recv_timeout(10 * LONG).expect("it is removed");
}

#[test]
fn clients_share_a_server_and_close_its_connections_at_the_end() {
    let peer = Peer::new(answers(b"$0\r\n\r\n:-2\r\n"));
    let (one, other) = (store(&peer.url, LONG), store(&peer.url, LONG));
    assert!(Arc::ptr_eq(one.server(), other.server()));
    assert_eq!(one.load(NAME).unwrap(), None);
    assert_eq!(idle::count(one.server()), 1);
    let number = one.server().clone();
    drop((one, other));
    assert_eq!(Arc::strong_count(&number), 1);
    assert_eq!(idle::count(&number), 1);
    idle::close(number.number);
    assert_eq!(idle::count(&number), 0);
}

// --- a real server ------------------------------------------------------------------------------

#[allow(dead_code)]
#[path = "../../../tests/support/redis_server.rs"]
mod process;

/// A server of this test, in a directory of its own.
pub(crate) struct Redis {
    server: process::RedisServer,
    _directory: tempfile::TempDir,
}

impl Redis {
    /// `None`: it is not installed.
    pub(crate) fn start(options: &[&str]) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let options = [&["--databases", "4"], options].concat();
        let server = process::RedisServer::start(directory.path(), &options)?;
        Some(Self { server, _directory: directory })
    }

    pub(crate) fn url(&self, login: &str, query: &str) -> String {
        format!("{}?{query}", self.server.url(login))
    }

    /// Runs a command as the default user without a password.
    fn run(&self, args: &[&[u8]]) -> wire::Reply {
        let target = redis_url::parse(&self.url("", "")).unwrap();
        let trust = Trust::for_store(None, LONG, &Variables::default());
        let mut link = Link::open(&target, &trust, Instant::now() + 10 * LONG).unwrap();
        link.ask(&[&wire::command(args)]).unwrap().remove(0)
    }

    /// The number of keys in the first database.
    pub(crate) fn keys(&self) -> i64 {
        match self.run(&[b"DBSIZE"]) {
            wire::Reply::Number(number) => number,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn records_are_saved_with_their_life_and_removed_if_they_are_still_the_same() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (one, other) = stores(&redis.url("", "db=3&prefix=p:"));
    assert_eq!(one.load(NAME).unwrap(), None);
    one.save(NAME, b"first", SAME_LIFE).unwrap();
    assert_eq!(one.load(NAME).unwrap(), None, "there was nothing to replace");
    one.save(NAME, b"first", Duration::ZERO).unwrap();
    assert_eq!(one.load(NAME).unwrap(), None, "its life was over");
    one.save(NAME, b"first", LIFE).unwrap();
    let found = other.load(NAME).unwrap().unwrap();
    assert_eq!(found.record, b"first");
    assert!(found.left.is_some_and(|left| left <= LIFE && left > LIFE / 2), "{found:?}");
    other.save(NAME, b"again", SAME_LIFE).unwrap();
    let again = one.load(NAME).unwrap().unwrap();
    assert!(again.record == b"again" && again.left.is_some_and(|left| left > LIFE / 2));
    one.remove(NAME, b"first").unwrap();
    assert_eq!(one.load(NAME).unwrap().unwrap().record, b"again");
    one.remove(NAME, b"again").unwrap();
    assert_eq!(other.load(NAME).unwrap(), None);
    // No more than a record may have is read, whatever the key holds.
    one.save(NAME, &vec![b'x'; 200_000], LIFE).unwrap();
    assert_eq!(one.load(NAME).unwrap().unwrap().record.len(), MAX_RECORD_BYTES + 1);
    // One key, in the database and with the prefix that were asked for.
    assert_eq!(redis.run(&[b"DBSIZE"]), wire::Reply::Number(0));
    let key = format!("p:{{{NAME}}}:token");
    let move_it = redis.run(&[
        b"EVAL",
        b"redis.call('select',3) return redis.call('exists',KEYS[1])",
        b"1",
        key.as_bytes(),
    ]);
    assert_eq!(move_it, wire::Reply::Number(1));
}

#[test]
fn a_trial_uses_all_of_it_and_leaves_nothing() {
    let Some(redis) = Redis::start(&[]) else { return };
    let url = redis.url("", "");
    assert_eq!(try_server(&redis_url::parse(&url), 10 * LONG).unwrap(), format!("{url}db=0"));
    assert_eq!(redis.keys(), 0);
    redis.run(&[b"CONFIG", b"SET", b"maxmemory", b"1"]);
    let problem = try_server(&redis_url::parse(&url), 10 * LONG).unwrap_err();
    assert!(problem.message.contains("is full"), "{problem:?}");
}

#[test]
fn a_lock_has_one_holder_and_ends_with_it_or_by_itself() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (one, other) = stores(&redis.url("", ""));
    let held = one.try_lock(NAME).unwrap().taken().unwrap();
    assert!(
        other.try_lock(NAME).unwrap().taken().is_none()
            && one.try_lock(NAME).unwrap().taken().is_none()
    );
    assert!(other.try_lock("another").unwrap().taken().is_some());
    drop(held);
    let held = other.try_lock(NAME).unwrap().taken().expect("it was released");
    // It ends meanwhile, and another process takes it.
    let key = format!("tu-token:{{{NAME}}}:lock");
    assert_eq!(redis.run(&[b"DEL", key.as_bytes()]), wire::Reply::Number(1));
    let taken = one.try_lock(NAME).unwrap().taken().unwrap();
    drop(held);
    assert!(
        other.try_lock(NAME).unwrap().taken().is_none(),
        "the former holder has not removed it"
    );
    // Killed: nothing releases it, and it ends by itself.
    std::mem::forget(taken);
    assert_eq!(redis.run(&[b"PEXPIRE", key.as_bytes(), b"100"]), wire::Reply::Number(1));
    thread::sleep(Duration::from_millis(300));
    assert!(other.try_lock(NAME).unwrap().taken().is_some());
}

#[test]
fn a_lock_without_an_end_gets_one() {
    let Some(redis) = Redis::start(&[]) else { return };
    let store = store(&redis.url("", ""), LONG);
    let key = format!("tu-token:{{{NAME}}}:lock");
    redis.run(&[b"SET", key.as_bytes(), b"someone"]);
    assert!(store.try_lock(NAME).unwrap().taken().is_none());
    let left = redis.run(&[b"PTTL", key.as_bytes()]);
    let lasts = LIFE.as_millis() as i64;
    assert!(matches!(left, wire::Reply::Number(left) if (1..=lasts).contains(&left)), "{left:?}");
}

#[test]
fn a_lock_is_renewed_for_a_later_attempt() {
    let Some(redis) = Redis::start(&[]) else { return };
    let one = RedisStore::new(
        &redis_url::parse(&redis.url("", "")),
        10 * LONG,
        LIFE,
        &Variables::default(),
    );
    let mut held = one.try_lock(NAME).unwrap().taken().unwrap();
    assert!(held.renewal().is_none(), "it is young");
    let key = format!("tu-token:{{{NAME}}}:lock");
    let left = || match redis.run(&[b"PTTL", key.as_bytes()]) {
        wire::Reply::Number(left) => left,
        other => panic!("{other:?}"),
    };
    assert_eq!(redis.run(&[b"PEXPIRE", key.as_bytes(), b"20000"]), wire::Reply::Number(1));
    thread::sleep(Duration::from_millis(600));
    held.renewal().unwrap()();
    assert!((20_001..=60_000).contains(&left()), "{}", left());
    // Another's is left as it is.
    redis.run(&[b"SET", key.as_bytes(), b"another", b"PX", b"20000"]);
    thread::sleep(Duration::from_millis(600));
    held.renewal().unwrap()();
    assert!(left() <= 20_000);
    drop(held);
    assert!(left() > 0);
}

#[test]
fn a_login_is_used_and_a_wrong_one_described_once() {
    let options = "--requirepass top --user fleet on >hu@sh ~tu-token:* -@all +getrange +pttl +set \
                   +get +eval +del +pexpire --user other on >hush ~tu-token:* -@all +getrange +pttl";
    let options: Vec<&str> = options.split_whitespace().collect();
    let Some(redis) = Redis::start(&options) else { return };
    let good = [("fleet:hu%40sh@", ""), ("fleet:hu@sh@", ""), (":top@", "db=2")];
    for (login, query) in good {
        let store = store(&redis.url(login, query), 10 * LONG);
        store.save(NAME, b"x", LIFE).unwrap();
        assert!(
            store.try_lock(NAME).unwrap().taken().is_some() && store.load(NAME).unwrap().is_some()
        );
        assert!(store.try_lock(NAME).unwrap().taken().is_some(), "it was released");
        store.remove(NAME, b"x").unwrap();
    }
    for (login, query, part) in [
        ("fleet:hush@", "", "refuses the user or password"),
        ("", "", "requires a password"),
        (":top@", "db=4", "has no database 4"),
        ("other:hush@", "prefix=x", "does not permit"),
    ] {
        let store = store(&redis.url(login, query), 10 * LONG);
        let problem = store.load(NAME).unwrap_err();
        assert!(problem.message.contains(part), "{problem:?}");
        assert!(problem.kind == ErrorKind::Config && is_news(&store, &problem));
        assert!(!problem.message.contains("hush") && !problem.message.contains("top"));
        assert!(!is_news(&store, &store.load(NAME).unwrap_err()));
    }
}

#[test]
fn a_full_server_and_a_replica_are_described_and_still_read() {
    let Some(redis) = Redis::start(&[]) else { return };
    let store = store(&redis.url("", ""), 10 * LONG);
    store.save(NAME, b"x", LIFE).unwrap();
    for (set, part) in [
        (&[&b"CONFIG"[..], b"SET", b"maxmemory", b"1"][..], "is full"),
        (&[b"REPLICAOF", b"127.0.0.1", b"1"], "read-only replica"),
    ] {
        redis.run(&[b"CONFIG", b"SET", b"maxmemory", b"0"]);
        redis.run(set);
        store.forget_told();
        for turn in 0..5 {
            let problem = store.save(NAME, b"y", LIFE).unwrap_err();
            assert!(problem.message.contains(part), "{problem:?}");
            assert_eq!(is_news(&store, &problem), turn == 0);
            assert_eq!(store.load(NAME).unwrap().unwrap().record, b"x");
        }
    }
}

#[test]
fn a_stopped_server_costs_three_timeouts_and_is_found_again() {
    let Some(redis) = Redis::start(&[]) else { return };
    let store = store(&redis.url("", ""), TIMEOUT);
    redis.server.signal(libc::SIGSTOP);
    let begun = Instant::now();
    for turn in 0..100 {
        let problem = store.load(NAME).unwrap_err();
        assert_eq!(problem.kind == ErrorKind::Timeout, turn < 3, "{problem:?}");
    }
    assert!(begun.elapsed() < 20 * TIMEOUT, "{:?}", begun.elapsed());
    redis.server.signal(libc::SIGCONT);
    // As if the rest were over.
    **store.server().circuit.lock() = Circuit::default();
    let begun = Instant::now();
    while store.load(NAME).is_err() {
        **store.server().circuit.lock() = Circuit::default();
        assert!(begun.elapsed() < 10 * LONG);
    }
}

#[test]
fn a_lock_that_may_have_been_set_unnoticed_is_removed() {
    let Some(redis) = Redis::start(&[]) else { return };
    let store = store(&redis.url("", ""), LONG);
    store.load(NAME).unwrap();
    redis.server.signal(libc::SIGSTOP);
    assert!(store.try_lock(NAME).is_err());
    redis.server.signal(libc::SIGCONT);
    let (other, _) = stores(&redis.url("", ""));
    let end = Instant::now() + 10 * LONG;
    while other.try_lock(NAME).unwrap().taken().is_none() {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn through_the_bound_a_lock_is_released_in_the_background() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (one, other) = stores(&redis.url("", ""));
    let bounded = Bounded::new(Arc::new(one), 10 * LONG);
    let lock: Arc<StoreLock> = bounded.try_lock(NAME).unwrap().taken().unwrap();
    assert!(other.try_lock(NAME).unwrap().taken().is_none());
    lock.renew();
    drop(lock);
    let end = Instant::now() + 10 * LONG;
    while other.try_lock(NAME).unwrap().taken().is_none() {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_forked_child_uses_connections_and_locks_of_its_own() {
    let Some(redis) = Redis::start(&[]) else { return };
    let store = store(&redis.url("", ""), 10 * LONG);
    store.save(NAME, b"x", LIFE).unwrap();
    let held = store.try_lock(NAME).unwrap().taken().unwrap();
    let parents = || redis.run(&[b"CLIENT", b"LIST", b"TYPE", b"normal"]);
    assert_eq!(idle::count(store.server()), 1);
    let is_fine = in_child(|| {
        assert_eq!(idle::count(store.server()), 0);
        assert_eq!(store.load(NAME).unwrap().unwrap().record, b"x");
        assert!(store.try_lock(NAME).unwrap().taken().is_none());
        // What it inherited is not its own to release.
        assert!(store.try_lock("another").unwrap().taken().is_some());
    });
    assert!(is_fine);
    // The parent's connection has not been closed, and its lock is held.
    let wire::Reply::Bytes(list) = parents() else { panic!("no list") };
    assert_eq!(list.iter().filter(|byte| **byte == b'\n').count(), 2, "its own and this one");
    assert_eq!(store.load(NAME).unwrap().unwrap().record, b"x");
    assert!(store.try_lock(NAME).unwrap().taken().is_none());
    drop(held);
}

#[test]
fn over_tls_a_server_is_verified_with_the_given_roots() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(path("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(path("other.pem"), other.cert.pem()).unwrap();
    let port = process::free_port().to_string();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let options = ["--tls-port", &port, "--tls-cert-file", cert.to_str().unwrap()];
    let more = ["--tls-key-file", key.to_str().unwrap(), "--tls-auth-clients", "no"];
    let Some(_redis) = Redis::start(&[options, more].concat()) else { return };
    let url =
        |host: &str, file: &str| format!("rediss://{host}:{port}?ca_file={}", path(file).display());
    let good = store(&url("localhost", "cert.pem"), 10 * LONG);
    good.save(NAME, b"x", LIFE).unwrap();
    assert!(good.load(NAME).unwrap().is_some() && good.try_lock(NAME).unwrap().taken().is_some());
    assert_eq!(idle::count(good.server()), 1);
    for (url, part) in [
        (url("localhost", "other.pem"), "signed by an authority with the name of one in ca_file"),
        (url("127.0.0.1", "cert.pem"), "another host name"),
        (url("localhost", "missing.pem"), "missing.pem"),
        (format!("rediss://localhost:{port}"), "is signed by no authority in"),
        (format!("redis://localhost:{port}"), "if it has TLS, write rediss://"),
    ] {
        let problem = store(&url, 10 * LONG).load(NAME).unwrap_err();
        assert!(
            problem.message.contains(part)
                || part == "is signed by no authority in" && problem.kind == ErrorKind::Tls,
            "{problem:?}"
        );
    }
}
