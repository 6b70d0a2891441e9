//! Who may do what: users, roles, and the one function that every operation has to pass.
//!
//! The rules are etcd's (3.4 and later): rights are granted to roles on keys or ranges of keys,
//! roles are granted to users, and the role `root` may do everything. All of it is part of the
//! replicated state and changes through the log, so that every node decides alike.
//!
//! A command carries its [`Principal`] and is judged when it is applied, by the rights of that
//! moment: one that was proposed before a right was taken away, and comes after that in the log, is
//! refused. A read is judged and done against the same state, by a [`View`].

mod authorize;
mod change;
mod codec;
mod grant;
mod principal;
mod spans;
mod state;
mod view;

pub use authorize::{Ask, Authorized};
pub use change::{AuthChange, SignIn};
pub(crate) use codec::{
    decode_change, decode_principal, decode_role, decode_sign_in, decode_user, encode_change,
    encode_principal, encode_role, encode_sign_in, encode_user,
};
pub use grant::{Access, Grant};
pub use principal::Principal;
pub use state::{AuthState, PasswordHash, ROOT, Role, User};
pub use view::View;

pub(crate) use authorize::is_servers;
