//! Users, roles and what is done to them as bytes.

use std::collections::BTreeSet;
use std::sync::Arc;

use althing_core::Entry;
use althing_core::codec::{DecodeError, Reader, Writer};

use super::{Access, AuthChange, Grant, PasswordHash, Principal, Role, SignIn, User};
use crate::Key;

/// Names come in a request, which is shorter.
const NAME_SIZE_MAX: usize = Entry::PAYLOAD_SIZE_MAX;

pub(crate) fn encode_principal(principal: &Principal, writer: &mut Writer<'_>) {
    match principal {
        Principal::Nobody => writer.u8(0),
        Principal::User { name, since } => {
            writer.u8(1);
            writer.bytes(name.as_bytes());
            writer.u64(*since);
        }
        Principal::Server => writer.u8(2),
    }
}

pub(crate) fn decode_principal(reader: &mut Reader<'_>) -> Result<Principal, DecodeError> {
    Ok(match reader.u8()? {
        0 => Principal::Nobody,
        1 => Principal::User { name: decode_name(reader)?, since: reader.u64()? },
        2 => Principal::Server,
        tag => return Err(DecodeError::UnknownTag { what: "principal", tag }),
    })
}

pub(crate) fn encode_change(change: &AuthChange, writer: &mut Writer<'_>) {
    match change {
        AuthChange::Enable => writer.u8(1),
        AuthChange::Disable => writer.u8(2),
        AuthChange::UserAdd { name, password } => {
            encode_named(3, name, writer);
            encode_password(password.as_ref(), writer);
        }
        AuthChange::UserDelete { name } => encode_named(4, name, writer),
        AuthChange::UserPassword { name, password } => {
            encode_named(5, name, writer);
            writer.bytes(password.expose().as_bytes());
        }
        AuthChange::UserGrantRole { name, role } => {
            encode_named(6, name, writer);
            writer.bytes(role.as_bytes());
        }
        AuthChange::UserRevokeRole { name, role } => {
            encode_named(7, name, writer);
            writer.bytes(role.as_bytes());
        }
        AuthChange::RoleAdd { name } => encode_named(8, name, writer),
        AuthChange::RoleDelete { name } => encode_named(9, name, writer),
        AuthChange::RoleGrant { name, grant } => {
            encode_named(10, name, writer);
            encode_grant(grant, writer);
        }
        AuthChange::RoleRevoke { name, key, range_end } => {
            encode_named(11, name, writer);
            writer.bytes(key.as_bytes());
            writer.bytes(range_end.as_bytes());
        }
    }
}

pub(crate) fn decode_change(reader: &mut Reader<'_>) -> Result<AuthChange, DecodeError> {
    let tag = reader.u8()?;
    match tag {
        1 => return Ok(AuthChange::Enable),
        2 => return Ok(AuthChange::Disable),
        3..=11 => {}
        tag => return Err(DecodeError::UnknownTag { what: "change of users", tag }),
    }
    let name = decode_name(reader)?;
    Ok(match tag {
        3 => AuthChange::UserAdd { name, password: decode_password(reader)? },
        4 => AuthChange::UserDelete { name },
        5 => AuthChange::UserPassword { name, password: PasswordHash::new(decode_name(reader)?) },
        6 => AuthChange::UserGrantRole { name, role: decode_name(reader)? },
        7 => AuthChange::UserRevokeRole { name, role: decode_name(reader)? },
        8 => AuthChange::RoleAdd { name },
        9 => AuthChange::RoleDelete { name },
        10 => AuthChange::RoleGrant { name, grant: decode_grant(reader)? },
        _ => AuthChange::RoleRevoke {
            name,
            key: decode_key(reader)?,
            range_end: decode_key(reader)?,
        },
    })
}

pub(crate) fn encode_sign_in(sign_in: &SignIn, writer: &mut Writer<'_>) {
    writer.bytes(sign_in.name.as_bytes());
    writer.u64(sign_in.since);
    writer.0.extend_from_slice(&sign_in.token_digest);
    writer.u64(sign_in.issued_seconds);
}

pub(crate) fn decode_sign_in(reader: &mut Reader<'_>) -> Result<SignIn, DecodeError> {
    let (name, since) = (decode_name(reader)?, reader.u64()?);
    let mut token_digest = [0; 32];
    token_digest.copy_from_slice(reader.take(32)?);
    Ok(SignIn { name, since, token_digest, issued_seconds: reader.u64()? })
}

pub(crate) fn encode_user(name: &str, user: &User, writer: &mut Writer<'_>) {
    writer.bytes(name.as_bytes());
    encode_password(user.password(), writer);
    writer.u64(user.since());
    encode_count(user.roles().len(), writer);
    user.roles().for_each(|role| writer.bytes(role.as_bytes()));
}

pub(crate) fn decode_user(reader: &mut Reader<'_>) -> Result<(Arc<str>, User), DecodeError> {
    let name = decode_name(reader)?;
    let (password, since) = (decode_password(reader)?, reader.u64()?);
    let mut roles = BTreeSet::new();
    for _ in 0..reader.u32()? {
        roles.insert(decode_name(reader)?);
    }
    Ok((name, User::restored(password, since, roles)))
}

pub(crate) fn encode_role(name: &str, role: &Role, writer: &mut Writer<'_>) {
    writer.bytes(name.as_bytes());
    encode_count(role.grants().len(), writer);
    role.grants().for_each(|grant| encode_grant(&grant, writer));
}

pub(crate) fn decode_role(reader: &mut Reader<'_>) -> Result<(Arc<str>, Role), DecodeError> {
    let name = decode_name(reader)?;
    let mut grants = Vec::new();
    for _ in 0..reader.u32()? {
        grants.push(decode_grant(reader)?);
    }
    Ok((name, Role::of(grants)))
}

fn encode_grant(grant: &Grant, writer: &mut Writer<'_>) {
    writer.bytes(grant.key.as_bytes());
    writer.bytes(grant.range_end.as_bytes());
    writer.u8(match grant.access {
        Access::Read => 1,
        Access::Write => 2,
        Access::ReadWrite => 3,
    });
}

fn decode_grant(reader: &mut Reader<'_>) -> Result<Grant, DecodeError> {
    Ok(Grant {
        key: decode_key(reader)?,
        range_end: decode_key(reader)?,
        access: match reader.u8()? {
            1 => Access::Read,
            2 => Access::Write,
            3 => Access::ReadWrite,
            tag => return Err(DecodeError::UnknownTag { what: "access", tag }),
        },
    })
}

fn encode_named(tag: u8, name: &str, writer: &mut Writer<'_>) {
    writer.u8(tag);
    writer.bytes(name.as_bytes());
}

fn encode_password(password: Option<&PasswordHash>, writer: &mut Writer<'_>) {
    writer.bool(password.is_some());
    if let Some(password) = password {
        writer.bytes(password.expose().as_bytes());
    }
}

fn decode_password(reader: &mut Reader<'_>) -> Result<Option<PasswordHash>, DecodeError> {
    Ok(match reader.bool()? {
        true => Some(PasswordHash::new(decode_name(reader)?)),
        false => None,
    })
}

fn encode_count(count: usize, writer: &mut Writer<'_>) {
    writer.u32(u32::try_from(count).expect("the size of users and roles is limited"));
}

fn decode_name(reader: &mut Reader<'_>) -> Result<Arc<str>, DecodeError> {
    reader.string(NAME_SIZE_MAX).map(Arc::from)
}

fn decode_key(reader: &mut Reader<'_>) -> Result<Key, DecodeError> {
    reader.bytes(Entry::PAYLOAD_SIZE_MAX).map(Key::from)
}
