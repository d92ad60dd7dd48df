//! Connecting to a Unix socket within a time limit, which the standard library does not offer:
//! under Linux a connection waits for as long as the server's queue is full, as that of a server
//! that was stopped may be.

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use super::link::left;

/// Connects, or fails with `WouldBlock` at the deadline.
pub(super) fn connect(path: &Path, deadline: Instant) -> io::Result<UnixStream> {
    let (address, length) = address(path)?;
    let stream = socket()?;
    loop {
        let left = left(deadline);
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // It bounds the wait for a place in the queue, too.
        stream.set_write_timeout(Some(left))?;
        // SAFETY: the descriptor is open, and `address` outlives the call, which reads `length`
        // bytes of it.
        let status =
            unsafe { libc::connect(stream.as_raw_fd(), (&raw const address).cast(), length) };
        if status == 0 {
            return Ok(stream);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn socket() -> io::Result<UnixStream> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const KIND: libc::c_int = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const KIND: libc::c_int = libc::SOCK_STREAM;
    // SAFETY: the call takes no pointers.
    let socket = unsafe { libc::socket(libc::AF_UNIX, KIND, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nothing else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    // SAFETY: the descriptor is open.
    if unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(UnixStream::from(socket))
}

fn address(path: &Path) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: plain data for which zeros are valid.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = path.as_os_str().as_bytes();
    // The zero after the path counts.
    if bytes.len() >= address.sun_path.len() || bytes.contains(&0) {
        let most = address.sun_path.len() - 1;
        let what = format!("the path has more than {most} bytes, or a zero in it");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    for (place, byte) in address.sun_path.iter_mut().zip(bytes) {
        *place = *byte as libc::c_char;
    }
    let length = offset_of!(libc::sockaddr_un, sun_path) + bytes.len() + 1;
    Ok((address, length as libc::socklen_t))
}
