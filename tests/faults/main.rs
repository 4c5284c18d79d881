//! The faults of `docs/promises.md`: each is done to real workers under load, and what the promises
//! say of it is asserted and written down.

mod calm;
mod cell;
mod cluster;
mod fault;
mod judge;
mod memory;
mod once;
mod sentinel;
mod setup;
mod single;
mod skew;
mod stage;
mod table;
