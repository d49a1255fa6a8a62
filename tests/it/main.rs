//! One binary, one file a behaviour.
