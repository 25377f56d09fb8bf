//! From a rule's log source to the kind of record that it is about.

use rsigma_parser::LogSource;

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Route {
    /// A program was executed.
    ProcessCreation,
    /// A connection was begun.
    NetworkConnection,
    /// A file appeared or was written.
    FileEvent,
    /// A file was written or its attributes changed.
    FileChange,
    /// A file took another's name.
    FileRename,
    /// A file was removed.
    FileDelete,
    /// A credential file was opened.
    FileAccess,
    /// The kernel's audit records, as they follow from our events.
    Auditd,
    /// Text anywhere in a log: here, the command line of each program.
    Text,
}

impl Route {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ProcessCreation,
        Self::NetworkConnection,
        Self::FileEvent,
        Self::FileChange,
        Self::FileRename,
        Self::FileDelete,
        Self::FileAccess,
        Self::Auditd,
        Self::Text,
    ];

    /// Sigma's name: a category, or a service.
    pub fn name(self) -> &'static str {
        match self {
            Self::ProcessCreation => "process_creation",
            Self::NetworkConnection => "network_connection",
            Self::FileEvent => "file_event",
            Self::FileChange => "file_change",
            Self::FileRename => "file_rename",
            Self::FileDelete => "file_delete",
            Self::FileAccess => "file_access",
            Self::Auditd => "auditd",
            Self::Text => "product linux alone",
        }
    }

    /// Which of our events make its records.
    pub fn events(self) -> &'static str {
        match self {
            Self::ProcessCreation | Self::Text => "process.exec",
            Self::NetworkConnection => "net.connect",
            Self::FileEvent => "file.change and persistence.change: created, modified, renamed",
            Self::FileChange => "file.change and persistence.change: modified, attributes",
            Self::FileRename => "file.change and persistence.change: renamed",
            Self::FileDelete => "file.change and persistence.change: deleted",
            Self::FileAccess => "file.open",
            Self::Auditd => "process.exec, net.connect, file.*, persistence.change, privilege.use, user.change",
        }
    }

    /// The route of a log source.
    ///
    /// # Errors
    /// Why there is none here, in a sentence.
    pub(crate) fn of(source: &LogSource) -> Result<Self, String> {
        let product = source.product.as_deref().unwrap_or("linux").to_ascii_lowercase();
        if product != "linux" {
            return Err(format!("it is about {product}, and this host runs Linux"));
        }
        if let Some(category) = source.category.as_deref() {
            let known = Self::ALL.into_iter().find(|route| route.name() == category && *route != Self::Text && *route != Self::Auditd);
            return known.ok_or_else(|| format!("no sensor of this host makes events of the category {category}"));
        }
        match source.service.as_deref() {
            None => Ok(Self::Text),
            Some("auditd") => Ok(Self::Auditd),
            Some(service) => Err(format!("it reads lines of the log of {service}; lines reach rules only as parsed records")),
        }
    }
}
