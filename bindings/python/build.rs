//! On macOS the linker must be told that the interpreter's symbols are resolved at load time.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
