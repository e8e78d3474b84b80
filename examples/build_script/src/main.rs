//! Prints the values that the build script wrote.

mod values {
    include!(concat!(env!("OUT_DIR"), "/values.rs"));
}

fn main() {
    println!("{} {}", values::VALUE, values::FLAGS.join(","));
}
