//! The program among others: completions, manual pages, colours, environment variables.

use std::fs;

use crate::support::figures::network;
use crate::support::studio::Studio;

/// The output of a command that must succeed.
#[track_caller]
fn printed(studio: &Studio, arguments: &str) -> String {
    let output = studio.run(arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{arguments}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn completions_know_commands_and_options() {
    let studio = Studio::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = printed(&studio, &format!("completions {shell}"));
        for word in ["stylize", "devices", "style-weight", "settings-from"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    studio.refuses(2, "invalid value 'tcsh'", "completions tcsh");
    // The shell accepts the script, and it completes.
    fs::write(studio.path("script"), printed(&studio, "completions bash")).unwrap();
    let line = ". ./script && COMP_WORDS=(impasto sty) COMP_CWORD=1 && _impasto impasto sty impasto && echo ${COMPREPLY[*]}";
    if let Ok(output) =
        std::process::Command::new("bash").current_dir(&studio.folder).args(["-c", line]).output()
    {
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "stylize", "{output:?}");
    }
}

#[test]
fn manual_pages_cover_every_command() {
    let studio = Studio::new();
    let page = printed(&studio, "man");
    assert!(page.contains(".TH impasto 1") && page.contains("stylize"), "{page}");
    assert_eq!(printed(&studio, "man pages/man1"), "");
    let mut pages: Vec<_> = fs::read_dir(studio.path("pages/man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    for command in ["", "-check", "-completions", "-devices", "-man", "-stylize", "-weights"] {
        assert!(pages.contains(&format!("impasto{command}.1")), "{pages:?}");
    }
    let page = fs::read_to_string(studio.path("pages/man1/impasto-stylize.1")).unwrap();
    for word in [r"\-\-style\-weight", "IMPASTO_ADAPTER", "Examples", "Exit codes"] {
        assert!(page.contains(word), "{word}");
    }
    fs::write(studio.path("file"), "").unwrap();
    studio.refuses(1, "cannot create the folder file/pages; name another one", "man file/pages");
}

#[test]
fn colours_are_for_those_who_want_them() {
    let studio = Studio::new();
    let help = |variables: &[(&str, &str)]| {
        let mut command = studio.command("stylize --help");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().contains('\u{1b}')
    };
    // A pipe gets no colours unless they are forced, and NO_COLOR takes precedence even then.
    assert!(!help(&[]));
    assert!(help(&[("CLICOLOR_FORCE", "1")]));
    assert!(!help(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn variables_stand_in_for_options() {
    let studio = Studio::new();
    let run = "stylize photo.png painting.png --size 16x16 --style-size 16x16 --iterations 1 -o out.png";
    let refusal = |name: &str, value: &str, arguments: &str| {
        let output = studio.command(arguments).env(name, value).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = refusal("IMPASTO_ADAPTER", "voodoo", run);
    assert!(code == Some(1) && text.contains("no adapter is called \"voodoo\""), "{text}");
    let (code, text) = refusal("IMPASTO_WEIGHTS", "missing", run);
    assert!(code == Some(1) && text.contains("cannot use weights missing"), "{text}");
    // An option on the command line takes precedence.
    std::fs::write(studio.path("vgg19.safetensors"), network()).unwrap();
    let (code, text) =
        refusal("IMPASTO_WEIGHTS", "missing", &format!("{run} --weights vgg19.safetensors -v"));
    assert_eq!(code, Some(0), "{text}");
    for line in [
        "adapter  ",
        "network  vgg19.safetensors (SHA-256 ",
        "content  16 x 16  photo.png",
        "style    16 x 16  painting.png",
        "start    the photograph",
        "settings book, gram; weights: content 1, style 10000, tv 10; learning rate 0.3",
        "output   out.png",
        "memory   ",
    ] {
        assert!(text.lines().any(|l| l.starts_with(line)), "{line}: {text}");
    }
}
