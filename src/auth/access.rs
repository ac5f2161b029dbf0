//! What the authentication layer found out about a request.

use std::sync::Arc;

use http::Extensions;

use crate::{hub::Principal, telemetry::Note};

/// Who calls and which mounts it may use. A request extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    principal: Principal,
    /// The mounts it may use; all of them where there is no list.
    mounts: Option<Arc<[String]>>,
    /// Whether it may use custom routes, which belong to no mount.
    routes: bool,
}

/// Who a request comes from that nobody authenticated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unidentified {
    /// Somebody of whom nothing is known: see [`Principal::anonymous`].
    #[default]
    Anonymous,
    /// The one user of this machine: see [`Principal::local`].
    Local,
}

// === impl Access ===

impl Access {
    /// Access to every mount and every custom route.
    #[must_use]
    pub fn to_all(principal: Principal) -> Self {
        Self { principal, mounts: None, routes: true }
    }

    /// Access to these mounts only, and to no custom route.
    #[must_use]
    pub fn only(principal: Principal, mounts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { principal, mounts: Some(mounts.into_iter().map(Into::into).collect()), routes: false }
    }

    /// The same, and access to the custom routes.
    #[must_use]
    pub fn and_routes(self) -> Self {
        Self { routes: true, ..self }
    }

    /// Somebody of whom nothing is known, and who may use nothing.
    #[must_use]
    pub fn nobody() -> Self {
        Self::only(Principal::anonymous(), [] as [String; 0])
    }

    /// What the extensions of a request say: an `Access`, or a [`Principal`] that may use everything, or, where nobody
    /// authenticated the request, `unidentified`. The access log learns of it here, because everything that serves somebody
    /// asks here for whom.
    #[must_use]
    pub fn of(extensions: &Extensions, unidentified: Unidentified) -> Self {
        let access = Self::found(extensions, unidentified);
        if let Some(note) = extensions.get::<Note>() {
            note.principal(&access.principal);
        }
        access
    }

    fn found(extensions: &Extensions, unidentified: Unidentified) -> Self {
        if let Some(access) = extensions.get::<Self>() {
            return access.clone();
        }
        let principal = extensions.get::<Principal>().cloned();
        Self::to_all(principal.unwrap_or_else(|| match unidentified {
            Unidentified::Anonymous => Principal::anonymous(),
            Unidentified::Local => Principal::local(),
        }))
    }

    /// Who calls.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether it may use every mount, those included that are yet to come.
    #[must_use]
    pub fn is_to_all(&self) -> bool {
        self.mounts.is_none()
    }

    /// Whether it may use the routes that an application has beside those of Rialto.
    #[must_use]
    pub fn may_use_routes(&self) -> bool {
        self.routes
    }

    /// Whether it may use a mount.
    #[must_use]
    pub fn may_use(&self, mount: &str) -> bool {
        self.mounts.as_ref().is_none_or(|mounts| mounts.iter().any(|known| known == mount))
    }
}
