//! Which photographs are meant, and the names of their results.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use impasto::Error;
use impasto::picture::Format;
use impasto::same_file;
use sha2::{Digest, Sha256};

use super::names::{expand, pattern};
use super::options::{Options, Reporting};
use super::outputs::Outputs;
use super::stdio::{check_inputs, is_stream};

/// The options for many pictures, and how they are shared among machines.
#[derive(clap::Args)]
#[command(next_help_heading = "Many pictures")]
pub struct Inputs {
    /// A painting; all other names are then photographs. Can be given several times
    #[arg(long = "style", value_name = "FILE")]
    pub named_styles: Vec<PathBuf>,

    /// Format of results in a folder and on standard output [default: png]
    #[arg(long, value_name = "FORMAT", value_parser = ["png", "jpg", "tif", "webp"])]
    format: Option<String>,

    /// Paint pictures again even if their results exist
    #[arg(long)]
    pub force: bool,

    /// Paint only part I of N, for example 2/8; each picture always belongs to the same part
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
}

/// One of several parts, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shard {
    part: u64,
    parts: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((part, parts)) if 1 <= part && part <= parts => Ok(Self { part, parts }),
            _ => Err("write 2/8 for the second of eight parts; the first is 1/8 and the last 8/8".into()),
        }
    }
}

impl Shard {
    /// Whether a file belongs to this part. That depends on its own name only. Neither other files nor the
    /// location of the folder on a machine can change it.
    fn has(self, content: &Path) -> bool {
        let name = content.file_name().unwrap_or_default().as_encoded_bytes();
        let sum = Sha256::digest(name);
        let number = u64::from_le_bytes(sum[..8].try_into().expect("a digest has 32 bytes"));
        number % self.parts == self.part - 1
    }
}

/// Where results go.
pub enum Target {
    /// Standard output.
    Stream(Format),
    /// The one result.
    File(PathBuf),
    /// Results that take their photographs' names.
    Folder(PathBuf),
}

/// A photograph and all outputs about it.
pub struct Item {
    pub content: PathBuf,
    pub outputs: Outputs,
    /// Where the run continues, if that file exists.
    pub resume: Option<PathBuf>,
}

impl Options {
    /// Where results go, and with that whether there may be many pictures.
    pub fn target(&self) -> anyhow::Result<Target> {
        let output = &self.output;
        let refuse = |why: String| Err(Error::Setting(why).into());
        let names = self.styles.iter().chain(&self.many.named_styles).chain([&self.content]);
        check_inputs(names.map(PathBuf::as_path))?;
        let separator = |byte: &u8| std::path::is_separator(char::from(*byte));
        let slash = output.as_os_str().as_encoded_bytes().last().is_some_and(separator);
        let several = (!self.many.named_styles.is_empty() && !self.styles.is_empty())
            || self.content.is_dir()
            || pattern(&self.content).is_some();
        let stream = is_stream(output);
        if stream && several {
            return refuse("many pictures cannot go to standard output; name a folder with -o".into());
        }
        if output.is_dir() || slash || (several && output.extension().is_none() && !output.exists()) {
            return Ok(Target::Folder(output.clone()));
        }
        if several {
            return refuse(format!(
                "{} is a single file, and many pictures need a folder; end its name in / if it is one",
                output.display()
            ));
        }
        for (given, option) in [
            (self.many.force, "--force"),
            (self.many.shard.is_some(), "--shard"),
            (self.many.format.is_some() && !stream, "--format"),
        ] {
            if given {
                return refuse(format!(
                    "{option} is for results in a folder, but -o names the file {}; leave it out, or name a folder",
                    output.display()
                ));
            }
        }
        if !stream {
            return Ok(Target::File(output.clone()));
        }
        for (given, option) in [
            (self.reporting.json, "--json would mix its lines with the picture"),
            (self.keep.save_every.is_some(), "--save-every would write more than one picture"),
        ] {
            if given {
                return refuse(format!("{option} on standard output; write the picture to a file"));
            }
        }
        Ok(Target::Stream(Format::of(&Path::new("-").with_extension(self.ending()))?))
    }

