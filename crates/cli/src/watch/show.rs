//! Events, in each of the output's shapes.

use althing_etcd_api::mvccpb::event::EventType;
use althing_etcd_api::mvccpb::{Event, KeyValue};
use serde_json::json;

use crate::kv::show::{KEY_COLUMNS_MAX, VALUE_COLUMNS_MAX, pair_json};
use crate::lease;
use crate::output::{Format, json_bytes, printable_cut};

/// `PUT` or `DELETE`.
pub(crate) fn type_name(event: &Event) -> &'static str {
    match event.r#type() {
        EventType::Put => "PUT",
        EventType::Delete => "DELETE",
    }
}

/// What stands above the lines for people.
pub(crate) fn heading() -> String {
    row("EVENT", "REVISION", "KEY", "VALUE")
}

/// One event.
pub(crate) fn event(event: &Event, format: Format) -> Vec<u8> {
    let pair = event.kv.clone().unwrap_or_default();
    match format {
        Format::Table => table(event, &pair).into_bytes(),
        Format::Json => {
            let mut object = json!({
                "type": type_name(event),
                "key": json_bytes(&pair.key),
                "revision": pair.mod_revision,
            });
            if event.r#type() == EventType::Put {
                object["value"] = json_bytes(&pair.value);
                object["version"] = json!(pair.version);
                object["create_revision"] = json!(pair.create_revision);
                object["lease"] = lease::id::json(pair.lease);
            }
            if let Some(previous) = &event.prev_kv {
                object["previous"] = pair_json(previous);
            }
            format!("{object}\n").into_bytes()
        }
        Format::Raw => {
            let mut out = format!("{}\n", type_name(event)).into_bytes();
            for pair in event.prev_kv.iter().chain([&pair]) {
                out.extend_from_slice(&pair.key);
                out.push(b'\n');
                out.extend_from_slice(&pair.value);
                out.push(b'\n');
            }
            out
        }
    }
}

/// How far a watch has come where nothing happened.
pub(crate) fn progress(revision: i64, format: Format) -> String {
    match format {
        Format::Table => row("-", &revision.to_string(), "", ""),
        Format::Json => format!("{}\n", json!({ "type": "PROGRESS", "revision": revision })),
        Format::Raw => format!("PROGRESS\n{revision}\n"),
    }
}

fn table(event: &Event, pair: &KeyValue) -> String {
    let mut value = printable_cut(&pair.value, VALUE_COLUMNS_MAX);
    if let Some(previous) = &event.prev_kv {
        let former = printable_cut(&previous.value, VALUE_COLUMNS_MAX);
        let blank = if value.is_empty() { "" } else { " " };
        value.push_str(&format!("{blank}(was {former})"));
    }
    let key = printable_cut(&pair.key, KEY_COLUMNS_MAX);
    row(type_name(event), &pair.mod_revision.to_string(), &key, &value)
}

fn row(event: &str, revision: &str, key: &str, value: &str) -> String {
    let row = format!("{event:<6}  {revision:>8}  {key:<20}  {value}");
    format!("{}\n", row.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(value: &'static [u8], revision: i64) -> KeyValue {
        KeyValue {
            key: b"a/1".to_vec().into(),
            value: value.into(),
            create_revision: 4,
            mod_revision: revision,
            version: 2,
            lease: 31,
        }
    }

    fn text(event: &Event, format: Format) -> String {
        String::from_utf8_lossy(&super::event(event, format)).into_owned()
    }

    #[test]
    fn a_write_is_shown_with_what_was_before() {
        let put = Event {
            r#type: EventType::Put.into(),
            kv: Some(pair(b"new\n", 9)),
            prev_kv: Some(pair(b"old", 4)),
        };
        let expected = "PUT            9  a/1                   new\\n (was old)\n";
        assert_eq!(text(&put, Format::Table), expected);
        assert_eq!(text(&put, Format::Raw), "PUT\na/1\nold\na/1\nnew\n\n");
        let json: serde_json::Value =
            serde_json::from_str(&text(&put, Format::Json)).expect("one line of JSON");
        assert_eq!(json["value"], json!("new\n"));
        assert_eq!((&json["revision"], &json["version"]), (&json!(9), &json!(2)));
        assert_eq!(json["lease"], json!("000000000000001f"));
        assert_eq!(json["previous"]["value"], json!("old"));
    }

    #[test]
    fn a_deletion_has_no_value() {
        let key = KeyValue { value: Vec::new().into(), lease: 0, version: 0, ..pair(b"", 9) };
        let delete = Event { r#type: EventType::Delete.into(), kv: Some(key), prev_kv: None };
        assert_eq!(text(&delete, Format::Table), "DELETE         9  a/1\n");
        assert_eq!(text(&delete, Format::Raw), "DELETE\na/1\n\n");
        assert_eq!(
            text(&delete, Format::Json),
            "{\"key\":\"a/1\",\"revision\":9,\"type\":\"DELETE\"}\n"
        );
        assert_eq!(progress(7, Format::Raw), "PROGRESS\n7\n");
    }
}
