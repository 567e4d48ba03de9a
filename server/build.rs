//! Rebuilds the crate when a migration is added: the macro that embeds them
//! only notices changes of files that it has already seen.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
