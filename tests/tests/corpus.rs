//! Every input in `fuzz/corpus` through the function of its fuzz target: what once broke something stays mended.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use treehouse_fuzz::TARGETS;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(name)
}

/// Names of what lies in a folder, without `.rs`.
fn names(folder: &Path) -> BTreeSet<String> {
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap().trim_end_matches(".rs").to_owned();
    fs::read_dir(folder).unwrap().map(|entry| name(entry.unwrap())).collect()
}

#[test]
fn every_input_of_the_corpus_passes_its_target() {
    for (target, run) in TARGETS {
        let inputs = names(&folder("corpus").join(target));
        assert!(!inputs.is_empty(), "{target} has no input");
        for input in inputs {
            // told beside a panic
            println!("fuzz/corpus/{target}/{input}");
            run(&fs::read(folder("corpus").join(target).join(input)).unwrap());
        }
    }
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder("fuzz_targets")), targets);
    assert_eq!(names(&folder("corpus")), targets);
}

#[test]
fn no_input_at_all_and_long_ones_pass_every_target() {
    for (target, run) in TARGETS {
        for input in [Vec::new(), vec![0; 5000], vec![0xff; 5000], b"0".repeat(5000), b"\n".repeat(5000)] {
            println!("{target}, {} times {:?}", input.len(), input.first());
            run(&input);
        }
    }
}
