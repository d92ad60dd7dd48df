//! A token endpoint on this machine, over TLS and plain, that costs as little as possible: nothing is
//! stored, the path says how to answer. Peers that ask where their endpoints are get an answer too.
//!
//! Usage: `bench-server DIRECTORY COMMAND [ARGUMENT...]` runs a command with the endpoint in its environment:
//!
//! - `TRACKUNIT_*`: the plain endpoint, for the library's default options
//! - `BENCH_PLAIN`, `BENCH_TLS`: the base URLs, to which options of the path are added (see [`answer`])
//! - `BENCH_CA`: a file in DIRECTORY with the authority of the server's certificate

mod answer;
mod connection;

use std::error::Error;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Writes the authority's certificate to a file and returns the server's configuration. The chain has two
/// certificates, as that of a public endpoint.
fn tls(ca_file: &Path) -> Result<Arc<ServerConfig>, Box<dyn Error>> {
    let of_authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let root = CertifiedIssuer::self_signed(of_authority("bench root"), KeyPair::generate()?)?;
    let between = KeyPair::generate()?;
    let between = CertifiedIssuer::signed_by(of_authority("bench issuer"), between, &root)?;
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &between)?;
    std::fs::write(ca_file, root.pem())?;
    let chain = vec![leaf.der().clone(), between.der().clone()];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::Pkcs8(key.serialize_der().into()))?;
    Ok(Arc::new(config))
}

/// Serves in threads of its own, one a connection, and returns the port.
fn listen(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for accepted in listener.incoming().flatten() {
            let serve = serve.clone();
            // An error is the client's: it has closed its connection.
            thread::spawn(move || accepted.set_nodelay(true).and_then(|()| serve(accepted)));
        }
    });
    Ok(port)
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let [directory, command, arguments @ ..] = words.as_slice() else {
        eprintln!("Usage: bench-server DIRECTORY COMMAND [ARGUMENT...]");
        exit(2);
    };
    let ca_file = PathBuf::from(directory).join("ca.pem");
    let config = tls(&ca_file)?;
    let plain = listen(|stream| connection::serve(stream, "http"))?;
    let secure = listen(move |stream| {
        let connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
        connection::serve(StreamOwned::new(connection, stream), "https")
    })?;
    let plain = format!("http://localhost:{plain}");
    let status = Command::new(command)
        .args(arguments)
        .env("TRACKUNIT_TOKEN_URL", format!("{plain}/token"))
        .env("TRACKUNIT_CLIENT_ID", "bench")
        .env("TRACKUNIT_CLIENT_SECRET", "secret-of-bench")
        .env("TRACKUNIT_SCOPE", "asset.view")
        .env("BENCH_PLAIN", plain)
        .env("BENCH_TLS", format!("https://localhost:{secure}"))
        .env("BENCH_CA", ca_file)
        .status()?;
    exit(status.code().unwrap_or(1));
}
