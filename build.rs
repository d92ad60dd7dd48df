//! Link arguments of the shared library and, on demand, the C header.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    link_arguments();
    #[cfg(feature = "header")]
    write_header();
}

/// The number behind `libtu_token.so.`: counts up with each incompatible change of the C ABI.
const ABI: &str = "0";

fn link_arguments() {
    let system = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    match system.as_str() {
        "linux" | "android" | "freebsd" => {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libtu_token.so.{ABI}");
            // Threads of the library may live when a program unloads it; so it stays mapped.
            println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
        }
        "macos" => {
            println!(
                "cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libtu_token.{ABI}.dylib"
            );
        }
        _ => {}
    }
}

#[cfg(feature = "header")]
fn write_header() {
    println!("cargo::rerun-if-env-changed=TU_TOKEN_HEADER");
    println!("cargo::rerun-if-changed=src/ffi");
    println!("cargo::rerun-if-changed=cbindgen.toml");
    let Some(path) = std::env::var_os("TU_TOKEN_HEADER") else { return };
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned());
    match cbindgen::generate(&root) {
        Ok(bindings) => {
            bindings.write_to_file(path);
        }
        Err(error) => panic!("the C header cannot be generated: {error}"),
    }
}
