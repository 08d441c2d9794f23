//! Notifications as the settings want them: the webhook and Web Push.

use std::sync::Arc;
use std::time::Duration;

use super::agents::AgentCatalog;
use super::error::StartError;
use crate::config::{self, Config};
use crate::hook::{Hook, HookRuns, HookSettings, hook_roots};
use crate::http::guard::GuardRules;
use crate::push::{Push, PushDelivery, PushSettings};
use crate::webhook::{self, AnswerLinks, Webhook};
use crate::worker::publish::changes::ChangeNotifier;
use crate::worker::registry::Registry;
use crate::worker_env::command_env;

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
    hook: Option<Arc<Hook>>,
    hook_runs: Option<HookRuns>,
}

impl Notices {
    /// Starts them.
    ///
    /// # Errors
    /// Fails when a setting is wrong.
    pub(super) fn start(config: &Config, guard: &GuardRules, agents: &AgentCatalog) -> Result<Self, StartError> {
        let config::PushConfig { contact, allow_private } = config.push.clone();
        let settings = PushSettings { data: config.workers_base_dir.clone(), contact, allow_private };
        let answers = Arc::new(AnswerLinks::default());
        let webhook = start_webhook(config, &answers)?;
        let (webhook, webhook_delivery) = webhook.map_or((None, None), |(it, delivery)| (Some(it), Some(delivery)));
        let (hook, hook_runs) = start_hook(config, agents)?.map_or((None, None), |(it, runs)| (Some(it), Some(runs)));
        let (push, push_delivery) = Push::start(settings, Arc::clone(guard.logins()), Arc::clone(guard.tokens()))?;
        let (webhook, hook) = (webhook.map(Arc::new), hook.map(Arc::new));
        Ok(Self { push, answers, webhook, push_delivery, webhook_delivery, hook, hook_runs })
    }

    /// The function that takes changes of workers.
    pub(super) fn notifier(&self) -> ChangeNotifier {
        let (push, webhook, hook) = (Arc::clone(&self.push), self.webhook.clone(), self.hook.clone());
        Arc::new(move |change| {
            push.report(&change);
            if let Some(webhook) = &webhook {
                webhook.report(&change);
            }
            if let Some(hook) = &hook {
                hook.report(&change);
            }
        })
    }

    /// Lets the hook run, which must not be in a folder of any worker.
    pub(super) fn know_workers(&self, registry: &Arc<Registry>) {
        if let Some(hook) = &self.hook {
            let registry = Arc::downgrade(registry);
            hook.open(Box::new(move || registry.upgrade().map_or_else(Vec::new, |registry| registry.work_folders())));
        }
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
        if let Some(runs) = self.hook_runs {
            runs.finish(GRACE);
        }
    }
}

/// Starts the hook, where a program is set.
fn start_hook(config: &Config, agents: &AgentCatalog) -> Result<Option<(Hook, HookRuns)>, StartError> {
    let Some(program) = config.hook.command.clone() else { return Ok(None) };
    let secrets = agents.adapters.secrets_of_others("");
    let settings = HookSettings {
        program,
        roots: hook_roots(config),
        events: config.webhook.events.clone(),
        time: config.hook.timeout,
        env: command_env(config, &secrets, &[], std::env::vars_os()),
    };
    Ok(Some(Hook::start(settings)?))
}

/// Starts the webhook, where one is set.
fn start_webhook(
    config: &Config,
    answers: &Arc<AnswerLinks>,
) -> Result<Option<(Webhook, webhook::Delivery)>, StartError> {
    let config::WebhookConfig { url, secret, format, token, buttons, page, events, allow_private, attempts, timeout } =
        config.webhook.clone();
    let Some(url) = url else { return Ok(None) };
    let settings = webhook::WebhookSettings {
        url,
        secret,
        format,
        token,
        page,
        buttons,
        events,
        allow_private,
        attempts,
        time: timeout,
    };
    Ok(Some(Webhook::start(&settings, answers)?))
}
