//! A kernel: WGSL text, and the constants replaced in it. `interface` reads its declaration, `pipeline`
//! compiles it.
//!
//! The WGSL file is the only declaration. Bindings, uniform members and the workgroup size are looked up by
//! name. (The only other thing that Rust knows of them is how many outputs a workgroup has.)
//!
//! What several files need stands once, as a snippet in `shaders/snippets/`. The line `// include: NAME` of a
//! file appends `shaders/snippets/NAME.wgsl` to its text. WGSL lets a declaration come after
//! its use, so that the lines of the file keep their numbers in what a compiler says. A snippet may use what
//! the file declares, say in a constant that is replaced, but includes no other snippet.

use include_dir::{Dir, include_dir};

use crate::engine::precision::Precision;
use crate::{Error, Result};

mod interface;
mod params;
mod pipeline;
mod private;

pub use interface::{Access, Binding, Interface};
pub(crate) use params::Follower;
pub use params::{Knob, Value};
pub(crate) use pipeline::Pipeline;

/// All WGSL files.
pub(crate) static SHADERS: Dir = include_dir!("$CARGO_MANIFEST_DIR/shaders");

/// How a line begins that names a snippet.
const INCLUDE: &str = "// include: ";

/// One entry point of one WGSL file, with the constants that differ from the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// File name without its extension.
    pub file: &'static str,
    /// The whole WGSL text.
    pub text: &'static str,
    /// Function to run.
    pub entry: &'static str,
    /// Lines `const NAME: T = value;` and `alias NAME = type;` whose value is replaced.
    pub constants: Vec<(&'static str, String)>,
}

/// Without the text, which belongs to the file: kernels are looked up for every dispatch.
impl std::hash::Hash for Kernel {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.file, self.entry, &self.constants).hash(state);
    }
}

/// The entry point `$entry` of `shaders/$file.wgsl`.
macro_rules! kernel {
    ($file:literal, $entry:literal) => {
        $crate::engine::kernel::Kernel {
            file: $file,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $file, ".wgsl")),
            entry: $entry,
            constants: Vec::new(),
        }
    };
}
pub(crate) use kernel;

impl Kernel {
    /// Replaces the value of the line `const NAME: T = value;` or `alias NAME = type;`.
    pub fn constant(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.constants.push((name, value.to_string()));
        self
    }

    /// Declares how the variable behind `alias name` is stored: `f16` where `var` is in half precision.
    /// `HALF` becomes true then.
    pub fn storing(self, name: &'static str, var: crate::engine::tape::Var) -> Self {
        match var.precision {
            Precision::Single => self,
            Precision::Half if self.constants.iter().any(|(name, _)| *name == "HALF") => {
                self.constant(name, "f16")
            }
            Precision::Half => self.constant("HALF", true).constant(name, "f16"),
        }
    }

    /// Declares the matrices that the device multiplies at once, `tile x tile` values: the types of the factors
    /// `left` and `right`, and of `Sums`. The text has them for 8 x 8.
    pub fn matrices(self, tile: usize, [left, right]: [&'static str; 2]) -> Self {
        if tile == 8 {
            return self;
        }
        let matrix = |scalar: &str, role: &str| format!("coop_mat{tile}x{tile}<{scalar}, {role}>");
        self.constant("TILE", format!("{tile}u"))
            .constant(left, matrix("f16", "A"))
            .constant(right, matrix("f16", "B"))
            .constant("Sums", matrix("f32", "C"))
    }

    /// Declares how the texels behind `alias name` are stored.
    pub(crate) fn texels(self, name: &'static str, precision: Precision) -> Self {
        match precision {
            Precision::Single => self,
            Precision::Half => self.constant(name, "texture_storage_2d<rgba16float, read>"),
        }
    }

    /// Whether it needs a device with half precision.
    fn is_half(&self) -> bool {
        self.constants.iter().any(|(_, value)| value.contains("f16"))
    }

    /// `file/entry`, with the constants that were replaced.
    pub fn label(&self) -> String {
        let constants: String =
            self.constants.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        format!("{}/{}{constants}", self.file, self.entry)
    }

    /// The text with its constants replaced, followed by the snippets that it includes.
    ///
    /// # Errors
    /// [`Error::Shader`] if the text does not declare a constant that is to be replaced, or there is no such
    /// snippet.
    pub fn wgsl(&self) -> Result<String> {
        let mut text = self.text.to_owned();
        for (name, value) in &self.constants {
            let line = [format!("const {name}:"), format!("alias {name} ")].iter().find_map(|l| text.find(l));
            let declared = line.and_then(|start| {
                let equals = start + text[start..].find('=')?;
                Some((equals + 1, equals + text[equals..].find(';')?))
            });
            let (from, to) =
                declared.ok_or_else(|| Error::shader(self.file, format!("no line declares {name}")))?;
            text.replace_range(from..to, &format!(" {value}"));
        }
        for name in self.text.lines().filter_map(|line| line.strip_prefix(INCLUDE)) {
            let path = format!("snippets/{name}.wgsl");
            let snippet = SHADERS.get_file(&path).and_then(|file| file.contents_utf8());
            let snippet =
                snippet.ok_or_else(|| Error::shader(self.file, format!("there is no shaders/{path}")))?;
            text.push_str(&format!("\n// From shaders/{path}:\n{snippet}"));
        }
        // On the first line, so that all others keep their numbers.
        Ok(if self.is_half() { format!("enable f16; {text}") } else { text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel of a file that is only here.
    fn source(text: &'static str) -> Kernel {
        Kernel { file: "test", text, entry: "run", constants: Vec::new() }
    }

    /// Errors name the file and the line as its author sees them, regardless of what is put before and after
    /// the text.
    #[test]
    fn lines_keep_their_numbers() {
        let text = "// A shader.\nalias X = f32;\nconst HALF: bool = false;\n// include: finite\n\
                    @group(0) @binding(0) var<storage, read_write> x: array<X>;\n\
                    @compute @workgroup_size(1) fn run() { x[0] = X(finite(1.0)); }\n";
        let half = |source: Kernel| source.constant("X", "f16").constant("HALF", true);
        let whole = half(source(text)).wgsl().unwrap();
        assert!(Interface::read(&source(text), &whole).is_ok(), "{whole}");
        let error =
            Interface::read(&source(text), &whole.replace("finite(1.0)", "finite(1.0, y)")).unwrap_err();
        assert!(error.to_string().contains("shaders/test.wgsl:6:"), "{error}");
    }

    #[test]
    fn a_snippet_that_is_not_there_is_an_error() {
        let error = source("// include: missing\n").wgsl().unwrap_err();
        assert!(error.to_string().contains("there is no shaders/snippets/missing.wgsl"), "{error}");
    }

    /// A snippet without users would not be translated by any test.
    #[test]
    fn every_snippet_is_included() {
        let texts: Vec<&str> = SHADERS.files().map(|file| file.contents_utf8().unwrap()).collect();
        let snippets = SHADERS.get_dir("snippets").unwrap().files();
        for name in snippets.map(|file| file.path().file_stem().unwrap().to_str().unwrap()) {
            let line = format!("{INCLUDE}{name}");
            let users = texts.iter().filter(|text| text.lines().any(|other| other == line)).count();
            assert!(
                users > 1,
                "{name} is included by {users} files, and what one file needs stands in that file"
            );
        }
    }
}
