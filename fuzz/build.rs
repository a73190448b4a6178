//! Tells the linker what the crate `unpack` takes the place of, as tidegate's own build script does.

fn main() {
    if let Ok(argument) = std::env::var("DEP_UNPACK_LINK_ARG") {
        println!("cargo::rustc-link-arg={argument}");
    }
}
