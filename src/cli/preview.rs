//! Pictures in the terminal, if it can show them.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use impasto::picture::{Format, Picture, SaveOptions, Size, contact_sheet};

use super::sheet::fitted;

/// The largest size of a picture, in characters.
const COLUMNS: usize = 80;
const ROWS: usize = 20;
/// The most pixels per character, which bounds the size of what is sent.
const LETTER: (usize, usize) = (10, 20);
/// The most characters in one of kitty's commands.
const CHUNK: usize = 4096;

/// How a terminal is told to show a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// What the terminal says it can
    Auto,
    /// kitty's graphics protocol: kitty, Ghostty, Konsole
    Kitty,
    /// iTerm2's inline images: iTerm2, WezTerm, mintty
    Iterm,
    /// Half blocks in 24-bit colours: nearly every terminal
    Blocks,
}

/// A terminal that shows one picture at a time, each in the place of the one before.
pub struct Screen {
    way: Way,
    columns: usize,
    /// Rows of the picture on the screen.
    rows: usize,
}

impl Screen {
    /// The screen behind stderr, or the reason why there is none. A protocol that is asked for by name is not
    /// questioned.
    pub fn open(way: Way) -> Result<Self, String> {
        let way = match way {
            Way::Auto if !std::io::stderr().is_terminal() => {
                return Err("no preview: stderr is not a terminal".into());
            }
            Way::Auto => detect(|name| std::env::var(name).unwrap_or_default()).ok_or(
                "no preview: this terminal does not say that it can show pictures; if it can, say how: \
                 --preview=kitty, =iterm or =blocks",
            )?,
            named => named,
        };
        let columns = usize::from(console::Term::stderr().size().1).saturating_sub(1).clamp(8, COLUMNS);
        Ok(Self { way, columns, rows: 0 })
    }

    /// Shows a picture. If it cannot be shown, the run goes on.
    pub fn show(&mut self, picture: &Picture) {
        if let Ok(text) = self.draw(picture) {
            let mut stderr = std::io::stderr().lock();
            let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
        }
    }

    /// The text that draws a picture; the cursor ends below it.
    fn draw(&mut self, picture: &Picture) -> impasto::Result<String> {
        let (columns, rows) = extent(picture, self.columns);
        let mut text = String::new();
        if self.rows > 0 {
            let _ = write!(text, "\x1b[{}A\r", self.rows);
        }
        self.rows = rows;
        // A sheet of one picture without a gap is that picture on white.
        let opaque = contact_sheet(&[picture], 0);
        match self.way {
            Way::Kitty => text += &kitty(&bytes(&opaque, columns, rows)?, columns, rows),
            Way::Iterm => {
                let bytes = bytes(&opaque, columns, rows)?;
                let _ = writeln!(
                    text,
                    "\x1b]1337;File=inline=1;size={};width={columns};height={rows};preserveAspectRatio=0:{}\x07",
                    bytes.len(),
                    STANDARD.encode(&bytes)
                );
            }
            Way::Auto | Way::Blocks => text += &blocks(&opaque, columns, rows),
        }
        Ok(text)
    }
}

/// The protocol according to the environment. A multiplexer passes on colours, but not pictures.
fn detect(variable: impl Fn(&str) -> String) -> Option<Way> {
    let (term, program) = (variable("TERM"), variable("TERM_PROGRAM"));
    let multiplexed = !variable("TMUX").is_empty() || term.starts_with("screen") || term.starts_with("tmux");
    let kitty = ["kitty", "ghostty"].iter().any(|name| term.contains(name)) || program == "ghostty";
    let colours = ["truecolor", "24bit"].contains(&variable("COLORTERM").as_str());
    match () {
        () if multiplexed => colours.then_some(Way::Blocks),
        () if kitty || !variable("KONSOLE_VERSION").is_empty() => Some(Way::Kitty),
        () if ["iTerm.app", "WezTerm", "mintty"].contains(&program.as_str()) => Some(Way::Iterm),
        () => colours.then_some(Way::Blocks),
    }
}

/// Columns and rows of a picture. A character is about twice as high as wide.
fn extent(picture: &Picture, columns: usize) -> (usize, usize) {
    let aspect = picture.width as f64 / picture.height as f64;
    let rows = (columns as f64 / aspect / 2.0).round().max(1.0);
    if rows <= ROWS as f64 {
        return (columns, rows as usize);
    }
    (((ROWS * 2) as f64 * aspect).round().clamp(1.0, columns as f64) as usize, ROWS)
}

/// The picture as a PNG with no more pixels than its place on the screen.
fn bytes(picture: &Picture, columns: usize, rows: usize) -> impasto::Result<Vec<u8>> {
    let (width, height) = (columns * LETTER.0, rows * LETTER.1);
    let small = picture.width <= width && picture.height <= height;
    let shown = if small { picture.clone() } else { fitted(picture, width, height) };
    shown.to_bytes(Format::Png, &SaveOptions::default())
}

