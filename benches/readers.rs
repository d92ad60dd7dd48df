//! Compares ways to share the current token between threads with this library's own, in one
//! interleaved run of many short rounds. Shows median nanoseconds per call. Each way reads the boot
//! clock. It returns a token owned by the caller, but for `with_token`, which lends one.

use std::env;
use std::fs::OpenOptions;
use std::hint::black_box;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tu_token::{BootTime, Client, Clock};

const ROUNDS: usize = 31;
const CALLS: u32 = 100_000;

/// The content of a hand-written cache.
#[derive(Clone)]
struct Kept {
    value: Arc<str>,
    until: BootTime,
}

impl Kept {
    fn is_fresh(&self) -> bool {
        Clock::System.now() < self.until
    }
}

type Way<'a> = (&'static str, Box<dyn Fn() + Sync + 'a>);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env()?;
    let bearer: Arc<str> = Arc::from(client.token()?.bearer());
    let until = Clock::System.now().after(Duration::from_secs(600));
    let kept = Kept { value: bearer.clone(), until };
    let (mutex, rwlock) = (Mutex::new(kept.clone()), RwLock::new(kept.clone()));
    let (shared, swap) = (Mutex::new(kept.clone()), ArcSwap::from_pointee(kept));

    let fresh = |kept: &Kept| assert!(kept.is_fresh());
    let ways: Vec<Way> = vec![
        ("mutex, copied out", {
            Box::new(|| {
                let kept = mutex.lock().unwrap();
                fresh(&kept);
                black_box(Box::<str>::from(&*kept.value));
            })
        }),
        ("read-write lock, copied out", {
            Box::new(|| {
                let kept = rwlock.read().unwrap();
                fresh(&kept);
                black_box(Box::<str>::from(&*kept.value));
            })
        }),
        ("mutex, shared by a count", {
            Box::new(|| {
                let kept = shared.lock().unwrap();
                fresh(&kept);
                black_box(kept.value.clone());
            })
        }),
        ("arc-swap, shared by a count", {
            Box::new(|| {
                let kept = swap.load_full();
                fresh(&kept);
                black_box(kept);
            })
        }),
        ("arc-swap, copied out", {
            Box::new(|| {
                let kept = swap.load();
                fresh(&kept);
                black_box(Box::<str>::from(&*kept.value));
            })
        }),
        ("tu-token: Client::token", Box::new(|| drop(black_box(client.token().unwrap())))),
        ("tu-token: Client::with_token", {
            Box::new(|| {
                client.with_token(|token| black_box(token.bearer()).len()).unwrap();
            })
        }),
    ];

    println!("a header value of {} bytes; ns per call (relative to the first)", bearer.len());
    println!("{:<32}{:>17}{:>17}", "", "1 thread", "2 threads");
    let mut rounds = vec![[const { Vec::new() }; 2]; ways.len()];
    for round in 0..ROUNDS {
        for (results, (_, way)) in rounds.iter_mut().zip(&ways) {
            results[0].push(ns_per_call(way, 1, round));
            results[1].push(ns_per_call(way, 2, round));
        }
    }
    for (of_way, (name, _)) in rounds.iter().zip(&ways) {
        of_way.iter().zip(1..).try_for_each(|(rounds, threads)| samples(name, threads, rounds))?;
    }
    let medians: Vec<_> = rounds.into_iter().map(|results| results.map(median)).collect();
    for (medians_of_way, (name, _)) in medians.iter().zip(&ways) {
        print!("{name:<32}");
        for (mine, first) in medians_of_way.iter().zip(medians[0]) {
            print!("{mine:>9.1} ({:4.2}x)", mine / first);
        }
        println!();
    }
    Ok(())
}

/// The result of the slowest thread.
fn ns_per_call(way: &(dyn Fn() + Sync), threads: usize, round: usize) -> f64 {
    let missing = AtomicUsize::new(threads);
    let repeat = || {
        at_place(round * 25 % PLACES, &|| {
            // Spin: threads sleeping at a barrier would wake one after the other, on one processor.
            missing.fetch_sub(1, Ordering::SeqCst);
            while missing.load(Ordering::SeqCst) > 0 {}
            let from = Clock::System.now();
            (0..CALLS).for_each(|_| way());
            Clock::System.now().since(from).as_nanos() as f64 / f64::from(CALLS)
        })
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(repeat)).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).fold(0.0, f64::max)
    })
}

/// In a page of memory, in steps of 16 bytes.
const PLACES: usize = 256;

/// Calls a function with stack and heap moved. Where in a page a copy is changes each way by some
/// nanoseconds: copies that cross cache lines, and loads that the processor takes for loads of what
/// was just stored. So each round has another place.
fn at_place(place: usize, function: &dyn Fn() -> f64) -> f64 {
    let _filler = black_box(vec![0u8; 4096 + place * 16]);
    at_depth(place, function)
}

#[inline(never)]
fn at_depth(steps: usize, function: &dyn Fn() -> f64) -> f64 {
    let _frame = black_box([0u8; 16]);
    match steps {
        0 => function(),
        _ => black_box(at_depth(steps - 1, function)),
    }
}

/// Appends a row to the file that `BENCH_RESULTS` names, if it names one, in the format that
/// benches/report/src/samples.rs describes.
fn samples(row: &str, threads: usize, rounds: &[f64]) -> io::Result<()> {
    let Some(path) = env::var_os("BENCH_RESULTS") else { return Ok(()) };
    let words: Vec<String> = rounds.iter().map(f64::to_string).collect();
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    writeln!(file, "rust\t{row}\t{threads}\tns\t{}", words.join(" "))
}

fn median(mut results: Vec<f64>) -> f64 {
    results.sort_by(f64::total_cmp);
    results[results.len() / 2]
}
