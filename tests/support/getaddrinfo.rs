//! A replacement of `getaddrinfo` for the program that includes this, as slow as a test wants it.
//! Names that end with `.test` are this machine; names that begin with `two` also have an
//! unreachable address, and those that begin with `unknown` have none.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

static HOSTS: LazyLock<Mutex<HashMap<String, Arc<Host>>>> = LazyLock::new(Mutex::default);

/// The look-ups of one host: the n-th takes the n-th time; the last one is repeated.
pub struct Host {
    times: Mutex<(usize, Vec<Duration>)>,
    /// Held during each look-up, like the C library's own locks: a child forked meanwhile finds it
    /// held forever.
    is_held: AtomicBool,
}

impl Host {
    pub fn new(name: &str, times: &[Duration]) -> Arc<Self> {
        let times = Mutex::new((0, times.to_vec()));
        let host = Arc::new(Self { times, is_held: AtomicBool::new(false) });
        HOSTS.lock().unwrap().insert(name.to_owned(), host.clone());
        host
    }

    /// The number of look-ups started.
    pub fn asked(&self) -> usize {
        self.times.lock().unwrap().0
    }

    /// How long further look-ups take.
    #[allow(dead_code, reason = "not every program that includes this uses it")]
    pub fn now_takes(&self, time: Duration) {
        self.times.lock().unwrap().1 = vec![time];
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
    if name.starts_with("unknown") {
        return libc::EAI_NONAME;
    }
    // SAFETY: the name is a C string, the rest is the caller's.
    let outcome = unsafe { real(c"127.0.0.1".as_ptr(), service, hints, found) };
    if outcome == 0 && name.starts_with("two") {
        // SAFETY: the first list is complete; each member of a list is freed separately.
        unsafe {
            let mut last = *found;
            while !(*last).ai_next.is_null() {
                last = (*last).ai_next;
            }
            real(c"255.255.255.255".as_ptr(), service, hints, &mut (*last).ai_next);
        }
    }
    outcome
}
