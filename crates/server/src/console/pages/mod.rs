//! The pages.

pub(super) mod actions;
mod confirmation;
mod forms;
pub(super) mod identity;
pub(super) mod keys;
pub(super) mod listings;
pub(super) mod login;
pub(super) mod mode;
pub(super) mod overview;
pub(super) mod policies;
mod windows;
