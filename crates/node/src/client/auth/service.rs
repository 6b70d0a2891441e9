//! The calls of the Auth service.

use std::sync::Arc;

use althing_etcd_api::authpb::{self, permission::Type};
use althing_etcd_api::etcdserverpb as pb;
use althing_keyspace::{
    Access, Ask, AuthChange, Command, Grant, PasswordHash, Principal, Rejection, Reply, SignIn,
};
use pb::auth_server::Auth;
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use super::super::credentials::Credentials;
use super::super::{Api, convert, status};
use crate::metrics::Method;
use crate::tokens::{new_token, wall_clock_seconds};

impl Api {
    /// Checks a password, whoever asks. What is said of a user that is not there, or has none, is
    /// the same, and takes as long.
    pub(crate) async fn authenticate(
        &self,
        _: Credentials,
        mut message: pb::AuthenticateRequest,
    ) -> Result<pb::AuthenticateResponse, Status> {
        let who = message.name.clone();
        let answer = self
            .counted(Method::Authenticate, async {
                let password = Zeroizing::new(std::mem::take(&mut message.password));
                self.door.linearizable().await?;
                if !self.door.users_now().0 {
                    return Err(status::rejected(Rejection::AuthNotEnabled));
                }
                let known = self.door.password_of(&message.name);
                let hash = known.as_ref().map(|(hash, _)| hash.clone());
                let fits = self.guard.passwords.fits(password, hash).await?;
                let (true, Some((_, since))) = (fits, known) else {
                    return Err(status::rejected(Rejection::AuthFailed));
                };
                let name: Arc<str> = message.name.into();
                let token = match self.guard.jwt() {
                    Some(jwt) => jwt.issue(&name, since, wall_clock_seconds()),
                    None => self.give_token(name, since).await?,
                };
                Ok(pb::AuthenticateResponse { header: self.present(), token })
            })
            .await;
        self.audit.ended(Method::Authenticate, Some(&who), answer.as_ref().err());
        answer
    }

    async fn give_token(&self, name: Arc<str>, since: u64) -> Result<String, Status> {
        let (token, token_digest) = new_token();
        let issued_seconds = wall_clock_seconds();
        self.door.sign_in(SignIn { name, since, token_digest, issued_seconds }).await?;
        Ok(token)
    }

    /// Makes a change of users and roles on behalf of the caller.
    async fn change(
        &self,
        caller: &Principal,
        change: AuthChange,
    ) -> Result<Option<pb::ResponseHeader>, Status> {
        let applied = self.door.propose(caller, Command::Auth(change)).await?;
        let Reply::Auth { revision } = applied.reply else {
            unreachable!("a change of users is answered with what it did");
        };
        Ok(Some(self.header(revision, applied.term)))
    }

    /// What a password will be checked against. Who may not set any is told so before it is looked
    /// at.
    async fn hashed(&self, caller: &Principal, password: String) -> Result<PasswordHash, Status> {
        let password = Zeroizing::new(password);
        self.door.may(caller, Ask::Administer).await?;
        self.guard.passwords.hash(password).await
    }

    fn present(&self) -> Option<pb::ResponseHeader> {
        Some(self.header(self.door.revision(), self.door.term()))
    }

    pub(crate) async fn auth_enable(
        &self,
        credentials: Credentials,
        _: pb::AuthEnableRequest,
    ) -> Result<pb::AuthEnableResponse, Status> {
        self.admitted(Method::AuthEnable, &credentials, |caller| async move {
            let header = self.change(&caller, AuthChange::Enable).await?;
            Ok(pb::AuthEnableResponse { header })
        })
        .await
    }

    pub(crate) async fn auth_disable(
        &self,
        credentials: Credentials,
        _: pb::AuthDisableRequest,
    ) -> Result<pb::AuthDisableResponse, Status> {
        self.admitted(Method::AuthDisable, &credentials, |caller| async move {
            let header = self.change(&caller, AuthChange::Disable).await?;
            Ok(pb::AuthDisableResponse { header })
        })
        .await
    }

    pub(crate) async fn auth_status(
        &self,
        credentials: Credentials,
        _: pb::AuthStatusRequest,
    ) -> Result<pb::AuthStatusResponse, Status> {
        self.admitted(Method::AuthStatus, &credentials, |caller| async move {
            self.door.linearizable().await?;
            let (enabled, auth_revision) =
                self.door.users(&caller, |auth| (auth.is_enabled(), auth.revision()))?;
            Ok(pb::AuthStatusResponse { header: self.present(), enabled, auth_revision })
        })
        .await
    }

    pub(crate) async fn user_add(
        &self,
        credentials: Credentials,
        mut message: pb::AuthUserAddRequest,
    ) -> Result<pb::AuthUserAddResponse, Status> {
        self.admitted(Method::UserAdd, &credentials, |caller| async move {
            let password = std::mem::take(&mut message.password);
            let has_none = message.options.as_ref().is_some_and(|options| options.no_password);
            let password = match has_none {
                true => None,
                false => Some(self.hashed(&caller, password).await?),
            };
            let change = AuthChange::UserAdd { name: message.name.as_str().into(), password };
            let header = self.change(&caller, change).await?;
            Ok(pb::AuthUserAddResponse { header })
        })
        .await
    }

