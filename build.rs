//! Link arguments of the shared library and, on demand, the C header.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_CAPI").is_some() {
        link_arguments();
    }
    #[cfg(feature = "__header")]
    write_header();
}

/// The number after `libtu_token.so.`: incremented with each incompatible change of the C ABI.
const ABI: &str = "0";

/// They apply to everything linked from this package: the shared library, and test programs, where
/// they have no effect. Not `rustc-cdylib-link-arg`: cargo warns about that because `Cargo.toml`
/// lists no shared library. (macOS's linker accepts what it needs only for libraries: see the
/// Makefile.)
fn link_arguments() {
    let system = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if let "linux" | "android" | "freebsd" = system.as_str() {
        println!("cargo::rustc-link-arg=-Wl,-soname,libtu_token.so.{ABI}");
        // Threads of the library may be alive when a program unloads it; so it stays mapped.
        println!("cargo::rustc-link-arg=-Wl,-z,nodelete");
    }
}

#[cfg(feature = "__header")]
fn write_header() {
    println!("cargo::rerun-if-env-changed=TU_TOKEN_HEADER");
    println!("cargo::rerun-if-changed=src/ffi");
    println!("cargo::rerun-if-changed=cbindgen.toml");
    let Some(path) = std::env::var_os("TU_TOKEN_HEADER") else { return };
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned());
    match cbindgen::generate(&root) {
        Ok(bindings) => {
            let mut header = Vec::new();
            bindings.write(&mut header);
            // rustdoc's heading, in C's terms.
            let header =
                String::from_utf8_lossy(&header).replace(" * # Safety\n", " * Requires:\n");
            // Unchanged, it keeps its time: tests are built from it.
            if std::fs::read_to_string(&path).ok().as_deref() != Some(&*header) {
                std::fs::write(path, header).expect("the C header can be written");
            }
        }
        Err(error) => panic!("the C header cannot be generated: {error}"),
    }
}
