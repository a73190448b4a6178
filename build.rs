//! Puts the shipped detectors into the binary, so that it works from any folder, and tells the linker what
//! the crate `unpack` takes the place of.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script reads its environment and writes its output"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    if let Ok(argument) = env::var("DEP_UNPACK_LINK_ARG") {
        println!("cargo::rustc-link-arg={argument}");
    }
    println!("cargo::rerun-if-changed=detectors");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut files = Vec::new();
    collect(&root.join("detectors"), &mut files)?;
    files.sort();
    let mut code = String::from("&[\n");
    for path in files {
        let name = path.strip_prefix(&root).unwrap_or(&path).display();
        let _ = writeln!(
            code,
            "    ({:?}, include_str!({:?})),",
            name.to_string(),
            path
        );
    }
    code.push_str("]\n");
    let out = PathBuf::from(env::var("OUT_DIR").unwrap_or_default());
    fs::write(out.join("shipped.rs"), code)
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        println!("cargo::rerun-if-changed={}", path.display());
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
