//! A replacement of `getaddrinfo` for the program that includes this, as slow as a test wants it and
//! with the answers that it wants.

#![allow(dead_code, reason = "not every program that includes this uses all of it")]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

static HOSTS: LazyLock<Mutex<HashMap<String, Arc<Host>>>> = LazyLock::new(Mutex::default);

/// What a look-up ends with.
#[derive(Clone)]
pub enum Answer {
    /// These addresses, in this order.
    Addresses(Vec<String>),
    /// This error of `getaddrinfo`.
    Fails(c_int),
}

/// The look-ups of one host: the n-th takes the n-th time; the last one is repeated.
pub struct Host {
    times: Mutex<(usize, Vec<Duration>)>,
    answer: Mutex<Answer>,
    /// Look-ups wait until this is false.
    is_stopped: AtomicBool,
    /// Held during each look-up, like the C library's own locks: a child forked meanwhile finds it
    /// held forever.
    is_held: AtomicBool,
}

impl Host {
    /// A host that is this machine. A name that begins with `two` also has an unreachable address, and
    /// one that begins with `unknown` has none.
    pub fn new(name: &str, times: &[Duration]) -> Arc<Self> {
        let here = "127.0.0.1".to_owned();
        let answer = match name {
            _ if name.starts_with("unknown") => Answer::Fails(libc::EAI_NONAME),
            _ if name.starts_with("two") => {
                Answer::Addresses(vec![here, "255.255.255.255".to_owned()])
            }
            _ => Answer::Addresses(vec![here]),
        };
        Self::answering(name, times, answer)
    }

    pub fn answering(name: &str, times: &[Duration], answer: Answer) -> Arc<Self> {
        let host = Arc::new(Self {
            times: Mutex::new((0, times.to_vec())),
            answer: Mutex::new(answer),
            is_stopped: AtomicBool::new(false),
            is_held: AtomicBool::new(false),
        });
        HOSTS.lock().unwrap().insert(name.to_owned(), host.clone());
        host
    }

    /// The number of look-ups started.
    pub fn asked(&self) -> usize {
        self.times.lock().unwrap().0
    }

    /// How long further look-ups take.
    pub fn now_takes(&self, time: Duration) {
        self.times.lock().unwrap().1 = vec![time];
    }

    /// How long the next look-ups take; the last one is repeated.
    pub fn now_take(&self, times: &[Duration]) {
        *self.times.lock().unwrap() = (0, times.to_vec());
    }

    /// What further look-ups end with.
    pub fn now_answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Whether look-ups wait.
    pub fn stop(&self, stop: bool) {
        self.is_stopped.store(stop, Ordering::SeqCst);
    }

    /// Whether look-ups take the lock, so that they run one at a time.
    fn is_locking(name: &str) -> bool {
        name.starts_with("locking")
    }

    fn look_up(&self, name: &str) {
        let time = {
            let mut times = self.times.lock().unwrap();
            times.0 += 1;
            times.1[times.0.min(times.1.len()) - 1]
        };
        while self.is_stopped.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        while Self::is_locking(name) && self.is_held.swap(true, Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(time);
        self.is_held.store(false, Ordering::SeqCst);
    }
}

type Real = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const libc::addrinfo,
    *mut *mut libc::addrinfo,
) -> c_int;

/// # Safety
/// The same as the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    found: *mut *mut libc::addrinfo,
) -> c_int {
    // SAFETY: by the caller's contract.
    let name = unsafe { CStr::from_ptr(node) }.to_str().unwrap_or_default();
    let host = HOSTS.lock().unwrap().get(name).cloned();
    // SAFETY: the symbol is the C library's, which every such process has loaded.
    let real = unsafe {
        let real = libc::dlsym(libc::RTLD_NEXT, c"getaddrinfo".as_ptr());
        std::mem::transmute::<*mut libc::c_void, Real>(real)
    };
    let Some(host) = host else {
        // SAFETY: the caller's own arguments.
        return unsafe { real(node, service, hints, found) };
    };
    host.look_up(name);
    let answer = host.answer.lock().unwrap().clone();
    let addresses = match answer {
        Answer::Fails(error) => return error,
        Answer::Addresses(addresses) => addresses,
    };
    let mut next = found;
    for address in addresses {
        let address = CString::new(address).unwrap();
        // SAFETY: the text is a C string, the rest is the caller's; `next` is the caller's own pointer
        // or the end of the list so far. Each member of a list is freed separately.
        unsafe {
            let outcome = real(address.as_ptr(), service, hints, next);
            if outcome != 0 {
                return outcome;
            }
            while !(*next).is_null() {
                next = &raw mut (**next).ai_next;
            }
        }
    }
    0
}
