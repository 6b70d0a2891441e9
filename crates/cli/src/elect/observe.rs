//! `althing elect --leader` and `--observe`: who leads, now or from now on.

use althing_etcd_api::etcdserverpb::{RangeRequest, WatchCreateRequest};
use althing_etcd_api::mvccpb::KeyValue;
use serde_json::{Value, json};

use super::roll::Roll;
use crate::Outcome;
use crate::client::{Client, Effect};
use crate::failure::{Failure, Kind};
use crate::kv::keys::Keys;
use crate::kv::show::revision;
use crate::kv::stub;
use crate::output::{Format, json_bytes, print, print_part, printable};
use crate::session;
use crate::watch;
use crate::watch::follow::{End, Following, Told};

/// Prints who leads at present.
pub(crate) async fn leader(
    client: &Client,
    name: &str,
    format: Format,
) -> Result<Outcome, Failure> {
    let response = session::first(client, name).await?;
    let Some(leader) = response.kvs.first() else {
        let message = format!("nobody leads the election `{name}`");
        let hint = format!("`althing elect --observe {name}` waits for somebody");
        return Err(Failure::new(Kind::NotFound, message).hint(hint));
    };
    print(&shown(Some(leader), format)).map(|()| Outcome::Done)
}

/// Prints who leads, and everybody who does from then on, and also when nobody does.
pub(crate) async fn observe(
    client: &Client,
    name: &str,
    format: Format,
) -> Result<Outcome, Failure> {
    let keys = Keys::new(&session::prefix(name), None, true, false)?;
    let mut last: Option<Option<KeyValue>> = None;
    loop {
        let (mut roll, revision) = candidates(client, &keys).await?;
        let create = WatchCreateRequest {
            key: keys.key.clone().into(),
            range_end: keys.range_end.clone().into(),
            start_revision: revision + 1,
            ..WatchCreateRequest::default()
        };
        let mut following = Following::new(client, create).announced();
        if last.is_none() {
            following.open().await.map_err(watch::failure)?;
        }
        if last.as_ref().map(Option::as_ref) != Some(roll.leader()) {
            // Where nobody leads yet there is nothing to tell.
            let is_news = last.is_some() || roll.leader().is_some();
            if is_news && !print_part(&shown(roll.leader(), format))? {
                return Ok(Outcome::Done);
            }
        }
        loop {
            match following.next().await {
                Ok(Told::Progress(_)) => {}
                Ok(Told::Events(events)) => {
                    for leader in roll.changes(&events) {
                        if !print_part(&shown(leader.as_ref(), format))? {
                            return Ok(Outcome::Done);
                        }
                    }
                }
                // The present is still there to be read.
                Err(End::Compacted { .. }) => break,
                Err(End::Refused(failure)) => return Err(failure),
            }
        }
        last = Some(roll.leader().cloned());
    }
}

/// Who stands for election, and the revision at which that was so.
async fn candidates(client: &Client, keys: &Keys) -> Result<(Roll, i64), Failure> {
    let request = RangeRequest {
        key: keys.key.clone().into(),
        range_end: keys.range_end.clone().into(),
        ..RangeRequest::default()
    };
    let send = |channel| {
        let request = request.clone();
        async move { stub(channel).range(request).await }
    };
    let response = client.call(Effect::Read, send).await?;
    Ok((Roll::new(response.kvs), revision(response.header.as_ref())))
}

/// A leader, or that there is none.
fn shown(leader: Option<&KeyValue>, format: Format) -> Vec<u8> {
    let mut line = match (format, leader) {
        (Format::Json, Some(pair)) => json!({
            "leader": json_bytes(&pair.value),
            "key": json_bytes(&pair.key),
            "token": pair.create_revision,
            "revision": pair.mod_revision,
        })
        .to_string()
        .into_bytes(),
        (Format::Json, None) => json!({ "leader": Value::Null }).to_string().into_bytes(),
        (Format::Table, Some(pair)) => {
            let (value, key) = (printable(&pair.value), printable(&pair.key));
            format!("{value}  leads, key {key}  token {}", pair.create_revision).into_bytes()
        }
        (Format::Table, None) => b"nobody leads".to_vec(),
        (Format::Raw, leader) => leader.map(|pair| pair.value.to_vec()).unwrap_or_default(),
    };
    line.push(b'\n');
    line
}
