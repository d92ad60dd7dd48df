//! Lines: the way from one client to its server, as the test sets it at each moment.
//!
//! A line has an address in 127.99.0.0/16 and a name. `connect` is replaced in this program: what is
//! connected to a line's address goes to where the line leads now. So one client has a sound server
//! first and a faulty one later, without a change of its options.

use std::ffi::c_int;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::getaddrinfo::{Answer, Host};
use crate::memory;

static LINES: Mutex<Vec<Arc<State>>> = Mutex::new(Vec::new());

struct State {
    target: Mutex<SocketAddrV4>,
    is_stopped: AtomicBool,
}

pub struct Line {
    number: usize,
    pub address: Ipv4Addr,
    pub name: String,
    pub host: Arc<Host>,
    state: Arc<State>,
}

impl Line {
    /// A line that leads nowhere yet.
    pub fn new() -> Self {
        let state = Arc::new(State {
            target: Mutex::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1)),
            is_stopped: AtomicBool::new(false),
        });
        let mut lines = LINES.lock().unwrap();
        lines.push(state.clone());
        let number = lines.len() - 1;
        assert!(number < memory::MOST_LINES);
        let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
        let address = Ipv4Addr::new(127, 99, high, low);
        let name = format!("line-{number}.endpoint.test");
        let answer = Answer::Addresses(vec![address.to_string()]);
        let host = Host::answering(&name, &[Duration::ZERO], answer);
        Self { number, address, name, host, state }
    }

    /// Leads to this port of this machine from now on.
    pub fn leads_to(&self, port: u16) {
        self.leads(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
    }

    pub fn leads(&self, target: SocketAddrV4) {
        *self.state.target.lock().unwrap() = target;
    }

    /// Whether everything on this line waits, name look-ups too.
    pub fn stop(&self, stop: bool) {
        self.host.stop(stop);
        self.state.is_stopped.store(stop, Ordering::SeqCst);
    }

    pub fn forget_peak(&self) {
        memory::forget(self.number);
    }

    /// The most bytes that a request over this line has held.
    pub fn peak(&self) -> usize {
        memory::peak(self.number)
    }
}

/// A port that does not answer: its queue of connections is full, so the system drops what comes.
pub struct BlackHole {
    pub port: u16,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    pub fn new() -> Self {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let any = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            assert!(queue.len() < 64, "the queue has an end");
            queue.push(stream);
        }
        Self { port: address.port(), _listener: listener, _queue: queue }
    }
}

type Real = unsafe extern "C" fn(c_int, *const libc::sockaddr, libc::socklen_t) -> c_int;

/// # Safety
/// The same as the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connect(
    socket: c_int,
    address: *const libc::sockaddr,
    length: libc::socklen_t,
) -> c_int {
    // SAFETY: the symbol is the C library's, which every such process has loaded.
    let real = unsafe {
        let real = libc::dlsym(libc::RTLD_NEXT, c"connect".as_ptr());
        std::mem::transmute::<*mut libc::c_void, Real>(real)
    };
    // SAFETY: by the caller's contract the address is one, and its family says of what form.
    let wanted = unsafe {
        match i32::from((*address).sa_family) {
            libc::AF_INET => Some(*address.cast::<libc::sockaddr_in>()),
            _ => None,
        }
    };
    let bytes = wanted.map(|wanted| wanted.sin_addr.s_addr.to_ne_bytes());
    let (Some(mut wanted), Some([127, 99, high, low])) = (wanted, bytes) else {
        // SAFETY: the caller's own arguments.
        return unsafe { real(socket, address, length) };
    };
    let number = usize::from(u16::from_be_bytes([high, low]));
    let line = LINES.lock().unwrap()[number].clone();
    memory::connects(number, socket);
    while line.is_stopped.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let target = *line.target.lock().unwrap();
    wanted.sin_addr.s_addr = u32::from_ne_bytes(target.ip().octets());
    wanted.sin_port = target.port().to_be();
    // SAFETY: the address is on this stack, of the family and length that it says.
    unsafe { real(socket, (&raw const wanted).cast(), length) }
}

/// # Safety
/// The same as the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(file: c_int) -> c_int {
    memory::closes(file);
    // SAFETY: the symbol is the C library's, which every such process has loaded.
    let real = unsafe {
        let real = libc::dlsym(libc::RTLD_NEXT, c"close".as_ptr());
        std::mem::transmute::<*mut libc::c_void, unsafe extern "C" fn(c_int) -> c_int>(real)
    };
    // SAFETY: the caller's own argument.
    unsafe { real(file) }
}
