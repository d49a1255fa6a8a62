//! The one tenant: its ids, its people, its two applications, and who has consented to what.

use std::collections::BTreeSet;

use crate::crowd;
use crate::errors::EntraError;

/// The directory (tenant) id; the only tenant that exists here.
pub const TENANT_ID: &str = "aaaabbbb-0000-cccc-1111-dddd2222eeee";
/// The API application: owner of the scopes, middle tier of the on-behalf-of flow, confidential.
pub const API_CLIENT_ID: &str = "00001111-aaaa-2222-bbbb-3333cccc4444";
/// The public client that MCP clients sign in with: no secret, loopback redirect URIs.
pub const PUBLIC_CLIENT_ID: &str = "11112222-bbbb-3333-cccc-4444dddd5555";
/// The API application's secret. It has the length and the alphabet of Entra's own, and is worth nothing.
pub const CLIENT_SECRET: &str = "not-a-secret~emulator.only~0123456789abc";
/// Microsoft Graph's application id, the audience of Graph tokens.
pub const GRAPH_APP_ID: &str = "00000003-0000-0000-c000-000000000000";
/// The object id of the API application's service principal: `oid` and `sub` of its app-only tokens.
pub const API_PRINCIPAL_ID: &str = "33334444-dddd-5555-eeee-6666ffff7777";
/// The client id of the user-assigned managed identity: what `MANAGED_IDENTITY_CLIENT_ID` takes.
pub const IDENTITY_CLIENT_ID: &str = "44445555-eeee-6666-ffff-7777aaaa8888";
/// The same identity's principal (object) id: `sub` and `oid` of its tokens, the subject of a federated credential.
pub const IDENTITY_PRINCIPAL_ID: &str = "55556666-ffff-7777-aaaa-8888bbbb9999";
/// The same identity's Azure resource id.
pub const IDENTITY_RESOURCE_ID: &str = "/subscriptions/aaaa0a0a-bb1b-cc2c-dd3d-eeeeee4e4e4e/resourcegroups/mcp/\
                                        providers/Microsoft.ManagedIdentity/userAssignedIdentities/mcp-server";
/// The principal id of the host's system-assigned identity, which no federated credential can trust.
pub const SYSTEM_PRINCIPAL_ID: &str = "66667777-aaaa-8888-bbbb-9999cccc0000";
/// The resource for which a managed identity's token is asked, and the audience that a federated credential names.
pub const TOKEN_EXCHANGE_URI: &str = "api://AzureADTokenExchange";
/// The same resource's application id: `aud` of such a token.
pub const TOKEN_EXCHANGE_APP_ID: &str = "fb60f99c-7a34-4190-8149-302f77469936";
/// The scope that lets a client connect.
pub const ACCESS_AS_USER: &str = "access_as_user";
/// The scope that read-only tools need.
pub const MCP_TOOLS: &str = "MCP.Tools";

/// The client id of the system-assigned identity.
pub(crate) const SYSTEM_CLIENT_ID: &str = "77778888-bbbb-9999-cccc-0000dddd1111";
/// Every delegated scope that the API application exposes.
pub(crate) const API_SCOPES: [&str; 2] = [ACCESS_AS_USER, MCP_TOOLS];
/// The application permission of the API application (`roles` of an app-only token).
pub(crate) const API_ROLE: &str = "MCP.Tools.Read";
/// The delegated Graph scopes that exist here; only `User.Read` has been consented to.
pub(crate) const GRAPH_SCOPES: [&str; 6] =
    ["User.Read", "User.ReadBasic.All", "Mail.Read", "Calendars.Read", "Files.Read", "Sites.Read.All"];

/// The people of the tenant. What each may do differs, so that each plays one branch of the sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum User {
    /// May do everything: both scopes, and Graph on her behalf.
    Alice,
    /// Leaves `MCP.Tools` unticked the first time he is asked for it: he plays the step-up.
    Bob,
    /// Never gets `MCP.Tools` before an administrator grants it, and has not consented to Graph.
    Carol,
    /// One of a crowd, by number: may do what Alice may. Not on the sign-in page.
    Member(u32),
}

impl User {
    /// Everybody with a name of their own.
    pub const ALL: [Self; 3] = [Self::Alice, Self::Bob, Self::Carol];

