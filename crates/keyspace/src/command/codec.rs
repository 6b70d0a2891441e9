//! Commands as bytes: a version, a tag, and the fields in their order.

use althing_core::codec::{DecodeError, Reader, Writer};
use althing_core::{Entry, NodeId};

use super::{
    Command, Compare, CompareResult, CompareTarget, DeleteRange, Member, NESTING_MAX,
    OPERATIONS_MAX, Operation, Put, Txn,
};
use crate::auth::{
    decode_change, decode_principal, decode_sign_in, encode_change, encode_principal,
    encode_sign_in, is_servers,
};
use crate::{Alarm, AlarmKind, Key, LEASES_MAX, Principal, Range, SortOrder, SortTarget, Value};

/// The encoding of a command that nobody in particular gave: the only one there was before there
/// were users. A build that meets a version it does not know answers with an error.
const VERSION: u8 = 1;
/// After this stands who gave it, then the same.
const VERSION_WITH_PRINCIPAL: u8 = 2;

/// The tag of a compaction.
const COMPACT: u8 = 4;

/// Keys and values are limited by the request they came in; here only by what an entry can hold.
const BYTES_MAX: usize = Entry::PAYLOAD_SIZE_MAX;
const NAME_SIZE_MAX: usize = 1024;
const URLS_MAX: usize = 64;
const URL_SIZE_MAX: usize = 2048;

impl Command {
    /// Appends the command to `buffer`, as given by nobody in particular, who may do nothing once
    /// users are enabled. A server proposes an [`Authorized`](crate::Authorized) one.
    pub fn encode(&self, buffer: &mut Vec<u8>) {
        self.encode_for(&Principal::Nobody, buffer);
    }

    /// As [`Self::encode`], as given by `principal`.
    pub(crate) fn encode_for(&self, principal: &Principal, buffer: &mut Vec<u8>) {
        let mut writer = Writer(buffer);
        match principal {
            Principal::Nobody => writer.u8(VERSION),
            // It says by itself that only a server can have given it.
            Principal::Server if is_servers(self) => writer.u8(VERSION),
            Principal::User { .. } | Principal::Server => {
                writer.u8(VERSION_WITH_PRINCIPAL);
                encode_principal(principal, &mut writer);
            }
        }
        self.encode_fields(&mut writer);
    }

