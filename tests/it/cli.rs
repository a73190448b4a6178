//! The commands as a person or a script meets them: output, exit codes, forms of input.

mod check;
mod dead;
mod detectors;
mod forms;
mod help;
mod language;
mod lists;
mod schema;
mod sigma;
mod webhook;