    pub(crate) async fn user_get(
        &self,
        credentials: Credentials,
        message: pb::AuthUserGetRequest,
    ) -> Result<pb::AuthUserGetResponse, Status> {
        self.admitted(Method::UserGet, &credentials, |caller| async move {
            self.door.linearizable().await?;
            let roles = self.door.look(&caller, |view| {
                Ok(view.user(&message.name)?.roles().map(str::to_owned).collect())
            })?;
            Ok(pb::AuthUserGetResponse { header: self.present(), roles })
        })
        .await
    }

    pub(crate) async fn user_list(
        &self,
        credentials: Credentials,
        _: pb::AuthUserListRequest,
    ) -> Result<pb::AuthUserListResponse, Status> {
        self.admitted(Method::UserList, &credentials, |caller| async move {
            self.door.linearizable().await?;
            let users =
                |auth: &althing_keyspace::AuthState| auth.users().map(str::to_owned).collect();
            let users = self.door.users(&caller, users)?;
            Ok(pb::AuthUserListResponse { header: self.present(), users })
        })
        .await
    }

    pub(crate) async fn user_delete(
        &self,
        credentials: Credentials,
        message: pb::AuthUserDeleteRequest,
    ) -> Result<pb::AuthUserDeleteResponse, Status> {
        self.admitted(Method::UserDelete, &credentials, |caller| async move {
            let change = AuthChange::UserDelete { name: message.name.as_str().into() };
            let header = self.change(&caller, change).await?;
            Ok(pb::AuthUserDeleteResponse { header })
        })
        .await
    }

    pub(crate) async fn user_change_password(
        &self,
        credentials: Credentials,
        mut message: pb::AuthUserChangePasswordRequest,
    ) -> Result<pb::AuthUserChangePasswordResponse, Status> {
        self.admitted(Method::UserChangePassword, &credentials, |caller| async move {
            let password = self.hashed(&caller, std::mem::take(&mut message.password)).await?;
            let change = AuthChange::UserPassword { name: message.name.as_str().into(), password };
            let header = self.change(&caller, change).await?;
            Ok(pb::AuthUserChangePasswordResponse { header })
        })
        .await
    }

    pub(crate) async fn user_grant_role(
        &self,
        credentials: Credentials,
        message: pb::AuthUserGrantRoleRequest,
    ) -> Result<pb::AuthUserGrantRoleResponse, Status> {
        self.admitted(Method::UserGrantRole, &credentials, |caller| async move {
            let pb::AuthUserGrantRoleRequest { user, role } = message;
            let change = AuthChange::UserGrantRole { name: user.into(), role: role.into() };
            let header = self.change(&caller, change).await?;
            Ok(pb::AuthUserGrantRoleResponse { header })
        })
        .await
    }

    pub(crate) async fn user_revoke_role(
        &self,
        credentials: Credentials,
        message: pb::AuthUserRevokeRoleRequest,
    ) -> Result<pb::AuthUserRevokeRoleResponse, Status> {
        self.admitted(Method::UserRevokeRole, &credentials, |caller| async move {
            let pb::AuthUserRevokeRoleRequest { name, role } = message;
            let change = AuthChange::UserRevokeRole { name: name.into(), role: role.into() };
            let header = self.change(&caller, change).await?;
            Ok(pb::AuthUserRevokeRoleResponse { header })
        })
        .await
    }

    pub(crate) async fn role_add(
        &self,
        credentials: Credentials,
        message: pb::AuthRoleAddRequest,
    ) -> Result<pb::AuthRoleAddResponse, Status> {
        self.admitted(Method::RoleAdd, &credentials, |caller| async move {
            let change = AuthChange::RoleAdd { name: message.name.into() };
            let header = self.change(&caller, change).await?;
            Ok(pb::AuthRoleAddResponse { header })
        })
        .await
    }

    pub(crate) async fn role_get(
        &self,
        credentials: Credentials,
        message: pb::AuthRoleGetRequest,
    ) -> Result<pb::AuthRoleGetResponse, Status> {
        self.admitted(Method::RoleGet, &credentials, |caller| async move {
            self.door.linearizable().await?;
            let perm = self.door.look(&caller, |view| {
                Ok(view.role(&message.role)?.grants().map(permission).collect())
            })?;
            Ok(pb::AuthRoleGetResponse { header: self.present(), perm })
        })
        .await
    }

    pub(crate) async fn role_list(
        &self,
        credentials: Credentials,
        _: pb::AuthRoleListRequest,
    ) -> Result<pb::AuthRoleListResponse, Status> {
        self.admitted(Method::RoleList, &credentials, |caller| async move {
            self.door.linearizable().await?;
            let roles =
                |auth: &althing_keyspace::AuthState| auth.roles().map(str::to_owned).collect();
            let roles = self.door.users(&caller, roles)?;
            Ok(pb::AuthRoleListResponse { header: self.present(), roles })
        })
        .await
    }

