//! Pictures from standard input and to standard output. Both are named `-`.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;

use anyhow::Context;
use impasto::Error;
use impasto::picture::Picture;

/// The name of a picture from standard input.
const INPUT: &str = "standard input";

/// Whether a name means a stream and not a file. A file with this name is `./-`. The names that the system
/// has for its own streams mean streams, too.
pub fn is_stream(name: &Path) -> bool {
    ["-", "/dev/stdin", "/dev/stdout"].iter().any(|stream| name.as_os_str() == *stream)
}

/// Reads a picture from a file or from standard input.
pub fn read(name: &Path) -> anyhow::Result<Picture> {
    if !is_stream(name) {
        return Ok(Picture::open(name)?);
    }
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let why = "it is the terminal; redirect a picture into it, as in `impasto .. < photo.jpg`";
        return Err(Error::picture(Path::new(INPUT), why).into());
    }
    Ok(Picture::from_reader(INPUT, stdin.lock())?)
}

/// Refuses standard input for more than one picture.
pub fn check_inputs<'a>(names: impl Iterator<Item = &'a Path>) -> anyhow::Result<()> {
    if names.filter(|name| is_stream(name)).count() > 1 {
        let why = "standard input has only one picture, but - is named twice; name a file";
        return Err(Error::Setting(why.into()).into());
    }
    Ok(())
}

/// Refuses to write a picture to the terminal.
pub fn check_output() -> anyhow::Result<()> {
    if std::io::stdout().is_terminal() {
        let why = "standard output is the terminal, which cannot take a picture; redirect it, as in `-o - > result.png`";
        return Err(Error::Setting(why.into()).into());
    }
    Ok(())
}

/// Writes the bytes of a picture to standard output.
pub fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => {
            anyhow::bail!(
                "cannot write the picture to standard output: nobody reads it any more; write it to a file"
            )
        }
        written => written.context("cannot write the picture to standard output"),
    }
}
