//! Where the daemon listens: on loopback, or elsewhere when told that this is meant.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use crate::failure::Failure;

/// Opens the listening socket.
pub(super) fn bind(address: &str, insecure: bool) -> Result<TcpListener, Failure> {
    let addresses: Vec<SocketAddr> = address
        .to_socket_addrs()
        .map_err(|e| Failure::Input(format!("--listen {address}: {e}; give an address such as 127.0.0.1:9464")))?
        .collect();
    if let Some(open) = addresses.iter().find(|a| !a.ip().is_loopback() && !insecure) {
        return Err(Failure::Input(format!(
            "--listen {open}: others could read this machine's power there without TLS or a token; listen on 127.0.0.1, or say --insecure"
        )));
    }
    let listener = TcpListener::bind(&*addresses).map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => Failure::Input(format!(
            "{address} is in use: stop the program that listens there, or pass another address with --listen"
        )),
        _ => Failure::Input(format!("--listen {address}: {e}; give an address of this machine, such as 127.0.0.1:9464")),
    })?;
    listener.set_nonblocking(true).map_err(|e| Failure::system("the listening socket", e))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_address_needs_a_word_that_it_is_meant() {
        assert!(bind("0.0.0.0:0", false).unwrap_err().to_string().contains("--insecure"));
        assert!(bind("0.0.0.0:0", true).is_ok());
        assert!(bind("127.0.0.1:0", false).is_ok());
    }

    #[test]
    fn a_port_in_use_is_named_with_the_mend() {
        let held = bind("127.0.0.1:0", false).unwrap();
        let address = held.local_addr().unwrap().to_string();
        let error = bind(&address, false).unwrap_err().to_string();
        assert!(error.contains(&address) && error.contains("--listen"), "{error}");
        assert!(bind("nonsense", false).unwrap_err().to_string().contains("127.0.0.1:9464"));
    }
}