    pub(crate) async fn role_delete(
        &self,
        credentials: Credentials,
        message: pb::AuthRoleDeleteRequest,
    ) -> Result<pb::AuthRoleDeleteResponse, Status> {
        self.admitted(Method::RoleDelete, &credentials, |caller| async move {
            let change = AuthChange::RoleDelete { name: message.role.into() };
            let header = self.change(&caller, change).await?;
            Ok(pb::AuthRoleDeleteResponse { header })
        })
        .await
    }

    pub(crate) async fn role_grant_permission(
        &self,
        credentials: Credentials,
        message: pb::AuthRoleGrantPermissionRequest,
    ) -> Result<pb::AuthRoleGrantPermissionResponse, Status> {
        self.admitted(Method::RoleGrantPermission, &credentials, |caller| async move {
            let grant = message.perm.ok_or(Rejection::PermissionNotGiven).and_then(grant);
            let grant = grant.map_err(status::rejected)?;
            let change = AuthChange::RoleGrant { name: message.name.into(), grant };
            let header = self.change(&caller, change).await?;
            Ok(pb::AuthRoleGrantPermissionResponse { header })
        })
        .await
    }

    pub(crate) async fn role_revoke_permission(
        &self,
        credentials: Credentials,
        message: pb::AuthRoleRevokePermissionRequest,
    ) -> Result<pb::AuthRoleRevokePermissionResponse, Status> {
        self.admitted(Method::RoleRevokePermission, &credentials, |caller| async move {
            let change = AuthChange::RoleRevoke {
                name: message.role.into(),
                key: message.key.as_ref().into(),
                range_end: message.range_end.as_ref().into(),
            };
            let header = self.change(&caller, change).await?;
            Ok(pb::AuthRoleRevokePermissionResponse { header })
        })
        .await
    }
}

fn permission(grant: Grant) -> authpb::Permission {
    let kind = match grant.access {
        Access::Read => Type::Read,
        Access::Write => Type::Write,
        Access::ReadWrite => Type::Readwrite,
    };
    authpb::Permission {
        perm_type: kind.into(),
        key: convert::bytes(&grant.key),
        range_end: convert::bytes(&grant.range_end),
    }
}

fn grant(permission: authpb::Permission) -> Result<Grant, Rejection> {
    let access = match Type::try_from(permission.perm_type) {
        Ok(Type::Read) => Access::Read,
        Ok(Type::Write) => Access::Write,
        Ok(Type::Readwrite) => Access::ReadWrite,
        Err(_) => return Err(Rejection::PermissionNotGiven),
    };
    let (key, range_end) = (permission.key.as_ref().into(), permission.range_end.as_ref().into());
    Ok(Grant { key, range_end, access })
}

/// Each call of the protocol to the call of the API with the same name.
macro_rules! calls {
    ($($name:ident($request:ident) -> $response:ident),* $(,)?) => {
        #[tonic::async_trait]
        impl Auth for Api {
            $(async fn $name(
                &self,
                request: Request<pb::$request>,
            ) -> Result<Response<pb::$response>, Status> {
                let credentials = Credentials::of(&request);
                self.$name(credentials, request.into_inner()).await.map(Response::new)
            })*
        }
    };
}

calls! {
    auth_enable(AuthEnableRequest) -> AuthEnableResponse,
    auth_disable(AuthDisableRequest) -> AuthDisableResponse,
    auth_status(AuthStatusRequest) -> AuthStatusResponse,
    authenticate(AuthenticateRequest) -> AuthenticateResponse,
    user_add(AuthUserAddRequest) -> AuthUserAddResponse,
    user_get(AuthUserGetRequest) -> AuthUserGetResponse,
    user_list(AuthUserListRequest) -> AuthUserListResponse,
    user_delete(AuthUserDeleteRequest) -> AuthUserDeleteResponse,
    user_change_password(AuthUserChangePasswordRequest) -> AuthUserChangePasswordResponse,
    user_grant_role(AuthUserGrantRoleRequest) -> AuthUserGrantRoleResponse,
    user_revoke_role(AuthUserRevokeRoleRequest) -> AuthUserRevokeRoleResponse,
    role_add(AuthRoleAddRequest) -> AuthRoleAddResponse,
    role_get(AuthRoleGetRequest) -> AuthRoleGetResponse,
    role_list(AuthRoleListRequest) -> AuthRoleListResponse,
    role_delete(AuthRoleDeleteRequest) -> AuthRoleDeleteResponse,
    role_grant_permission(AuthRoleGrantPermissionRequest) -> AuthRoleGrantPermissionResponse,
    role_revoke_permission(AuthRoleRevokePermissionRequest) -> AuthRoleRevokePermissionResponse,
}
