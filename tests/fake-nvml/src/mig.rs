//! Partitions of a GPU (multi-instance GPU).

use serde::{Deserialize, Serialize};

/// The partitioning of one GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mig {
    /// It is switched on.
    pub enabled: bool,
    /// It will be after the next reset.
    pub pending: bool,
    /// How many places there are for partitions.
    pub places: u32,
    /// The partitions.
    pub partitions: Vec<Partition>,
}

impl Default for Mig {
    fn default() -> Self {
        Self { enabled: false, pending: false, places: 7, partitions: Vec::new() }
    }
}

impl Mig {
    /// Switched on, with these partitions.
    pub fn of(partitions: impl IntoIterator<Item = Partition>) -> Self {
        Self { enabled: true, pending: true, partitions: partitions.into_iter().collect(), ..Self::default() }
    }
}

/// One MIG device: a compute instance in a GPU instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// Its identity.
    pub uuid: String,
    /// Its place among the MIG devices of the GPU.
    pub place: u32,
    /// Number of the GPU instance.
    pub gpu_instance: u32,
    /// Number of the compute instance in it.
    pub compute_instance: u32,
    /// Slices of the GPU instance.
    pub gpu_slices: u32,
    /// Slices of the compute instance.
    pub compute_slices: u32,
}

impl Partition {
    /// A GPU instance with one compute instance over all of its slices.
    pub fn new(uuid: impl Into<String>, place: u32, slices: u32) -> Self {
        Self {
            uuid: uuid.into(),
            place,
            gpu_instance: place + 1,
            compute_instance: 0,
            gpu_slices: slices,
            compute_slices: slices,
        }
    }
}
