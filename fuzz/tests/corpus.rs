//! Every input of every corpus, and the seeds that each of them begins with.

use std::fs;
use std::path::{Path, PathBuf};

use althing_fuzz::{TARGETS, seeds};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

#[test]
fn nothing_in_a_corpus_breaks_anything() {
    for (name, target) in TARGETS {
        let files = fs::read_dir(corpus(name)).expect("every target has a corpus");
        let mut count = 0;
        for file in files {
            let path = file.expect("it is listed").path();
            println!("{}", path.display());
            target(&fs::read(&path).expect("it can be read"));
            count += 1;
        }
        assert!(count >= seeds::of(name).len(), "{name} lacks its seeds");
    }
}

/// The fuzzer's own package stands outside the workspace, where nothing builds it.
#[test]
fn the_fuzzer_knows_every_target() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer");
    let manifest = fs::read_to_string(package.join("Cargo.toml")).expect("it has a manifest");
    for (name, _) in TARGETS {
        let source = fs::read_to_string(package.join(format!("targets/{name}.rs")));
        let source = source.expect("every target has its entry");
        assert!(source.contains(&format!("althing_fuzz::{name}(bytes)")), "{name}: {source}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in the manifest");
    }
}

/// A format that changed makes other seeds: then the corpus should begin with those.
#[test]
fn every_corpus_begins_with_one_of_each_kind() {
    for (name, target) in TARGETS {
        for (number, seed) in seeds::of(name).into_iter().enumerate() {
            target(&seed);
            let path = corpus(name).join(format!("seed-{number:02}"));
            if std::env::var_os("UPDATE_CORPUS").is_some() {
                fs::create_dir_all(corpus(name)).expect("the corpus can be written");
                fs::write(&path, &seed).expect("the corpus can be written");
            }
            let kept = fs::read(&path).unwrap_or_default();
            assert!(kept == seed, "{} is of another format: UPDATE_CORPUS=1", path.display());
        }
    }
}

/// All bytes of each seed are damaged in turn, and each of its beginnings is tried.
#[test]
fn what_is_almost_right_breaks_nothing_either() {
    for (name, target) in TARGETS {
        // A life with another bit set is another life, and takes its time.
        let step = if name.ends_with("_life") { 61 } else { 1 };
        for seed in seeds::of(name) {
            for place in (0..seed.len().min(400)).step_by(step) {
                target(&seed[..place]);
                for flip in [1, 0x80, 0xff] {
                    let mut damaged = seed.clone();
                    damaged[place] ^= flip;
                    target(&damaged);
                }
            }
        }
    }
}
