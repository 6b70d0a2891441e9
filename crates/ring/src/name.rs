//! What a node is called: the bytes from which its points are made.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A stable identity of a node.
///
/// The bytes place the node's points, so they must be the same in every program that should agree
/// on owners, and differ between nodes; the order settles ties between nodes, so it must be total
/// and the same everywhere too.
///
/// Strings are their bytes and numbers their decimal digits, so that `7_u32`, `7_u64` and `"7"` are
/// placed alike. Addresses are their usual text.
///
/// ```
/// use althing_ring::NodeName;
///
/// #[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
/// struct Shard {
///     table: String,
///     number: u16,
/// }
///
/// impl NodeName for Shard {
///     fn write_name(&self, bytes: &mut Vec<u8>) {
///         self.table.write_name(bytes);
///         bytes.push(b'/');
///         self.number.write_name(bytes);
///     }
/// }
///
/// let mut bytes = Vec::new();
/// Shard { table: "orders".to_owned(), number: 7 }.write_name(&mut bytes);
/// assert_eq!(bytes, b"orders/7");
/// ```
pub trait NodeName: Clone + Ord {
    /// Appends the name to `bytes`. Equal ids append equal bytes, and different ids different ones.
    fn write_name(&self, bytes: &mut Vec<u8>);
}

macro_rules! name_is_bytes {
    ($name:ident => $bytes:expr; $($id:ty),*) => {$(
        impl NodeName for $id {
            fn write_name(&self, bytes: &mut Vec<u8>) {
                let $name = self;
                bytes.extend_from_slice($bytes);
            }
        }
    )*};
}

name_is_bytes!(name => name.as_bytes(); &str, String, Box<str>, Arc<str>);
name_is_bytes!(name => &name[..]; &[u8], Vec<u8>, Box<[u8]>);

impl<const LENGTH: usize> NodeName for [u8; LENGTH] {
    fn write_name(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self);
    }
}

macro_rules! name_is_text {
    ($($id:ty),*) => {$(
        impl NodeName for $id {
            fn write_name(&self, bytes: &mut Vec<u8>) {
                write!(Text(bytes), "{self}").expect("a vector takes everything");
            }
        }
    )*};
}

name_is_text!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);
name_is_text!(IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6);

/// Text that goes to the end of a vector of bytes.
struct Text<'a>(&'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn name(id: &impl NodeName) -> Vec<u8> {
        let mut bytes = vec![b'>'];
        id.write_name(&mut bytes);
        bytes
    }

    #[test]
    fn a_number_is_named_by_its_digits_whatever_its_width() {
        assert_eq!(name(&7_u8), b">7");
        assert_eq!(name(&7_u128), name(&"7"));
        assert_eq!(name(&-12_i64), b">-12");
    }

    #[test]
    fn strings_and_bytes_are_named_by_themselves() {
        assert_eq!(name(&"a/1"), name(&String::from("a/1")));
        assert_eq!(name(b"a/1"), name(&Arc::<str>::from("a/1")));
    }

    #[test]
    fn addresses_are_named_by_their_usual_text() {
        let address: SocketAddr = "[::1]:80".parse().expect("an address");
        assert_eq!(name(&address), b">[::1]:80");
    }
}
