//! The faults of `docs/promises.md`: each is done to real workers under load, and what the promises
//! say of it is asserted and written down.

mod cell;
mod fault;
mod judge;
mod single;
mod stage;
