//! What cannot be carried from one end to the other as it is.

/// Something that one end said and that the other is not told as it was said, or not at all, because its revision has no words
/// for it or its transport no way. Each has a word of its own, so that it can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Content of a kind that the other end does not know is told in another form: audio as a resource, a link as a text.
    Content,
    /// A structured result that is no object is wrapped in one, or told as text.
    StructuredContent,
    /// The schema of structured results is wrapped, or left out.
    OutputSchema,
    /// A form has fields that the client may not be able to show, or has lost what they are filled in with.
    Form,
    /// A call needs a page to be visited, and the client can only be told so in words.
    Page,
    /// The answer of a model has several parts, and the server takes one.
    Sampling,
    /// A notification for which the client's revision has no words, or that can reach no client.
    Notification,
    /// A log message that does not say which request it is of, in a session that several requests share.
    LogMessage,
    /// An update of a resource of which nobody knows for whom it is.
    ResourceUpdate,
    /// Progress or a log message of a task whose client has no way to hear of it.
    TaskMessage,
    /// A modern server failed because it tried to ask as in the legacy era.
    LegacyQuestion,
    /// A server without sessions was told that the client can be asked nothing.
    StatelessServer,
    /// A call timed out at a server that may have asked something where nobody could hear it.
    StreamlessServer,
    /// A client that takes no event stream was asked nothing in a call, although it declared that it answers.
    StreamlessClient,
    /// A call that waited for its client was lost with the process that held it.
    ParkedCall,
}

impl Loss {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Content,
        Self::StructuredContent,
        Self::OutputSchema,
        Self::Form,
        Self::Page,
        Self::Sampling,
        Self::Notification,
        Self::LogMessage,
        Self::ResourceUpdate,
        Self::TaskMessage,
        Self::LegacyQuestion,
        Self::StatelessServer,
        Self::StreamlessServer,
        Self::StreamlessClient,
        Self::ParkedCall,
    ];

    /// In a word or two.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::StructuredContent => "structured_content",
            Self::OutputSchema => "output_schema",
            Self::Form => "form",
            Self::Page => "page",
            Self::Sampling => "sampling",
            Self::Notification => "notification",
            Self::LogMessage => "log_message",
            Self::ResourceUpdate => "resource_update",
            Self::TaskMessage => "task_message",
            Self::LegacyQuestion => "legacy_question",
            Self::StatelessServer => "stateless_server",
            Self::StreamlessServer => "streamless_server",
            Self::StreamlessClient => "streamless_client",
            Self::ParkedCall => "parked_call",
        }
    }
}

/// What one message has lost on its way: each kind once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses(u32);

impl Losses {
    /// Notes one.
    pub fn add(&mut self, loss: Loss) {
        self.0 |= 1 << loss as u32;
    }

    /// Whether nothing was lost.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn each(self) -> impl Iterator<Item = Loss> {
        Loss::ALL.into_iter().filter(move |loss| self.0 & (1 << *loss as u32) != 0)
    }
}

impl From<Loss> for Losses {
    fn from(loss: Loss) -> Self {
        let mut losses = Self::default();
        losses.add(loss);
        losses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_has_a_place_and_a_word_of_its_own() {
        let mut words = std::collections::HashSet::new();
        for loss in Loss::ALL {
            assert!(Losses::from(loss).each().eq([loss]));
            assert!(words.insert(loss.as_str()));
        }
        let mut losses = Losses::default();
        assert!(losses.is_empty());
        for loss in Loss::ALL.into_iter().chain(Loss::ALL) {
            losses.add(loss);
        }
        assert!(losses.each().eq(Loss::ALL));
    }
}
