//! Starts the library's threads: named, and with all signals blocked.

use std::io;

use crate::sync::thread;

/// The same as Rust's default: a program's callbacks run here, and glibc takes the program's
/// thread-local variables out of the stack. This is address space; memory is committed when
/// touched.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// Starts a thread that receives no signals: a host program's handlers must not run on it.
pub(super) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    spawn_boxed(name, Box::new(body))
}

/// Boxed, because the standard library generates several kilobytes of code per closure type.
fn spawn_boxed(name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    #[cfg(all(test, feature = "__shuttle"))]
    if crate::schedules::shortage::refuses(name) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let builder = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
    #[cfg(unix)]
    let _blocked = SignalsBlocked::new();
    builder.spawn(body).map(drop)
}

/// Blocks all signals on the calling thread; a thread started meanwhile inherits the mask.
#[cfg(unix)]
struct SignalsBlocked(libc::sigset_t);

#[cfg(unix)]
impl SignalsBlocked {
    fn new() -> Self {
        // SAFETY: both sets are plain data that the calls fill in before they are read.
        unsafe {
            let mut all = std::mem::zeroed();
            let mut before = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            Self(before)
        }
    }
}

#[cfg(unix)]
impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: the set was filled in by `new`; the old mask is not requested.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::process::Mailbox;

    #[test]
    fn threads_of_the_library_take_no_signals() {
        let end = Clock::System.now().after(Duration::from_secs(30));
        let mask = Arc::new(Mailbox::default());
        let told = mask.clone();
        spawn("tu-test", move || {
            // SAFETY: the set is plain data that the call fills in; nothing is changed.
            let blocked = unsafe {
                let mut set = std::mem::zeroed();
                libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut set);
                libc::sigismember(&set, libc::SIGINT) == 1
            };
            told.put(blocked);
        })
        .unwrap();
        assert_eq!(mask.take(&Clock::System, end), Some(true));
    }
}