    fn encode_fields(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Put(put) => {
                writer.u8(1);
                encode_put(put, writer);
            }
            Self::DeleteRange(delete) => {
                writer.u8(2);
                encode_delete(delete, writer);
            }
            Self::Txn(txn) => {
                writer.u8(3);
                encode_txn(txn, writer);
            }
            Self::Compact { revision } => {
                writer.u8(COMPACT);
                writer.i64(*revision);
            }
            Self::PublishMember(member) => {
                writer.u8(5);
                encode_member(member, writer);
            }
            Self::LeaseGrant { id, ttl } => {
                writer.u8(6);
                writer.i64(*id);
                writer.i64(*ttl);
            }
            Self::LeaseRevoke { id } => {
                writer.u8(7);
                writer.i64(*id);
            }
            Self::LeaseExpire { ids } => {
                writer.u8(8);
                encode_count(ids.len(), writer);
                ids.iter().for_each(|id| writer.i64(*id));
            }
            Self::LeaseNote { remaining } => {
                writer.u8(9);
                encode_count(remaining.len(), writer);
                for (id, seconds) in remaining {
                    writer.i64(*id);
                    writer.i64(*seconds);
                }
            }
            Self::Auth(change) => {
                writer.u8(10);
                encode_change(change, writer);
            }
            Self::SignIn(sign_in) => {
                writer.u8(11);
                encode_sign_in(sign_in, writer);
            }
            Self::Alarm { alarm, is_raised } => {
                writer.u8(12);
                encode_alarm(*alarm, writer);
                writer.bool(*is_raised);
            }
        }
    }

    /// Whether what [`Self::encode`] wrote, or [`Authorized::encode`](crate::Authorized::encode),
    /// is a [`Self::Compact`], without reading the rest.
    pub fn is_compaction(bytes: &[u8]) -> bool {
        let mut reader = Reader::new(bytes);
        decode_head(&mut reader).is_ok() && reader.u8() == Ok(COMPACT)
    }

    /// Reads one command, which must be all that `bytes` holds, and leaves aside who gave it.
    ///
    /// # Errors
    /// The bytes are not a command of this version: they end early or go on, a length, a count or
    /// the nesting is over its limit, or a tag is unknown.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_for(bytes).map(|(_, command)| command)
    }

    /// As [`Self::decode`], with who gave it.
    pub(crate) fn decode_for(bytes: &[u8]) -> Result<(Principal, Self), DecodeError> {
        let mut reader = Reader::new(bytes);
        let principal = decode_head(&mut reader)?;
        let command = Self::decode_fields(&mut reader)?;
        reader.finish()?;
        let principal = match principal {
            Principal::Nobody if is_servers(&command) => Principal::Server,
            principal => principal,
        };
        Ok((principal, command))
    }

    fn decode_fields(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            1 => Self::Put(decode_put(reader)?),
            2 => Self::DeleteRange(decode_delete(reader)?),
            3 => Self::Txn(decode_txn(reader, NESTING_MAX)?),
            COMPACT => Self::Compact { revision: reader.i64()? },
            5 => Self::PublishMember(decode_member(reader)?),
            6 => Self::LeaseGrant { id: reader.i64()?, ttl: reader.i64()? },
            7 => Self::LeaseRevoke { id: reader.i64()? },
            8 => Self::LeaseExpire { ids: decode_list(reader, LEASES_MAX, |reader| reader.i64())? },
            9 => Self::LeaseNote {
                remaining: decode_list(reader, LEASES_MAX, |reader| {
                    Ok((reader.i64()?, reader.i64()?))
                })?,
            },
            10 => Self::Auth(decode_change(reader)?),
            11 => Self::SignIn(decode_sign_in(reader)?),
            12 => Self::Alarm { alarm: decode_alarm(reader)?, is_raised: reader.bool()? },
            tag => return Err(DecodeError::UnknownTag { what: "command", tag }),
        })
    }
}

pub(crate) fn encode_alarm(alarm: Alarm, writer: &mut Writer<'_>) {
    writer.u8(alarm.kind as u8);
    writer.u64(alarm.member);
}

pub(crate) fn decode_alarm(reader: &mut Reader<'_>) -> Result<Alarm, DecodeError> {
    let number = reader.u8()?;
    let unknown = DecodeError::UnknownTag { what: "alarm", tag: number };
    Ok(Alarm { kind: AlarmKind::from_number(number).ok_or(unknown)?, member: reader.u64()? })
}

/// Who gave a command; nobody where it does not say.
fn decode_head(reader: &mut Reader<'_>) -> Result<Principal, DecodeError> {
    match reader.u8()? {
        VERSION => Ok(Principal::Nobody),
        VERSION_WITH_PRINCIPAL => decode_principal(reader),
        tag => Err(DecodeError::UnknownTag { what: "command version", tag }),
    }
}

fn encode_put(put: &Put, writer: &mut Writer<'_>) {
    writer.bytes(put.key.as_bytes());
    writer.bytes(put.value.as_bytes());
    writer.i64(put.lease);
    writer.bool(put.ignore_value);
    writer.bool(put.ignore_lease);
    writer.bool(put.prev_kv);
}

fn decode_put(reader: &mut Reader<'_>) -> Result<Put, DecodeError> {
    Ok(Put {
        key: decode_key(reader)?,
        value: decode_value(reader)?,
        lease: reader.i64()?,
        ignore_value: reader.bool()?,
        ignore_lease: reader.bool()?,
        prev_kv: reader.bool()?,
    })
}

fn encode_delete(delete: &DeleteRange, writer: &mut Writer<'_>) {
    writer.bytes(delete.key.as_bytes());
    writer.bytes(delete.range_end.as_bytes());
    writer.bool(delete.prev_kv);
}

