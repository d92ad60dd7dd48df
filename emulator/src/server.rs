//! The listener, and one task per connection.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;

use crate::gate;
use crate::patience::Patient;
use crate::world::World;

/// Maximum number of connections waiting to be accepted: a test may open thousands at once.
const BACKLOG: u32 = 4096;
/// How long a connection may be idle, or take to send its headers.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// Maximum size of a request's head in bytes, and roughly of a response buffered for a slow reader.
const MAX_BUFFER: usize = 64 * 1024;
/// The pause after running out of file descriptors; a connection may have ended by then.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Opens the port. Must be called inside a runtime.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    // On Unix this ignores old connections in TIME_WAIT; on Windows it would let two programs share a port.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, world: Arc<World>) {
    let router = gate::router(Arc::clone(&world));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, Arc::clone(&world), router.clone()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Serves one connection until its end.
async fn connection(stream: TcpStream, world: Arc<World>, router: Router) {
    // Without this, the second packet of a small response could wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    if let Some(stream) = talk(stream, world, router).await {
        // Closing with zero linger sends a reset instead of an orderly shutdown.
        let _ = stream.set_zero_linger();
    }
}

/// Answers requests until either side closes the connection. Returns the stream if the connection must be reset.
async fn talk<T: AsyncRead + AsyncWrite + Unpin>(
    stream: T,
    world: Arc<World>,
    router: Router,
) -> Option<T> {
    let reset = Arc::new(Notify::new());
    let wanted = Arc::clone(&reset);
    let service = service_fn(move |request| {
        let (world, router, reset) = (Arc::clone(&world), router.clone(), Arc::clone(&reset));
        async move { Ok::<_, Infallible>(gate::pass(&world, &router, &reset, request).await) }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    // It does not matter here whether the connection was cut off, timed out or closed.
    let reset = tokio::select! {
        _ = &mut connection => false,
        () = wanted.notified() => true,
    };
    reset.then(|| connection.into_parts().io.into_inner().into_inner())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    use super::*;
    use crate::world::tests::world;

    /// Asks for something long, and reads some of it.
    async fn asked(world: &Arc<World>, path: &str, read: usize) -> (Duration, usize) {
        let (mut client, stream) = duplex(4096);
        let router = gate::router(Arc::clone(world));
        let served = tokio::spawn(talk(stream, Arc::clone(world), router));
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.expect("written");
        let mut part = vec![0; read];
        client.read_exact(&mut part).await.expect("an answer");
        let begun = Instant::now();
        assert!(served.await.expect("no panic").is_none());
        let ended = begun.elapsed();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.expect("an end");
        (ended, rest.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_disconnected() {
        let world = Arc::new(world());
        (0..3_000).for_each(|_| {
            world.arrive("GET", "/api/x", None);
        });
        for path in ["/_emulator/journal", "/_emulator/page.css", "/"] {
            let (ended, rest) = asked(&world, path, 100).await;
            assert!(
                ended > Duration::from_secs(20) && ended < Duration::from_secs(60),
                "{ended:?}"
            );
            assert_eq!(rest, 4096, "no more than what had gone out already");
        }
    }
}
