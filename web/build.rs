//! Makes the crate rebuild when the pages were built anew: they are embedded into the binary.

fn main() {
    println!("cargo::rerun-if-changed=ui/dist");
}