fn decode_delete(reader: &mut Reader<'_>) -> Result<DeleteRange, DecodeError> {
    Ok(DeleteRange {
        key: decode_key(reader)?,
        range_end: decode_key(reader)?,
        prev_kv: reader.bool()?,
    })
}

fn encode_txn(txn: &Txn, writer: &mut Writer<'_>) {
    encode_count(txn.compare.len(), writer);
    for compare in &txn.compare {
        encode_compare(compare, writer);
    }
    for operations in [&txn.success, &txn.failure] {
        encode_count(operations.len(), writer);
        for operation in operations {
            encode_operation(operation, writer);
        }
    }
}

/// `levels` is how many transactions, this one included, may still stand inside one another.
fn decode_txn(reader: &mut Reader<'_>, levels: usize) -> Result<Txn, DecodeError> {
    let levels = levels
        .checked_sub(1)
        .ok_or(DecodeError::Invalid { what: "transactions nested too deep" })?;
    Ok(Txn {
        compare: decode_list(reader, OPERATIONS_MAX, decode_compare)?,
        success: decode_list(reader, OPERATIONS_MAX, |reader| decode_operation(reader, levels))?,
        failure: decode_list(reader, OPERATIONS_MAX, |reader| decode_operation(reader, levels))?,
    })
}

fn encode_operation(operation: &Operation, writer: &mut Writer<'_>) {
    match operation {
        Operation::Range(range) => {
            writer.u8(1);
            encode_range(range, writer);
        }
        Operation::Put(put) => {
            writer.u8(2);
            encode_put(put, writer);
        }
        Operation::DeleteRange(delete) => {
            writer.u8(3);
            encode_delete(delete, writer);
        }
        Operation::Txn(txn) => {
            writer.u8(4);
            encode_txn(txn, writer);
        }
    }
}

fn decode_operation(reader: &mut Reader<'_>, levels: usize) -> Result<Operation, DecodeError> {
    Ok(match reader.u8()? {
        1 => Operation::Range(decode_range(reader)?),
        2 => Operation::Put(decode_put(reader)?),
        3 => Operation::DeleteRange(decode_delete(reader)?),
        4 => Operation::Txn(decode_txn(reader, levels)?),
        tag => return Err(DecodeError::UnknownTag { what: "operation", tag }),
    })
}

fn encode_compare(compare: &Compare, writer: &mut Writer<'_>) {
    writer.bytes(compare.key.as_bytes());
    writer.bytes(compare.range_end.as_bytes());
    writer.u8(match compare.result {
        CompareResult::Equal => 1,
        CompareResult::Greater => 2,
        CompareResult::Less => 3,
        CompareResult::NotEqual => 4,
    });
    let (tag, number) = match &compare.target {
        CompareTarget::Version(number) => (1, number),
        CompareTarget::CreateRevision(number) => (2, number),
        CompareTarget::ModRevision(number) => (3, number),
        CompareTarget::Lease(number) => (4, number),
        CompareTarget::Value(value) => {
            writer.u8(5);
            return writer.bytes(value.as_bytes());
        }
    };
    writer.u8(tag);
    writer.i64(*number);
}

fn decode_compare(reader: &mut Reader<'_>) -> Result<Compare, DecodeError> {
    Ok(Compare {
        key: decode_key(reader)?,
        range_end: decode_key(reader)?,
        result: match reader.u8()? {
            1 => CompareResult::Equal,
            2 => CompareResult::Greater,
            3 => CompareResult::Less,
            4 => CompareResult::NotEqual,
            tag => return Err(DecodeError::UnknownTag { what: "comparison", tag }),
        },
        target: match reader.u8()? {
            1 => CompareTarget::Version(reader.i64()?),
            2 => CompareTarget::CreateRevision(reader.i64()?),
            3 => CompareTarget::ModRevision(reader.i64()?),
            4 => CompareTarget::Lease(reader.i64()?),
            5 => CompareTarget::Value(decode_value(reader)?),
            tag => return Err(DecodeError::UnknownTag { what: "comparison target", tag }),
        },
    })
}

