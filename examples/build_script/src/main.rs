//! Prints what was baked in.

mod baked {
    include!(concat!(env!("OUT_DIR"), "/baked.rs"));
}

fn main() {
    println!("{} {}", baked::VALUE, baked::FLAGS.join(","));
}
