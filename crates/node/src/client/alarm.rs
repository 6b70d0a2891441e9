use althing_etcd_api::etcdserverpb as pb;
use althing_keyspace::{Alarm, AlarmKind, Ask, Command, Principal, Reply};
use pb::alarm_request::AlarmAction;
use pb::downgrade_request::DowngradeAction;
use tonic::Status;

use super::Api;
use super::credentials::Credentials;
use crate::metrics::Method;

impl Api {
    /// Tells which alarms are raised, raises one or clears it.
    ///
    /// That a node has no room is told as an alarm of its own for as long as that is so, and is
    /// over by itself; the others are raised and cleared by whoever asks.
    pub(super) async fn alarm(
        &self,
        credentials: Credentials,
        message: pb::AlarmRequest,
    ) -> Result<pb::AlarmResponse, Status> {
        self.admitted(Method::Alarm, &credentials, |caller| async move {
            self.door.may(&caller, Ask::Administer).await?;
            let kind = match message.alarm() {
                pb::AlarmType::None => None,
                pb::AlarmType::Nospace => Some(AlarmKind::NoSpace),
                pb::AlarmType::Corrupt => Some(AlarmKind::Corrupt),
            };
            match (message.action(), kind) {
                (AlarmAction::Get, kind) => Ok(self.list_alarms(&message, kind)),
                (action, Some(kind)) => {
                    let alarm = Alarm { kind, member: message.member_id };
                    self.set_alarm(&caller, alarm, action == AlarmAction::Activate).await
                }
                (_, None) => Err(Status::invalid_argument("althing: name the kind of alarm")),
            }
        })
        .await
    }

    fn list_alarms(
        &self,
        message: &pb::AlarmRequest,
        kind: Option<AlarmKind>,
    ) -> pb::AlarmResponse {
        let mut alarms = self.door.alarms();
        if self.is_out_of_space() {
            alarms.insert(Alarm { kind: AlarmKind::NoSpace, member: self.door.node().number() });
        }
        let is_asked = |alarm: &Alarm| {
            kind.is_none_or(|kind| kind == alarm.kind)
                && [0, alarm.member].contains(&message.member_id)
        };
        let alarms = alarms.into_iter().filter(is_asked).map(shown).collect();
        let header = Some(self.header(self.door.revision(), self.door.term()));
        pb::AlarmResponse { header, alarms }
    }

    /// Whether an alarm of this kind is raised, or this node has no room.
    pub(super) fn is_alarmed(&self, kind: AlarmKind) -> bool {
        self.door.is_alarmed(kind) || kind == AlarmKind::NoSpace && self.is_out_of_space()
    }

    async fn set_alarm(
        &self,
        caller: &Principal,
        alarm: Alarm,
        is_raised: bool,
    ) -> Result<pb::AlarmResponse, Status> {
        let applied = self.door.propose(caller, Command::Alarm { alarm, is_raised }).await?;
        let Reply::Alarm { is_changed, revision } = applied.reply else {
            unreachable!("an alarm is answered with what became of it");
        };
        let alarms = if is_changed { vec![shown(alarm)] } else { Vec::new() };
        Ok(pb::AlarmResponse { header: Some(self.header(revision, applied.term)), alarms })
    }

    /// There is no earlier version whose nodes could read what this one writes, and this is said in
    /// etcd's words.
    pub(super) async fn downgrade(
        &self,
        credentials: Credentials,
        message: pb::DowngradeRequest,
    ) -> Result<pb::DowngradeResponse, Status> {
        self.admitted(Method::Downgrade, &credentials, |caller| async move {
            self.door.may(&caller, Ask::Administer).await?;
            if message.action() == DowngradeAction::Cancel {
                return Err(Status::failed_precondition("etcdserver: no inflight downgrade job"));
            }
            let parts: Vec<&str> = message.version.split('.').collect();
            let is_version = matches!(parts.len(), 2 | 3)
                && parts.iter().all(|part| part.parse::<u32>().is_ok());
            Err(Status::invalid_argument(if is_version {
                "etcdserver: invalid downgrade target version"
            } else {
                "etcdserver: wrong downgrade target version format"
            }))
        })
        .await
    }
}

fn shown(alarm: Alarm) -> pb::AlarmMember {
    let kind = match alarm.kind {
        AlarmKind::NoSpace => pb::AlarmType::Nospace,
        AlarmKind::Corrupt => pb::AlarmType::Corrupt,
    };
    pb::AlarmMember { member_id: alarm.member, alarm: kind.into() }
}