    /// Removes the photographs from the given names and returns them; the names that are left are the styles.
    pub fn take_contents(&mut self, target: &Target) -> Vec<PathBuf> {
        let mut contents = vec![self.content.clone()];
        if !self.many.named_styles.is_empty() {
            contents.append(&mut self.styles);
            self.styles = std::mem::take(&mut self.many.named_styles);
        } else if matches!(target, Target::Folder(_)) {
            let style = self.styles.pop();
            contents.append(&mut self.styles);
            self.styles.extend(style);
        }
        contents
    }

    /// The ending of results without a name of their own.
    fn ending(&self) -> &str {
        self.many.format.as_deref().unwrap_or("png")
    }

    /// The single picture whose result has a name or goes to standard output.
    pub fn one(&self, content: PathBuf, result: PathBuf, stream: Option<Format>) -> Item {
        let outputs = Outputs {
            result,
            stream,
            unfinished: None,
            losses: self.reporting.losses.clone(),
            contact_sheet: self.reporting.contact_sheet.clone(),
            report: self.reporting.report.clone(),
            frames: self.reporting.frames.clone(),
            checkpoint: self.keep.checkpoint.clone(),
            save: self.reporting.save_options(),
        };
        // The same command begins a long run and continues it.
        let begins = |file: &&PathBuf| !file.exists() && self.keep.checkpoint.as_ref() == Some(*file);
        let resume = self.keep.resume.as_ref().filter(|file| !begins(file)).cloned();
        Item { content, outputs, resume }
    }

    /// The pictures that `names` stand for and that belong to this run's part, with results in `folder`.
    ///
    /// # Errors
    /// If there are none, if two results would have the same name, or if a result would replace a photograph.
    pub fn many(&self, names: &[PathBuf], folder: &Path) -> anyhow::Result<Vec<Item>> {
        let (mut contents, mut seen) = (Vec::new(), HashSet::new());
        for name in names {
            if is_stream(name) {
                let why = "a photograph from standard input has no name to give its result; name the result with -o";
                return Err(Error::Setting(why.into()).into());
            }
            let found = expand(name, folder, self.reporting.contact_sheet.as_deref())?;
            found.left_out.iter().for_each(|text| self.reporting.note(name, text));
            for content in found.files {
                let style = self.styles.iter().any(|style| same_file(style, &content));
                if style {
                    self.reporting.note(&content, "it is the painting, so it is skipped");
                } else if seen.insert(content.clone()) {
                    contents.push(content);
                }
            }
        }
        let items: Vec<Item> = contents.into_iter().map(|content| self.item(content, folder)).collect();
        let resolved = |path: &Path| path.canonicalize().ok();
        let photographs: HashSet<PathBuf> = items.iter().filter_map(|item| resolved(&item.content)).collect();
        let mut names: HashMap<OsString, &Path> = HashMap::new();
        for Item { content, outputs, .. } in &items {
            for output in outputs.files() {
                if resolved(output).is_some_and(|file| photographs.contains(&file)) {
                    return Err(Error::Setting(format!(
                        "{} would be overwritten by an output for {}; name another folder, or another --format",
                        output.display(),
                        content.display()
                    ))
                    .into());
                }
                if let Some(other) = names.insert(as_the_system_sees(output), content) {
                    return Err(Error::Setting(format!(
                        "{} and {} would both become {}; rename one, or paint them into different folders",
                        other.display(),
                        content.display(),
                        output.display()
                    ))
                    .into());
                }
            }
        }
        let shard = self.many.shard;
        Ok(items.into_iter().filter(|item| shard.is_none_or(|shard| shard.has(&item.content))).collect())
    }

