//! TLS over a connection, and what the peer speaks if it is not TLS.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use super::errors::{ConnectionError, HandshakeReply};

/// Performs the TLS handshake, within `details.timeout`.
pub(super) fn secure(
    config: Arc<ClientConfig>,
    details: &ConnectionDetails<'_>,
    transport: Box<dyn Transport>,
) -> Result<Box<dyn Transport>, Error> {
    let host = details.uri.host().unwrap_or_default();
    let name = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']'))
        .map_err(|_| Error::HostNotFound)?
        .to_owned();
    let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut adapter = TransportAdapter::new(transport, details.current_time.clone());
    adapter.set_timeout(details.timeout);
    let recorder = Recorder { adapter, first: Vec::with_capacity(FIRST) };
    let mut stream = StreamOwned::new(connection, recorder);
    if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
        pending_reply(&mut stream, error).map_err(|error| stream.sock.connection_error(error))?;
    }
    let size = |buffer: usize| buffer.max(1);
    let buffers = LazyBuffers::new(
        size(details.config.input_buffer_size()),
        size(details.config.output_buffer_size()),
    );
    Ok(Box::new(Secured { buffers, stream }))
}

/// The number of bytes that tell TLS from other protocols.
const FIRST: usize = 5;

/// A connection that records the first bytes received.
struct Recorder {
    adapter: TransportAdapter,
    first: Vec<u8>,
}

impl Recorder {
    /// Interprets an error of the handshake.
    fn connection_error(&self, error: io::Error) -> Error {
        let error = Error::from(error);
        let is_end = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
            )
        };
        let reply = match (&self.first[..], &error) {
            ([], Error::Timeout(_)) => HandshakeReply::Nothing,
            ([], Error::Io(error)) if is_end(error) => HandshakeReply::End,
            // The content types of a record (RFC 8446 section 5.1), and its version.
            ([] | [0x14..=0x17] | [0x14..=0x17, 3, ..], _) => return error,
            // Some servers send the page without a status line.
            ([b'H', b'T', b'T', b'P', ..] | [b'<', ..], _) => HandshakeReply::Http,
            _ => HandshakeReply::Other,
        };
        ConnectionError::NoTls(reply).into()
    }
}

impl Read for Recorder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.adapter.read(buffer)?;
        let missing = FIRST - self.first.len();
        self.first.extend(buffer[..length].iter().take(missing));
        Ok(length)
    }
}

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.adapter.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.adapter.flush()
    }
}

/// A connection secured by TLS.
struct Secured {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, Recorder>,
}

/// A server that refuses a client sends the reason and closes: if a write failed, the reason may
/// have arrived before, as an alert or as a response. `Ok`: a response has arrived and can be read.
fn pending_reply(
    stream: &mut StreamOwned<ClientConnection, Recorder>,
    error: io::Error,
) -> io::Result<()> {
    if error.kind() == io::ErrorKind::InvalidData {
        return Err(error);
    }
    let StreamOwned { conn, sock } = stream;
    while conn.read_tls(sock).is_ok_and(|length| length > 0) {
        match conn.process_new_packets() {
            Ok(state) if state.plaintext_bytes_to_read() > 0 => return Ok(()),
            Ok(_) => {}
            Err(refused) => return Err(io::Error::new(io::ErrorKind::InvalidData, refused)),
        }
    }
    Err(error)
}

impl Transport for Secured {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.adapter.set_timeout(timeout);
        let output = &self.buffers.output()[..amount];
        self.stream
            .write_all(output)
            .or_else(|error| pending_reply(&mut self.stream, error))
            .map_err(Error::from)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.adapter.set_timeout(timeout);
        let input = self.buffers.input_append_buf();
        let amount = match self.stream.read(input) {
            Ok(amount) => amount,
            // It first sends pending data, and that may be what fails.
            Err(error) => {
                pending_reply(&mut self.stream, error)?;
                self.stream.conn.reader().read(input)?
            }
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.adapter.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secured(..)")
    }
}
