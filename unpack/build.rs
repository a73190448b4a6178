//! Tells the linker whose place `src/hook.rs` takes: this crate's tests, and by `DEP_UNPACK_LINK_ARG`
//! whoever links it. On other systems than Linux nothing is replaced.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script reads its environment"
)]

/// `__wrap_NAME` in `src/hook.rs` is called where librdkafka calls NAME.
const WRAPPED: &[&str] = &[
    "rd_gz_decompress",
    "rd_kafka_buf_new_shadow",
    "rd_kafka_err2str",
    "rd_kafka_lz4_decompress",
    "rd_kafka_msgset_parse",
    "rd_kafka_snappy_java_uncompress",
    "rd_kafka_snappy_uncompress",
    "rd_kafka_snappy_uncompressed_length",
    "rd_kafka_zstd_decompress",
    "rd_slice_crc32",
    "rd_slice_crc32c",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        let names: Vec<_> = WRAPPED.iter().map(|n| format!("--wrap={n}")).collect();
        let argument = format!("-Wl,{}", names.join(","));
        println!("cargo::rustc-link-arg={argument}");
        println!("cargo::metadata=link_arg={argument}");
    }
}