    fn item(&self, content: PathBuf, folder: &Path) -> Item {
        let stem = content.file_stem().unwrap_or_default().to_owned();
        let beside = |folder: &Path, ending: &str| {
            let mut name = stem.clone();
            name.push(ending);
            folder.join(name)
        };
        let also = |folder: &Option<PathBuf>, ending| folder.as_ref().map(|folder| beside(folder, ending));
        let ending = self.ending();
        let outputs = Outputs {
            result: beside(folder, &format!(".{ending}")),
            stream: None,
            unfinished: Some(beside(folder, &format!(".unfinished.{ending}"))),
            losses: also(&self.reporting.losses, ".jsonl"),
            contact_sheet: also(&self.reporting.contact_sheet, ".sheet.jpg"),
            report: also(&self.reporting.report, ".html"),
            frames: also(&self.reporting.frames, ""),
            checkpoint: also(&self.keep.checkpoint, ".checkpoint"),
            save: self.reporting.save_options(),
        };
        let resume = also(&self.keep.resume, ".checkpoint").filter(|file| file.exists());
        Item { content, outputs, resume }
    }

    /// The locations of outputs besides the results: files for one picture, folders for many.
    pub fn beside(&self) -> impl Iterator<Item = &Path> {
        let Reporting { losses, contact_sheet, report, frames, .. } = &self.reporting;
        let folders = [losses, contact_sheet, report, frames, &self.keep.checkpoint];
        folders.into_iter().flatten().map(PathBuf::as_path)
    }
}

/// A folder that was created for results, and is removed again if it stays empty.
pub struct Folder<'a> {
    path: &'a Path,
    made: bool,
}

impl<'a> Folder<'a> {
    /// The folder at `path`, which is created if it is missing.
    pub fn make(path: &'a Path) -> anyhow::Result<Self> {
        if path.is_dir() {
            return Ok(Self { path, made: false });
        }
        let why = "choose another name, or create it first";
        fs::create_dir(path)
            .with_context(|| format!("cannot create the folder {}: {why}", path.display()))?;
        Ok(Self { path, made: true })
    }
}

impl Drop for Folder<'_> {
    fn drop(&mut self) {
        if self.made {
            // This fails if the folder is not empty, as intended.
            let _ = fs::remove_dir(self.path);
        }
    }
}

/// The form in which the file system compares names.
fn as_the_system_sees(path: &Path) -> OsString {
    let name = path.as_os_str();
    if cfg!(any(windows, target_os = "macos")) { name.to_ascii_lowercase() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_out_every_picture_once() {
        let pictures: Vec<PathBuf> = (0..200).map(|i| format!("IMG_{i:04}.jpg").into()).collect();
        for parts in [1, 2, 3, 8] {
            let shards: Vec<Shard> =
                (1..=parts).map(|part| format!("{part}/{parts}").parse().unwrap()).collect();
            for picture in &pictures {
                let moved = Path::new("elsewhere").join(picture);
                assert_eq!(shards.iter().filter(|shard| shard.has(picture)).count(), 1);
                assert!(shards.iter().all(|shard| shard.has(picture) == shard.has(&moved)));
            }
            let least = shards.iter().map(|s| pictures.iter().filter(|p| s.has(p)).count()).min();
            assert!(least > Some(200 / parts / 2), "{parts} parts, {least:?} in the smallest");
        }
        // The parts must be the same in all versions, because machines may have different ones.
        let first: Vec<u64> = pictures[..8]
            .iter()
            .map(|p| (1..=4).find(|part| Shard { part: *part, parts: 4 }.has(p)).unwrap())
            .collect();
        assert_eq!(first, [1, 2, 1, 4, 2, 2, 4, 1]);
    }

    #[test]
    fn shards_that_make_no_sense_are_refused() {
        for text in ["", "1", "0/4", "5/4", "1/0", "a/b", "1/2/3", "-1/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
