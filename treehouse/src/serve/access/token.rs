//! The token that opens everything: one line in a file that nobody else can read, compared in constant time, never shown.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::failure::Failure;

/// A shorter one could be guessed.
const SHORTEST: usize = 16;
const LONGEST: usize = 4096;
/// Others may not read it, and neither others nor the group change it.
const NOT_OTHERS: u32 = 0o027;

/// A secret.
pub(super) struct Token(Vec<u8>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

impl Token {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |what: String| Failure::Input(format!("serve.raw_token_file {}: {what}", path.display()));
        let make = "make one with: (umask 077; head -c 32 /dev/urandom | base64 > FILE)";
        let file = std::fs::File::open(path).map_err(|e| failed(format!("{e}; {make}")))?;
        let about = file.metadata().map_err(|e| failed(e.to_string()))?;
        let mode = about.mode() & 0o7777;
        if !about.is_file() {
            return Err(failed(format!("it is no file; {make}")));
        }
        if mode & NOT_OTHERS != 0 {
            return Err(failed(format!("others can read or change it (mode {mode:04o}): chmod 600 {}", path.display())));
        }
        let own = rustix::process::geteuid().as_raw();
        if ![0, own].contains(&about.uid()) {
            return Err(failed(format!("it is user {}'s, who could change it: chown {own} {}", about.uid(), path.display())));
        }
        let mut bytes = Vec::new();
        file.take(LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(|e| failed(e.to_string()))?;
        Self::parse(&bytes).map_err(|problem| failed(format!("{problem}; {make}")))
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let token = bytes.trim_ascii();
        if !token.iter().all(u8::is_ascii_graphic) {
            return Err("a token is one word of visible ASCII".into());
        }
        if !(SHORTEST..=LONGEST).contains(&token.len()) {
            return Err(format!("a token has {SHORTEST} to {LONGEST} characters, this one has {}", token.len()));
        }
        Ok(Self(token.to_vec()))
    }

    /// True where this is the token; how long that takes tells nothing of where they differ.
    pub(super) fn is(&self, presented: &[u8]) -> bool {
        let mut difference = usize::from(self.0.len() != presented.len());
        for (i, byte) in presented.iter().enumerate() {
            difference |= usize::from(byte ^ self.0[i % self.0.len()]);
            // or the compiler could leave the loop at the first difference
            difference = std::hint::black_box(difference);
        }
        difference == 0
    }

    #[cfg(test)]
    pub(super) fn of(token: &str) -> Self {
        Self::parse(token.as_bytes()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    fn read(content: &str, mode: u32) -> Result<Token, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        Token::read(&path).map_err(|e| e.to_string())
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_mend() {
        const TOKEN: &str = "c2VjcmV0LXNlY3JldA==\n";
        for mode in [0o600, 0o400, 0o440, 0o640] {
            assert!(read(TOKEN, mode).unwrap().is(TOKEN.trim().as_bytes()), "{mode:o}");
        }
        for mode in [0o644, 0o604, 0o660, 0o666, 0o622] {
            let problem = read(TOKEN, mode).unwrap_err();
            assert!(problem.contains("serve.raw_token_file") && problem.contains("chmod 600"), "{problem}");
            assert!(!problem.contains("c2Vj") && !problem.contains('\n'), "{problem}");
        }
        assert!(format!("{:?}", read(TOKEN, 0o600).unwrap()).contains("not shown"));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let long = "x".repeat(LONGEST + 1);
        for content in
            ["", "short", "two words are not one token", "0123456789abcdef\n0123456789abcdef\n", "0123456789abcdeé", &long]
        {
            let problem = read(content, 0o600).unwrap_err();
            assert!(problem.contains("make one with") && !problem.contains('\n'), "{problem}");
        }
        assert!(Token::read(Path::new("/no/such/token")).unwrap_err().to_string().contains("/no/such/token"));
        assert!(Token::read(Path::new("/")).unwrap_err().to_string().contains("no file"));
    }

    proptest! {
        #[test]
        fn only_the_token_is_the_token(token in "[!-~]{16,40}", other in "[!-~]{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            prop_assert!(Token::of(&token).is(token.as_bytes()));
            prop_assert_eq!(Token::of(&token).is(other.as_bytes()), token == other);
            prop_assert!(!Token::of(&token).is(token.repeat(2).as_bytes()));
            let _ = Token::parse(&bytes);
        }
    }
}
