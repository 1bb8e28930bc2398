//! A folder in which tests run the binary.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder with two small pictures in it.
pub struct Studio {
    pub folder: TempDir,
}

impl Studio {
    pub fn new() -> Self {
        let studio = Self { folder: TempDir::new().unwrap() };
        studio.paint("photo.png", 40, 33);
        studio.paint("painting.png", 32, 37);
        studio
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A picture with gradients and edges.
    pub fn paint(&self, name: &str, width: u32, height: u32) {
        let shade = |x: u32, y: u32| {
            [(x * 7 + y) as u8, (y * 5) as u8, if (x / 5 + y / 3).is_multiple_of(2) { 200 } else { 30 }]
        };
        image::RgbImage::from_fn(width, height, |x, y| image::Rgb(shade(x, y)))
            .save(self.path(name))
            .unwrap();
    }

    /// The command, inside the folder. Where it says nothing of the look, it is that of the book, whose one
    /// small size is the quickest to paint; `--preset painterly` asks for the default.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("impasto"));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        let mut words = arguments.split_whitespace();
        let name = words.next();
        command.args(name);
        let paints = name.is_some_and(|name| ["stylize", "grid", "estimate"].contains(&name));
        let looks = ["--preset", "--settings-from", "--help", "preset="];
        if paints && !words.clone().any(|word| looks.iter().any(|look| word.starts_with(look))) {
            command.args(["--preset", "book"]);
        }
        command.args(words);
        command
    }

    pub fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The names of all files.
    pub fn files(&self) -> Vec<String> {
        let name = |entry: Result<fs::DirEntry, _>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(self.folder.path()).unwrap().map(name).collect();
        names.sort();
        names
    }

    /// Runs a command that must be refused with exit code `code` and a message containing `text`, and that
    /// must leave every file as it was.
    pub fn refuses(&self, code: i32, text: &str, arguments: &str) {
        let files = || -> Vec<(String, Option<Vec<u8>>)> {
            self.files().into_iter().map(|f| (f.clone(), fs::read(self.path(&f)).ok())).collect()
        };
        let before = files();
        let output = self.run(arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments}: {message}");
        assert!(message.contains(text), "{arguments}: expected {text:?} in: {message}");
        assert!(!message.contains("panicked"), "{arguments}: {message}");
        // Notes may come before it.
        let first = message.lines().find(|line| !line.starts_with("note: ")).unwrap_or_default();
        assert!(first.starts_with("error: "), "{arguments}: {message}");
        assert!(before == files(), "{arguments} changed files");
    }
}