fn kitty(png: &[u8], columns: usize, rows: usize) -> String {
    let data = STANDARD.encode(png);
    let chunks: Vec<&str> =
        data.as_bytes().chunks(CHUNK).map(|c| std::str::from_utf8(c).expect("base64 is ASCII")).collect();
    let mut text = String::new();
    for (index, chunk) in chunks.iter().enumerate() {
        let more = u8::from(index + 1 < chunks.len());
        let _ = match index {
            // Display at once; PNG; no answers; always the same image and placement.
            0 => write!(text, "\x1b_Ga=T,f=100,q=2,i=1,p=1,c={columns},r={rows},m={more};{chunk}\x1b\\"),
            _ => write!(text, "\x1b_Gm={more};{chunk}\x1b\\"),
        };
    }
    text + "\n"
}

/// Two pixels in every character, one above the other.
fn blocks(picture: &Picture, columns: usize, rows: usize) -> String {
    let (width, height) = (columns, 2 * rows);
    let small = picture.resized(Size::Exact { width, height }, true);
    let colour = |x: usize, y: usize| {
        let value = |c: usize| (small.rgb[(c * height + y) * width + x].clamp(0.0, 1.0) * 255.0).round();
        format!("{};{};{}", value(0), value(1), value(2))
    };
    let mut text = String::new();
    for row in 0..rows {
        for x in 0..columns {
            let _ = write!(text, "\x1b[38;2;{};48;2;{}m\u{2580}", colour(x, 2 * row), colour(x, 2 * row + 1));
        }
        text += "\x1b[0m\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize) -> Picture {
        let rgb = (0..3 * width * height).map(|i| (i % 7) as f32 / 6.0).collect();
        Picture::new(width, height, rgb)
    }

    #[test]
    fn terminals_are_known_by_what_they_say() {
        let terminal = |set: &[(&str, &str)]| {
            let set: Vec<(String, String)> = set.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
            detect(|name| set.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()).unwrap_or_default())
        };
        assert_eq!(terminal(&[("TERM", "xterm-kitty"), ("COLORTERM", "truecolor")]), Some(Way::Kitty));
        assert_eq!(terminal(&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "iTerm.app")]), Some(Way::Iterm));
        assert_eq!(
            terminal(&[("TERM", "xterm-kitty"), ("TMUX", "/t"), ("COLORTERM", "24bit")]),
            Some(Way::Blocks)
        );
        assert_eq!(terminal(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), Some(Way::Blocks));
        assert_eq!(terminal(&[("TERM", "dumb")]), None);
    }

    #[test]
    fn pictures_keep_their_proportions() {
        for (width, height, expected) in
            [(60, 40, (60, 20)), (300, 100, (80, 13)), (10, 1000, (1, 20)), (9000, 1, (80, 1))]
        {
            assert_eq!(extent(&picture(width, height), COLUMNS), expected, "{width} x {height}");
        }
    }

    #[test]
    fn blocks_show_every_pixel() {
        let mut screen = Screen { way: Way::Blocks, columns: 4, rows: 0 };
        let red = Picture::new(4, 2, [vec![1.0; 8], vec![0.0; 8], vec![0.5; 8]].concat());
        let first = screen.draw(&red).unwrap();
        assert_eq!(first, "\x1b[38;2;255;0;128;48;2;255;0;128m\u{2580}".repeat(4) + "\x1b[0m\n");
        // The second picture takes the place of the first.
        assert_eq!(screen.draw(&red).unwrap(), format!("\x1b[1A\r{first}"));
    }

    #[test]
    fn a_terminal_gets_a_whole_picture() {
        let picture = picture(90, 60);
        for way in [Way::Kitty, Way::Iterm] {
            let text = Screen { way, columns: 60, rows: 0 }.draw(&picture).unwrap();
            assert!(text.ends_with('\n') && text.matches('\n').count() == 1);
            let data: String = match way {
                Way::Kitty => {
                    let commands: Vec<&str> = text.split("\x1b_G").skip(1).collect();
                    assert!(commands[0].starts_with("a=T,f=100,q=2,i=1,p=1,c=60,r=20,"));
                    let last = commands.len() - 1;
                    let one = |(i, c): (usize, &&str)| {
                        assert_eq!(c.contains("m=0;"), i == last);
                        let data = c.split_once(';').unwrap().1.trim_end().strip_suffix("\x1b\\").unwrap();
                        assert!(data.len() <= CHUNK);
                        data.to_owned()
                    };
                    commands.iter().enumerate().map(one).collect()
                }
                _ => text.split_once(':').unwrap().1.split('\x07').next().unwrap().to_owned(),
            };
            let png = STANDARD.decode(data).unwrap();
            let shown = Picture::from_bytes("it", &png).unwrap();
            assert_eq!((shown.width, shown.height), (90, 60));
        }
    }
}
