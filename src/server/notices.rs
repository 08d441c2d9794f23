//! Notifications as the settings want them: the webhook and Web Push.

use std::sync::Arc;
use std::time::Duration;

use super::error::StartError;
use crate::config::{self, Config};
use crate::logins::Logins;
use crate::push::{Push, PushDelivery, PushSettings};
use crate::webhook::{self, AnswerLinks, Webhook};
use crate::worker::publish::changes::Tell;

/// Time that waiting messages may take when the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// Everything that notifies people.
pub(super) struct Notices {
    /// Web Push.
    pub(super) push: Arc<Push>,
    /// The links by which buttons of messages answer.
    pub(super) answers: Arc<AnswerLinks>,
    webhook: Option<Arc<Webhook>>,
    push_delivery: PushDelivery,
    webhook_delivery: Option<webhook::Delivery>,
}

impl Notices {
    /// Starts them.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub(super) fn start(config: &Config, logins: &Arc<Logins>) -> Result<Self, StartError> {
        let config::Push { contact, allow_private } = config.push.clone();
        let settings = PushSettings { data: config.workers_base_dir.clone(), contact, allow_private };
        let answers = Arc::new(AnswerLinks::default());
        let webhook = start_webhook(config, &answers)?;
        let (webhook, webhook_delivery) = webhook.map_or((None, None), |(it, delivery)| (Some(it), Some(delivery)));
        let (push, push_delivery) = Push::start(settings, Arc::clone(logins))?;
        Ok(Self { push, answers, webhook: webhook.map(Arc::new), push_delivery, webhook_delivery })
    }

    /// The function that takes changes of workers.
    pub(super) fn tell(&self) -> Tell {
        let (push, webhook) = (Arc::clone(&self.push), self.webhook.clone());
        Arc::new(move |change| {
            push.report(&change);
            if let Some(webhook) = &webhook {
                webhook.report(&change);
            }
        })
    }

    /// Most messages that wait for the webhook; 0 where there is none.
    pub(super) const fn webhook_queue_max(&self) -> usize {
        if self.webhook.is_some() { webhook::QUEUE_MAX } else { 0 }
    }

    /// Delivers what waits, within bounds, and ends.
    pub(super) fn finish(self) {
        self.push_delivery.finish(GRACE);
        if let Some(delivery) = self.webhook_delivery {
            delivery.finish(GRACE);
        }
    }
}

/// Starts the webhook, where one is set.
fn start_webhook(
    config: &Config,
    answers: &Arc<AnswerLinks>,
) -> Result<Option<(Webhook, webhook::Delivery)>, StartError> {
    let config::Webhook { url, secret, format, token, buttons, page, events, allow_private, attempts, timeout } =
        config.webhook.clone();
    let Some(url) = url else { return Ok(None) };
    let settings =
        webhook::Settings { url, secret, format, token, page, buttons, events, allow_private, attempts, time: timeout };
    Ok(Some(Webhook::start(&settings, answers)?))
}
