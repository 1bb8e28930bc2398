//! The texts of `--help` below the options: examples by purpose, environment, exit codes.

/// The text below `impasto --help`.
pub const PROGRAM: &str = "\
Examples:
  impasto stylize photo.jpg painting.jpg -o result.png
  impasto stylize --help
  impasto grid photo.jpg painting.jpg -o strengths.png
  impasto estimate photo.jpg painting.jpg --size 2048
  impasto devices

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (the picture so far is saved).";

/// The text below `impasto stylize --help`.
pub const STYLIZE: &str = "\
Examples:
  One picture, and a small preview before it:
    impasto stylize photo.jpg painting.jpg -o result.png
    impasto stylize photo.jpg painting.jpg -o preview.png --size 256 --iterations 100
  More of the painting, larger strokes, a look by name, the mean of two paintings from noise:
    impasto stylize photo.jpg painting.jpg -o result.png --strength 0.7
    impasto stylize photo.jpg painting.jpg -o result.png --style-scale 1.5
    impasto stylize photo.jpg painting.jpg -o result.png --preset fine
    impasto stylize photo.jpg one.jpg two.jpg -o result.png --style-weights 2,1 --init noise --seed 3
  With a preview in the terminal and a report:
    impasto stylize photo.jpg painting.jpg -o result.png --preview --report result.html
  Watched and steered in the browser:
    impasto stylize photo.jpg painting.jpg -o result.png --live --open
  With the settings of an earlier result; 16 bits for print:
    impasto stylize other.jpg painting.jpg -o other.png --settings-from result.png
    impasto stylize photo.jpg painting.jpg -o result.tif --depth 16
  Many pictures, also shared among machines:
    impasto stylize photos/ painting.jpg -o painted/
    impasto stylize photos/ painting.jpg -o painted/ --shard 2/8
  A long run, and how to continue it:
    impasto stylize photo.jpg painting.jpg -o result.png --size 1024 --save-every 50 --checkpoint run.checkpoint
    impasto stylize photo.jpg painting.jpg -o result.png --size 1024 --resume run.checkpoint
  For other programs:
    impasto stylize photo.jpg painting.jpg -o result.png --json --quiet
    impasto stylize - painting.jpg -o - --format jpg < photo.jpg > result.jpg

Environment:
  IMPASTO_ADAPTER, IMPASTO_WEIGHTS, IMPASTO_CACHE
            used for --adapter, --weights and --cache if those are not given
  NO_COLOR  if set, help and messages have no colours

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (the picture so far is saved).";
