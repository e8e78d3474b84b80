//! Proves that pages in flight change nothing but the time: the rows, their order and the errors
//! are those of one page after the other, and no more requests run at once than was asked for.
mod host;
mod model;
mod script;

mod beside;
mod limits;
mod same;
mod speed;
mod threads;
