//! Where the system is Linux with glibc: links a static libgcc, because a shared one takes a tenth of a millisecond of
//! each start, and has the command start by itself (`src/start.rs`).

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    println!("cargo::rustc-check-cfg=cfg(quick_start, static_unwinder)");
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|it| it == value);
    if !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return;
    }
    println!("cargo::rustc-cfg=quick_start");
    let Some(archive) = unwinder() else { return };
    let Some(place) = env::var_os("OUT_DIR").map(PathBuf::from) else { return };
    // The standard library has the linker look for `-lgcc_s`, here before the system's directories.
    if std::fs::copy(archive, place.join("libgcc_s.a")).is_ok() {
        println!("cargo::rustc-link-search=native={}", place.display());
        println!("cargo::rustc-cfg=static_unwinder");
    }
}

/// The part of GCC's library that unwinds, as an archive, if the linker says where it is. (GCC prints the bare name if
/// there is none; so does Clang, and zig has an unwinder of its own.)
fn unwinder() -> Option<PathBuf> {
    let is_native = env::var_os("HOST") == env::var_os("TARGET");
    // Cargo says which linker is configured, if one is.
    let linker = env::var_os("RUSTC_LINKER").or_else(|| is_native.then(|| "cc".into()))?;
    let asked = Command::new(linker).arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let path = String::from_utf8(asked.stdout).ok()?;
    let path = Path::new(path.trim_end());
    (asked.status.success() && path.is_absolute() && path.is_file()).then(|| path.to_owned())
}
