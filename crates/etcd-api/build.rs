//! Compiles the protocol files without `protoc`: protox reads them, tonic and prost make the types
//! and stubs, pbjson makes the JSON mapping.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).open_files(["rpc.proto", "lock.proto", "election.proto"])?;
    let descriptors = compiler.file_descriptor_set();
    // For clients that ask a server what it serves.
    let described = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    fs::write(described, compiler.encode_file_descriptor_set())?;

    let mut json = pbjson_build::Builder::new();
    for file in &descriptors.file {
        json.register_file_descriptor(file.clone());
    }
    // etcd's gateway writes the names of the protocol file, not camel case; it reads both.
    // It also passes over names it does not know, so that newer clients can talk to older servers.
    json.preserve_proto_field_names().ignore_unknown_fields().build(&[
        ".authpb",
        ".etcdserverpb",
        ".mvccpb",
        ".v3lockpb",
        ".v3electionpb",
    ])?;

    // Keys and values are then slices of the buffer the request arrived in, not copies.
    tonic_prost_build::configure()
        .bytes(".")
        // These are shown in `secrets.rs`, without the secrets.
        .skip_debug([
            ".etcdserverpb.AuthenticateRequest",
            ".etcdserverpb.AuthenticateResponse",
            ".etcdserverpb.AuthUserAddRequest",
            ".etcdserverpb.AuthUserChangePasswordRequest",
        ])
        .codec_path("crate::FittedCodec")
        .compile_fds(descriptors)?;
    Ok(())
}