    /// The display name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alice => "Alice Example",
            Self::Bob => "Bob Example",
            Self::Carol => "Carol Example",
            Self::Member(number) => crowd::member(number).name,
        }
    }

    /// The first name.
    #[must_use]
    pub fn given_name(self) -> &'static str {
        match self {
            Self::Alice => "Alice",
            Self::Bob => "Bob",
            Self::Carol => "Carol",
            Self::Member(_) => "Member",
        }
    }

    /// The user principal name: what `login_hint` takes.
    #[must_use]
    pub fn upn(self) -> &'static str {
        match self {
            Self::Alice => "alice@contoso.example",
            Self::Bob => "bob@contoso.example",
            Self::Carol => "carol@contoso.example",
            Self::Member(number) => crowd::member(number).upn,
        }
    }

    /// The object id: `oid` in every token, `id` in Graph.
    #[must_use]
    pub fn oid(self) -> &'static str {
        match self {
            Self::Alice => "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb",
            Self::Bob => "bbbbbbbb-1111-2222-3333-cccccccccccc",
            Self::Carol => "cccccccc-2222-3333-4444-dddddddddddd",
            Self::Member(number) => crowd::member(number).oid,
        }
    }

    /// The job title in Graph.
    #[must_use]
    pub fn job_title(self) -> &'static str {
        match self {
            Self::Alice => "Platform Engineer",
            Self::Bob => "Data Analyst",
            Self::Carol => "Contractor",
            Self::Member(_) => "Member of Staff",
        }
    }

    /// What the person may do, in one sentence for the sign-in page.
    #[must_use]
    pub fn rights(self) -> &'static str {
        match self {
            Self::Alice => "Has consented to everything: may connect, use the tools, and reach Graph.",
            Self::Bob => "Leaves MCP.Tools unticked the first time: connects, then has to step up for the tools.",
            Self::Carol => "May connect only: MCP.Tools and Graph wait for an administrator's consent.",
            Self::Member(_) => "One of many: may do what Alice may.",
        }
    }

    /// The person with this user principal name, in any case.
    #[must_use]
    pub fn with_upn(upn: &str) -> Option<Self> {
        let member = crowd::number_of_upn(upn).map(Self::Member);
        Self::ALL.into_iter().chain(member).find(|user| user.upn().eq_ignore_ascii_case(upn))
    }

    /// The person with this object id.
    #[must_use]
    pub fn with_oid(oid: &str) -> Option<Self> {
        let member = crowd::number_of_oid(oid).map(Self::Member);
        Self::ALL.into_iter().chain(member).find(|user| user.oid() == oid)
    }
}

/// An application that exposes scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Api,
    Graph,
}

/// What changes in the tenant while it runs: the API application's identifier URIs, and consents.
#[derive(Debug)]
pub(crate) struct Directory {
    identifier_uris: Vec<String>,
    granted: BTreeSet<(User, String)>,
    bob_was_asked: bool,
}

impl Directory {
    /// A tenant in its first minute: Alice and Bob let the API read their profile, nobody has signed in.
    pub(crate) fn new() -> Self {
        let granted = [(User::Alice, "User.Read".to_owned()), (User::Bob, "User.Read".to_owned())];
        Self {
            identifier_uris: vec![format!("api://{API_CLIENT_ID}")],
            granted: granted.into_iter().collect(),
            bob_was_asked: false,
        }
    }

    pub(crate) fn add_identifier_uri(&mut self, uri: &str) {
        if !self.owns(uri) {
            self.identifier_uris.push(uri.to_owned());
        }
    }

    /// Whether `uri` is, byte for byte, an identifier URI of the API application.
    pub(crate) fn owns(&self, uri: &str) -> bool {
        self.identifier_uris.iter().any(|known| known == uri)
    }

    /// An administrator's consent: for one user, to one scope by its short name.
    pub(crate) fn grant(&mut self, user: User, scope: &str) {
        self.granted.insert((user, scope.to_owned()));
    }

    /// Every scope of `resource` that `user` has consented to so far.
    pub(crate) fn granted(&self, user: User, resource: Resource) -> BTreeSet<String> {
        let exposed: &[&str] = match resource {
            Resource::Api => &API_SCOPES,
            Resource::Graph => &GRAPH_SCOPES,
        };
        if let User::Member(_) = user {
            // As Alice: to all that exists of ours, and to what the tools ask of Graph.
            let consented = |scope: &&&str| resource == Resource::Api || **scope == "User.Read";
            return exposed.iter().filter(consented).map(|scope| (*scope).to_owned()).collect();
        }
        self.granted
            .iter()
            .filter(|(who, scope)| *who == user && exposed.contains(&scope.as_str()))
            .map(|(_, scope)| scope.clone())
            .collect()
    }

