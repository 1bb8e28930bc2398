//! `impasto completions` and `impasto man`: generated from the program's own options.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use super::console;

/// Print the completions for a shell
#[derive(clap::Args)]
#[command(after_help = "\
Where they go:
  bash        impasto completions bash > ~/.local/share/bash-completion/completions/impasto
  zsh         impasto completions zsh > _impasto, in a folder of $fpath
  fish        impasto completions fish > ~/.config/fish/completions/impasto.fish
  powershell  impasto completions powershell >> $PROFILE")]
pub struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

/// Print the manual page, or write the pages of all commands into a folder
#[derive(clap::Args)]
pub struct Man {
    /// Created if it is missing; without DIR, the program's page goes to stdout
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub fn completions(options: &Completions, mut program: clap::Command) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut program, "impasto", &mut script);
    console::data(&script)?;
    Ok(0)
}

pub fn man(options: &Man, program: clap::Command) -> anyhow::Result<u8> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let Some(folder) = &options.folder else {
        console::data(&page(&clap_mangen::Man::new(program))?)?;
        return Ok(0);
    };
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder {}; name another one", folder.display()))?;
    for command in program.get_subcommands().chain([&program]) {
        let man = clap_mangen::Man::new(command.clone());
        impasto::replace_file(&folder.join(man.get_filename()), &page(&man)?)?;
    }
    Ok(0)
}

fn page(man: &clap_mangen::Man) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render(&mut page).context("the manual page cannot be made")?;
    Ok(page)
}
