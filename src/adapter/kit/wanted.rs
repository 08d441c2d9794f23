//! The worker's wishes, from its control records.

use serde::{Deserialize, Serialize};

use crate::journal::{Control, StartSettings};

/// The worker's directory, and the model and permission mode that it wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::adapter) struct WorkerWishes {
    /// The working directory.
    pub(in crate::adapter) cwd: String,
    /// The model; the configuration's when absent.
    pub(in crate::adapter) model: Option<String>,
    /// The permission mode; the configuration's when absent.
    pub(in crate::adapter) permission_mode: Option<String>,
}

impl WorkerWishes {
    /// Takes a control record that says what a start asks for.
    pub(in crate::adapter) fn control(&mut self, control: &Control) {
        match control {
            Control::Created { project_path, options, .. } => {
                self.cwd.clone_from(project_path);
                self.set(&options.model, &options.permission_mode);
            }
            Control::Moved { project_path } => self.cwd.clone_from(project_path),
            Control::Launching { settings: Some(StartSettings { model, permission_mode }), .. } => {
                self.set(model, permission_mode);
            }
            _ => {}
        }
    }

    fn set(&mut self, model: &Option<String>, permission_mode: &Option<String>) {
        self.model.clone_from(model);
        self.permission_mode.clone_from(permission_mode);
    }

    /// Changes the model and the permission mode, where they are named.
    pub(in crate::adapter) fn configure(&mut self, model: &Option<String>, permission_mode: &Option<String>) {
        configure((&mut self.model, &mut self.permission_mode), (model, permission_mode));
    }
}

/// Changes what is named of a model and a permission mode.
pub(in crate::adapter) fn configure(
    (model, mode): (&mut Option<String>, &mut Option<String>),
    new: (&Option<String>, &Option<String>),
) {
    for (wanted, new) in [(model, new.0), (mode, new.1)] {
        if new.is_some() {
            wanted.clone_from(new);
        }
    }
}
