//! A cache hit of google-cloud-auth, in the rounds of benches/readers.rs.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Barrier;
use std::time::Instant;

use google_cloud_auth::credentials::{Credentials, user_account};
use http::Extensions;

const ROUNDS: usize = 31;
const CALLS: u32 = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "a second provider")?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // The one kind of credentials that asks an endpoint of one's own.
    let key = serde_json::json!({
        "type": "authorized_user",
        "client_id": "bench",
        "client_secret": "secret-of-bench",
        "refresh_token": "refresh",
        "token_uri": std::env::var("BENCH_PLAIN")? + "/token",
    });
    let credentials = runtime.block_on(async {
        let credentials = user_account::Builder::new(key).build()?;
        credentials.headers(Extensions::new()).await?;
        Ok::<_, Box<dyn Error>>(credentials)
    })?;
    for threads in 1..=2 {
        let rounds: Vec<String> = (0..ROUNDS)
            .map(|_| ns_per_call(&credentials, runtime.handle(), threads).to_string())
            .collect();
        let line = format!("rust\tgoogle-cloud-auth\t{threads}\tns\t{}", rounds.join(" "));
        match std::env::var_os("BENCH_RESULTS") {
            Some(path) => {
                writeln!(OpenOptions::new().append(true).create(true).open(path)?, "{line}")?;
            }
            None => println!("{line}"),
        }
    }
    Ok(())
}

/// The result of the slowest thread.
fn ns_per_call(credentials: &Credentials, handle: &tokio::runtime::Handle, threads: usize) -> f64 {
    let together = Barrier::new(threads);
    let repeat = || {
        handle.block_on(async {
            together.wait();
            let from = Instant::now();
            for _ in 0..CALLS {
                std::hint::black_box(
                    credentials.headers(Extensions::new()).await.expect("a token"),
                );
            }
            from.elapsed().as_nanos() as f64 / f64::from(CALLS)
        })
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(repeat)).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).fold(0.0, f64::max)
    })
}
