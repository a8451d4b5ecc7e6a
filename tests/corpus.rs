//! Octets that once hurt, or that fuzzing found interesting, replayed against what must hold for any octets.
//!
//! `tests/corpus/PROPERTY/` holds one file each; `tests/fuzz/run` adds to them.

mod fixture;
mod properties;

use std::path::Path;

#[test]
fn the_corpus_holds() {
    for (name, property) in properties::ALL {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
        let files: Vec<_> = std::fs::read_dir(&dir).expect("every property has a corpus").collect();
        assert!(files.len() >= 20, "{name}: {} files", files.len());
        for file in files {
            let path = file.expect("readable").path();
            println!("{}", path.display()); // the last line printed names the culprit
            property(&std::fs::read(&path).expect("readable"));
        }
    }
}
