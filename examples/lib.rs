#![doc = include_str!("../README.md")]
//!
//! (The code of the README runs as a test of this package; the programs beside this file are for copying.)
