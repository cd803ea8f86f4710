//! The return values of NVML.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($variant:ident = $number:literal, $text:literal;)*) => {
        /// What a call of NVML returns (`nvmlReturn_t`); in scripts the C name without `NVML_ERROR_`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        #[repr(u32)]
        pub enum Code {
            $(#[doc = $text] $variant = $number,)*
        }

        impl Code {
            /// The code of a number, if NVML has it.
            pub const fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// What `nvmlErrorString` says, as a C string.
            pub(crate) const fn text(self) -> &'static std::ffi::CStr {
                const fn of(bytes: &'static [u8]) -> &'static std::ffi::CStr {
                    match std::ffi::CStr::from_bytes_with_nul(bytes) {
                        Ok(text) => text,
                        Err(_) => c"?",
                    }
                }
                match self {
                    $(Self::$variant => of(concat!($text, "\0").as_bytes()),)*
                }
            }
        }
    };
}

codes! {
    Success = 0, "Success";
    Uninitialized = 1, "Uninitialized";
    InvalidArgument = 2, "Invalid Argument";
    NotSupported = 3, "Not Supported";
    NoPermission = 4, "Insufficient Permissions";
    AlreadyInitialized = 5, "Already Initialized";
    NotFound = 6, "Not Found";
    InsufficientSize = 7, "Insufficient Size";
    InsufficientPower = 8, "Insufficient External Power";
    DriverNotLoaded = 9, "Driver Not Loaded";
    Timeout = 10, "Timeout";
    IrqIssue = 11, "Interrupt Request Issue";
    LibraryNotFound = 12, "NVML Shared Library Not Found";
    FunctionNotFound = 13, "Function Not Found";
    CorruptedInforom = 14, "Corrupted infoROM";
    GpuIsLost = 15, "GPU is lost";
    ResetRequired = 16, "GPU requires reset";
    OperatingSystem = 17, "The operating system has blocked the request.";
    LibRmVersionMismatch = 18, "RM has detected an NVML/RM version mismatch.";
    InUse = 19, "In use by another client";
    Memory = 20, "Insufficient Memory";
    NoData = 21, "No data";
    VgpuEccNotSupported = 22, "vGPU operation is not available with ECC enabled";
    InsufficientResources = 23, "Ran out of critical resources, other than memory";
    ArgumentVersionMismatch = 25, "The argument version does not match";
    NotReady = 27, "The system is not ready for the request";
    GpuNotFound = 28, "No GPUs were found";
    InvalidState = 29, "The state is invalid for the request";
    Unknown = 999, "Unknown Error";
}
