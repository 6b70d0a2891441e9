//! Transactions as JSON, for programs and for keys that are not text.

use althing_etcd_api::etcdserverpb::request_op::Request;
use althing_etcd_api::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::text;
use crate::kv::keys::Keys;
use crate::output::bytes_from_json;

/// Reads one transaction. An error names the field or the place.
pub(super) fn parse(input: &str) -> Result<TxnRequest, String> {
    let txn: Txn = serde_json::from_str(input).map_err(|error| error.to_string())?;
    txn.request()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Txn {
    #[serde(default)]
    compare: Vec<Comparison>,
    #[serde(default)]
    success: Vec<Operation>,
    #[serde(default)]
    failure: Vec<Operation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Comparison {
    key: Bytes,
    target: String,
    op: String,
    value: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Operation {
    Put(Put),
    Get(Get),
    Delete(Delete),
    Txn(Txn),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Put {
    key: Bytes,
    value: Bytes,
    #[serde(default)]
    prev_kv: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Get {
    key: Bytes,
    range_end: Option<Bytes>,
    #[serde(default)]
    prefix: bool,
    #[serde(default)]
    from_key: bool,
    #[serde(default)]
    limit: i64,
    #[serde(default)]
    revision: i64,
    #[serde(default)]
    keys_only: bool,
    #[serde(default)]
    count_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delete {
    key: Bytes,
    range_end: Option<Bytes>,
    #[serde(default)]
    prefix: bool,
    #[serde(default)]
    from_key: bool,
    #[serde(default)]
    prev_kv: bool,
}

struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let bytes = bytes_from_json(&value);
        bytes.map(Self).ok_or_else(|| de::Error::custom("expected a text or {\"b64\": \"..\"}"))
    }
}

impl Txn {
    fn request(self) -> Result<TxnRequest, String> {
        let all = |operations: Vec<Operation>| {
            operations.into_iter().map(Operation::request).collect::<Result<Vec<_>, String>>()
        };
        Ok(TxnRequest {
            compare: self.compare.into_iter().map(Comparison::compare).collect::<Result<_, _>>()?,
            success: all(self.success)?,
            failure: all(self.failure)?,
        })
    }
}

impl Comparison {
    fn compare(self) -> Result<Compare, String> {
        let value = match self.value {
            Value::Number(number) => number.to_string().into_bytes(),
            other => {
                bytes_from_json(&other).ok_or("a value is a text, {\"b64\": ..} or a number")?
            }
        };
        text::compare(&self.target, self.key.0, &self.op, &value)
    }
}

impl Operation {
    fn request(self) -> Result<RequestOp, String> {
        let range = |key: Bytes, end: Option<Bytes>, is_prefix, is_from| {
            let end = end.as_ref().map(|end| &end.0[..]);
            Keys::new(&key.0, end, is_prefix, is_from).map_err(|failure| failure.message)
        };
        let request = match self {
            Self::Put(put) => Request::RequestPut(PutRequest {
                key: range(put.key, None, false, false)?.key.into(),
                value: put.value.0.into(),
                prev_kv: put.prev_kv,
                ..PutRequest::default()
            }),
            Self::Get(get) => {
                let keys = range(get.key, get.range_end, get.prefix, get.from_key)?;
                Request::RequestRange(RangeRequest {
                    key: keys.key.into(),
                    range_end: keys.range_end.into(),
                    limit: get.limit,
                    revision: get.revision,
                    keys_only: get.keys_only,
                    count_only: get.count_only,
                    ..RangeRequest::default()
                })
            }
            Self::Delete(delete) => {
                let keys = range(delete.key, delete.range_end, delete.prefix, delete.from_key)?;
                Request::RequestDeleteRange(DeleteRangeRequest {
                    key: keys.key.into(),
                    range_end: keys.range_end.into(),
                    prev_kv: delete.prev_kv,
                })
            }
            Self::Txn(txn) => Request::RequestTxn(txn.request()?),
        };
        Ok(RequestOp { request: Some(request) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_named() {
        for (json, expected) in [
            ("{", "EOF"),
            (r#"{"sucess": []}"#, "unknown field `sucess`, expected one of `compare`"),
            (r#"{"success": [{"puts": {}}]}"#, "unknown variant `puts`"),
            (r#"{"success": [{"put": {"key": "a"}}]}"#, "missing field `value`"),
            (r#"{"success": [{"put": {"key": 1, "value": ""}}]}"#, "expected a text"),
            (r#"{"success": [{"get": {"key": ""}}]}"#, "the key is empty"),
            (
                r#"{"success": [{"get": {"key": "a", "prefix": true, "from_key": true}}]}"#,
                "a range",
            ),
            (r#"{"compare": [{"key": "a", "target": "x", "op": "=", "value": 1}]}"#, "`x` cannot"),
        ] {
            let error = parse(json).expect_err(json);
            assert!(error.contains(expected), "{json}: {error}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_can_be_said() {
        let json = r#"{"success": [{"put": {"key": {"b64": "/wA="}, "value": ""}}]}"#;
        let request = parse(json).expect("well formed");
        let Some(Request::RequestPut(put)) = &request.success[0].request else {
            panic!("the one operation is a put")
        };
        assert_eq!(&put.key[..], b"\xff\0");
    }
}
