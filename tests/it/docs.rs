//! Checks the documentation against the program: links lead somewhere, and every message that is explained
//! exists.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every page: those at the root, and those in the folders of docs/.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("assets/README.md")];
    for folder in ["", "docs/guide", "docs/design", "docs/lab"] {
        let files = fs::read_dir(root().join(folder)).unwrap().map(|file| file.unwrap().path());
        pages.extend(files.filter(|path| path.extension().is_some_and(|e| e == "md")));
    }
    pages
}

#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap()) {
            if !link.is_empty() && !link.contains("://") {
                links += 1;
                assert!(page.parent().unwrap().join(link).exists(), "{}: {link}", page.display());
            }
        }
    }
    assert!(links > 10, "{links}");
}

/// All source text of the program, with the lines of a message joined as Rust joins them.
fn source(folder: &Path, text: &mut String) {
    for file in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        if file.is_dir() {
            source(&file, text);
        } else if file.extension().is_some_and(|e| e == "rs") {
            let code = fs::read_to_string(&file).unwrap();
            text.extend(code.split("\\\n").map(|part| part.trim_start_matches(' ')));
        }
    }
}

#[test]
fn messages_that_are_explained_exist() {
    let mut code = String::new();
    source(&root().join("src"), &mut code);
    let page = fs::read_to_string(root().join("docs/guide/troubleshooting.md")).unwrap();
    let messages: Vec<String> = page
        .split("**")
        .skip(1)
        .step_by(2)
        .map(|message| message.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert!(messages.len() > 20);
    for message in messages {
        // Dots and single capital letters stand for the parts of a message that vary.
        for part in message.split("...").flat_map(|part| part.split(" N ")).flat_map(|part| part.split(" M "))
        {
            let part = part.trim_matches([' ', ';', ':']).trim_end_matches(" N").trim_start_matches("N ");
            assert!(part.is_empty() || code.contains(part), "no message has {part:?} ({message})");
        }
    }
}
