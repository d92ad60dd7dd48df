//! Sockets: the listener, and one task for each connection.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;

use crate::gate;
use crate::world::World;

/// Connections that wait to be accepted: a test may open thousands at once.
const BACKLOG: u32 = 4096;
/// How long a connection may be idle, or take to send its headers.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// What to wait when there are no more file descriptors; a connection may have ended by then.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Opens the port. Needs to be called inside a runtime.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    // On Unix this skips the wait for old connections; on Windows it would let two programs share a port.
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

/// One connection, to its end.
async fn connection(stream: TcpStream, world: Arc<World>, router: Router) {
    // Answers are small; without this the second packet of one could wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(Notify::new());
    let wanted = Arc::clone(&reset);
    let service = service_fn(move |request| {
        let (world, router, reset) = (Arc::clone(&world), router.clone(), Arc::clone(&reset));
        async move { Ok::<_, Infallible>(gate::pass(&world, &router, &reset, request).await) }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .serve_connection(TokioIo::new(stream), service);
    // How a connection ended is the client's business: cut off, timed out or closed are all the same here.
    let reset = tokio::select! {
        _ = &mut connection => false,
        () = wanted.notified() => true,
    };
    if reset {
        let stream = connection.into_parts().io.into_inner();
        // Closing without lingering sends a reset instead of an orderly end.
        let _ = stream.set_zero_linger();
    }
}
