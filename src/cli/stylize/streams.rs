//! Pictures from standard input and to standard output, which are both called `-`.

use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::path::Path;

use anyhow::Context;
use impasto::Error;
use impasto::picture::Picture;

/// What a picture from standard input is called.
const INPUT: &str = "standard input";
/// As for files.
const MOST: u64 = 2 << 30;

/// Whether a name means a stream and not a file. A file of that name is `./-`.
pub fn is_stream(name: &Path) -> bool {
    name.as_os_str() == "-"
}

/// Reads the picture in a file or from standard input.
pub fn read(name: &Path) -> anyhow::Result<Picture> {
    if !is_stream(name) {
        return Ok(Picture::open(name)?);
    }
    let refuse = |why: &str| Error::picture(Path::new(INPUT), why);
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(
            refuse("it is the terminal; send a picture into it, as in `impasto .. < photo.jpg`").into()
        );
    }
    let mut bytes = Vec::new();
    stdin.lock().take(MOST + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {INPUT}"))?;
    if bytes.len() as u64 > MOST {
        return Err(refuse("it is larger than 2 GiB; scale the picture down first").into());
    }
    Ok(Picture::from_bytes(INPUT, &bytes)?)
}

/// Refuses standard input for more than one picture: it has only one.
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
        let why = "standard output is the terminal, which cannot take a picture; send it on, as in `-o - > result.png`";
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
