//! macOS has to be told that the interpreter's symbols are found later.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