    /// The consent page, answered as `user` would: adds what was ticked to what had been consented to before.
    /// As in Entra, the token then carries every scope of that resource the user ever consented to.
    pub(crate) fn ask(
        &mut self,
        user: User,
        resource: Resource,
        asked: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, EntraError> {
        let before = self.granted(user, resource);
        let ticked: Vec<String> = asked.difference(&before).filter(|scope| self.ticks(user, scope)).cloned().collect();
        if !asked.is_empty() && ticked.is_empty() && asked.is_disjoint(&before) {
            return Err(match user {
                User::Carol => EntraError::admin_consent_required(),
                User::Alice | User::Bob | User::Member(_) => EntraError::consent_declined(),
            });
        }
        self.granted.extend(ticked.into_iter().map(|scope| (user, scope)));
        Ok(self.granted(user, resource))
    }

    fn ticks(&mut self, user: User, scope: &str) -> bool {
        match (user, scope) {
            (User::Bob, MCP_TOOLS) => std::mem::replace(&mut self.bob_was_asked, true),
            (User::Alice | User::Bob | User::Member(_), _) | (User::Carol, ACCESS_AS_USER) => true,
            (User::Carol, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn alice_consents_to_what_she_is_asked_and_keeps_it() {
        let mut directory = Directory::new();
        let first = directory.ask(User::Alice, Resource::Api, &names(&[MCP_TOOLS])).unwrap();
        assert_eq!(first, names(&[MCP_TOOLS]));
        let second = directory.ask(User::Alice, Resource::Api, &names(&[ACCESS_AS_USER])).unwrap();
        assert_eq!(second, names(&API_SCOPES));
    }

    #[test]
    fn a_member_of_the_crowd_is_found_by_either_name_and_has_consented() {
        let member = User::Member(42);
        assert_eq!(member.oid(), "dddddddd-3333-4444-5555-000000000042");
        assert_eq!(User::with_oid(member.oid()), Some(member));
        assert_eq!(User::with_upn("MEMBER42@contoso.example"), Some(member));
        assert_eq!(User::with_upn("member42@fabrikam.example"), None);
        assert_eq!(User::with_oid("dddddddd-3333-4444-5555-42"), None);
        let directory = Directory::new();
        assert_eq!(directory.granted(member, Resource::Api), names(&API_SCOPES));
        assert_eq!(directory.granted(member, Resource::Graph), names(&["User.Read"]));
    }

    #[test]
    fn bob_unticks_the_tools_once() {
        let mut directory = Directory::new();
        let both = names(&API_SCOPES);
        assert_eq!(directory.ask(User::Bob, Resource::Api, &both).unwrap(), names(&[ACCESS_AS_USER]));
        assert_eq!(directory.ask(User::Bob, Resource::Api, &names(&[MCP_TOOLS])).unwrap(), both);
    }

    #[test]
    fn bob_asked_for_the_tools_alone_declines_once() {
        let mut directory = Directory::new();
        let declined = directory.ask(User::Bob, Resource::Api, &names(&[MCP_TOOLS])).unwrap_err();
        assert_eq!((declined.error.as_str(), declined.code), ("access_denied", 65004));
        assert_eq!(directory.ask(User::Bob, Resource::Api, &names(&[MCP_TOOLS])).unwrap(), names(&[MCP_TOOLS]));
    }

    #[test]
    fn carol_gets_the_tools_only_from_an_administrator() {
        let mut directory = Directory::new();
        let both = names(&API_SCOPES);
        assert_eq!(directory.ask(User::Carol, Resource::Api, &both).unwrap(), names(&[ACCESS_AS_USER]));
        let refused = directory.ask(User::Carol, Resource::Api, &names(&[MCP_TOOLS])).unwrap_err();
        assert_eq!((refused.error.as_str(), refused.code), ("access_denied", 90094));
        directory.grant(User::Carol, MCP_TOOLS);
        assert_eq!(directory.ask(User::Carol, Resource::Api, &names(&[MCP_TOOLS])).unwrap(), both);
    }
}
