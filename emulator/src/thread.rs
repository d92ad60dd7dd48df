//! The thread of an emulator, with its own runtime.
//!
//! The runtime is created, used and dropped inside the thread: dropping it elsewhere would panic in a program that is
//! itself asynchronous.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::builder::StartError;
use crate::server;
use crate::world::World;

/// A server that runs until this is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread and waits until it listens or has failed. `make` creates the world once the port is open, so that a
/// failure to open the port does not change the state file; its other result is returned.
pub(crate) fn start<T: Send + 'static>(
    address: SocketAddr,
    make: impl FnOnce() -> Result<(Arc<World>, T), StartError> + Send + 'static,
) -> Result<(Running, T), StartError> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (told, listening) = mpsc::channel();
    let life = move || match open(address).and_then(|port| Ok((port, make()?))) {
        Ok(((runtime, listener, address), (world, made))) => {
            // If there is no receiver, there is no `stop` either, and `stopped` is ready already.
            let _ = told.send(Ok((address, made)));
            runtime.block_on(async {
                tokio::select! {
                    () = server::serve(listener, world) => {}
                    _ = stopped => {}
                }
            });
            // Dropping the runtime here closes every connection.
        }
        Err(error) => {
            let _ = told.send(Err(error));
        }
    };
    let thread = std::thread::Builder::new()
        .name("tu-emulator".to_owned())
        .spawn(life)
        .map_err(StartError::Thread)?;
    let gone = |_| StartError::Thread(io::Error::other("the thread ended at once"));
    let (address, made) = listening.recv().map_err(gone)??;
    Ok((Running { address, stop: Some(stop), thread: Some(thread) }, made))
}

fn open(address: SocketAddr) -> Result<(Runtime, tokio::net::TcpListener, SocketAddr), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Thread)?;
    let opened = {
        let _inside = runtime.enter();
        server::listen(address).and_then(|listener| {
            let address = listener.local_addr()?;
            Ok((listener, address))
        })
    };
    let (listener, address) = opened.map_err(|error| StartError::Listen(address, error))?;
    Ok((runtime, listener, address))
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Fails only if the thread panicked; then it has ended, too.
            let _ = thread.join();
        }
    }
}
