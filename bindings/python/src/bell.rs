//! Wakes an event loop from a library thread without entering the interpreter.

use std::io;

use pyo3::prelude::*;

/// Two connected sockets: writing to one makes the other, which the loop watches, readable.
#[cfg(unix)]
pub(crate) struct Bell {
    rung: std::os::unix::net::UnixStream,
    heard: std::os::unix::net::UnixStream,
}

#[cfg(unix)]
impl Bell {
    pub(crate) fn new() -> PyResult<Self> {
        let (rung, heard) = std::os::unix::net::UnixStream::pair()?;
        rung.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        Ok(Self { rung, heard })
    }

    pub(crate) fn ring(&self) {
        // If the socket buffer is full, the loop will wake up anyway.
        let _ = io::Write::write(&mut &self.rung, &[0]);
    }

    /// Silences the bell until it is rung again.
    pub(crate) fn hush(&self) {
        let mut rings = [0; 64];
        while io::Read::read(&mut &self.heard, &mut rings).is_ok_and(|read| read == rings.len()) {}
    }

    pub(crate) fn descriptor(&self) -> i32 {
        std::os::fd::AsRawFd::as_raw_fd(&self.heard)
    }
}

#[cfg(not(unix))]
pub(crate) struct Bell(std::convert::Infallible);

#[cfg(not(unix))]
impl Bell {
    pub(crate) fn new() -> PyResult<Self> {
        let cause = "event loops on this system cannot watch file descriptors";
        Err(pyo3::exceptions::PyNotImplementedError::new_err(cause))
    }

    pub(crate) fn ring(&self) {
        match self.0 {}
    }

    pub(crate) fn hush(&self) {
        match self.0 {}
    }

    pub(crate) fn descriptor(&self) -> i32 {
        match self.0 {}
    }
}