fn encode_range(range: &Range, writer: &mut Writer<'_>) {
    writer.bytes(range.key.as_bytes());
    writer.bytes(range.range_end.as_bytes());
    writer.i64(range.limit);
    writer.i64(range.revision);
    writer.u8(match range.sort_order {
        SortOrder::None => 0,
        SortOrder::Ascend => 1,
        SortOrder::Descend => 2,
    });
    writer.u8(match range.sort_target {
        SortTarget::Key => 0,
        SortTarget::Version => 1,
        SortTarget::CreateRevision => 2,
        SortTarget::ModRevision => 3,
        SortTarget::Value => 4,
    });
    writer.bool(range.serializable);
    writer.bool(range.keys_only);
    writer.bool(range.count_only);
    writer.i64(range.min_mod_revision);
    writer.i64(range.max_mod_revision);
    writer.i64(range.min_create_revision);
    writer.i64(range.max_create_revision);
}

fn decode_range(reader: &mut Reader<'_>) -> Result<Range, DecodeError> {
    Ok(Range {
        key: decode_key(reader)?,
        range_end: decode_key(reader)?,
        limit: reader.i64()?,
        revision: reader.i64()?,
        sort_order: match reader.u8()? {
            0 => SortOrder::None,
            1 => SortOrder::Ascend,
            2 => SortOrder::Descend,
            tag => return Err(DecodeError::UnknownTag { what: "sort order", tag }),
        },
        sort_target: match reader.u8()? {
            0 => SortTarget::Key,
            1 => SortTarget::Version,
            2 => SortTarget::CreateRevision,
            3 => SortTarget::ModRevision,
            4 => SortTarget::Value,
            tag => return Err(DecodeError::UnknownTag { what: "sort target", tag }),
        },
        serializable: reader.bool()?,
        keys_only: reader.bool()?,
        count_only: reader.bool()?,
        min_mod_revision: reader.i64()?,
        max_mod_revision: reader.i64()?,
        min_create_revision: reader.i64()?,
        max_create_revision: reader.i64()?,
    })
}

pub(crate) fn encode_member(member: &Member, writer: &mut Writer<'_>) {
    writer.u64(member.id.number());
    writer.bytes(member.name.as_bytes());
    for urls in [&member.peer_urls, &member.client_urls] {
        encode_count(urls.len(), writer);
        for url in urls {
            writer.bytes(url.as_bytes());
        }
    }
}

pub(crate) fn decode_member(reader: &mut Reader<'_>) -> Result<Member, DecodeError> {
    let url = |reader: &mut Reader<'_>| reader.string(URL_SIZE_MAX);
    Ok(Member {
        id: NodeId::new(reader.u64()?).ok_or(DecodeError::Invalid { what: "member zero" })?,
        name: reader.string(NAME_SIZE_MAX)?,
        peer_urls: decode_list(reader, URLS_MAX, url)?,
        client_urls: decode_list(reader, URLS_MAX, url)?,
    })
}

fn encode_count(count: usize, writer: &mut Writer<'_>) {
    writer.u32(u32::try_from(count).expect("lists are limited far below 2^32"));
}

fn decode_list<T>(
    reader: &mut Reader<'_>,
    count_max: usize,
    mut decode: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.u32()? as usize;
    if count > count_max {
        return Err(DecodeError::Invalid { what: "a list over its limit" });
    }
    // Every element takes at least a byte, so a hostile count reserves no more than the input has.
    let mut list = Vec::with_capacity(count.min(reader.remaining()));
    for _ in 0..count {
        list.push(decode(reader)?);
    }
    Ok(list)
}

fn decode_key(reader: &mut Reader<'_>) -> Result<Key, DecodeError> {
    reader.bytes(BYTES_MAX).map(Key::from)
}

fn decode_value(reader: &mut Reader<'_>) -> Result<Value, DecodeError> {
    reader.bytes(BYTES_MAX).map(Value::from)
}
