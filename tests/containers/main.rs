//! What needs a Docker engine: the image and the compose file, as a stranger would start them.

mod compose;
mod docker;
mod observability;
mod stack;
