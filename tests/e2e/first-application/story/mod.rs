//! The story from the first Organization to the last deletion, in chapters.
//! Chapters share the Sovereign and the people; each leaves what the next needs.

mod clients;
mod database;
mod deletion;
mod fleet;
mod install;
mod organizations;
mod promotion;
mod publish;
mod push;
mod secrets;
mod source;
mod vulnerabilities;

use std::path::Path;

use crate::sovereign::{Sovereign, own_address};
use crate::user::{self, User};

/// The people of the story.
pub struct People {
    /// sovereign-admin.
    pub admin: User,
    /// org-admin of acme.
    pub alice: User,
    /// org-developer of acme.
    pub bob: User,
    /// org-admin of globex, a stranger to acme.
    pub mallory: User,
}

/// Kills the Sovereign as a power cut would, and starts it on the same port.
pub async fn power_cut(sovereign: Sovereign, data: &Path, people: &mut People) -> Sovereign {
    let listen = format!("127.0.0.1:{}", sovereign.port());
    sovereign.kill();
    begin_again(data, &listen, people)
}

/// Kills the Sovereign, and then ends the pods that outlived it; where to begin
/// again.
fn everything_ends(sovereign: Sovereign, data: &Path) -> String {
    let listen = format!("127.0.0.1:{}", sovereign.port());
    sovereign.kill();
    Sovereign::start_logging_with(data, &listen, &["--stop-pods"]).terminate();
    listen
}

fn begin(data: &Path, listen: &str) -> Sovereign {
    let database = vulnerabilities::database(data);
    let further = ["--vulnerabilities", database.to_str().unwrap()];
    Sovereign::start_logging_with(data, listen, &further)
}

fn begin_again(data: &Path, listen: &str, people: &mut People) -> Sovereign {
    let sovereign = begin(data, listen);
    for user in [
        &mut people.admin,
        &mut people.alice,
        &mut people.bob,
        &mut people.mallory,
    ] {
        user.reconnect();
    }
    sovereign
}

/// Runs the story in `directory`; `with_containers` is false where this machine
/// cannot run any, and then it ends before the first Application must run.
pub async fn run(directory: &Path, with_containers: bool) {
    let data = directory.join("data");
    vulnerabilities::mirror(&data);
    let sovereign = begin(&data, &own_address());
    let link = sovereign.address("signIn").to_owned();
    let mut admin = User::join(&sovereign, "sovereign-admin", &link).await;

    publish::the_shipped_blueprints_are_there(&mut admin).await;
    vulnerabilities::known_ones_are_shown_of_a_blueprint(&mut admin).await;
    let (alice, bob, mallory) =
        organizations::two_organizations_are_made(&sovereign, &mut admin).await;
    let mut people = People {
        admin,
        alice,
        bob,
        mallory,
    };
    organizations::nobody_sees_another_organization(&sovereign, &mut people).await;
    let sovereign = power_cut(sovereign, &data, &mut people).await;
    organizations::a_removed_member_loses_every_road(&sovereign, &mut people).await;
    organizations::roles_are_given_and_taken_by_commits(&sovereign, &mut people).await;
    publish::only_trusted_signatures_count(&sovereign, &mut people, directory).await;
    publish::only_what_is_as_it_was_signed_counts(&sovereign, &mut people).await;
    source::a_push_publishes_a_blueprint(&sovereign, &mut people, directory).await;
    let sovereign = power_cut(sovereign, &data, &mut people).await;
    source::a_bad_push_publishes_nothing(&sovereign, &mut people, directory).await;
    source::what_is_taken_back_is_not_offered(&sovereign, &mut people, directory).await;
    if !with_containers {
        return;
    }
    install::a_plan_shows_everything_and_writes_nothing(&mut people).await;
    install::the_guestbook_goes_live(&sovereign, &mut people).await;
    vulnerabilities::known_ones_are_shown_of_an_application(&mut people).await;
    database::a_database_that_is_there_can_be_picked(&sovereign, &mut people).await;
    secrets::the_database_password_is_nowhere(&sovereign, &mut people, &data).await;
    publish::cases_are_installed_upgraded_and_removed(&mut people, directory).await;
    clients::the_command_line_shows_what_runs(&mut people).await;
    clients::kubectl_shows_what_runs(&sovereign, &mut people, directory).await;
    clients::helm_pulls_a_blueprint(&sovereign, &mut people, directory).await;
    clients::helm_keeps_a_release_in_a_vcluster(&sovereign, &mut people, directory).await;
    let listen = everything_ends(sovereign, &data);
    install::the_entries_are_in_postgres(&data);
    let sovereign = begin_again(&data, &listen, &mut people);
    install::the_entry_survived(&sovereign, &mut people).await;
    install::no_other_application_reaches_the_database(&sovereign, &mut people, directory).await;
    secrets::a_vault_token_is_good_for_its_own_organization(&sovereign).await;
    push::a_push_updates_the_application(&sovereign, &mut people, directory).await;
    push::bad_pushes_are_refused_with_file_and_line(&sovereign, &mut people, directory).await;
    push::a_push_takes_nothing_back_and_passes_for_nobody(&sovereign, &mut people, directory).await;
    fleet::a_failure_stops_it_until_somebody_goes_on(&sovereign, &mut people, directory).await;
    promotion::a_promotion_waits_for_another_user(&sovereign, &mut people).await;
    let begun = fleet::a_wave_waits_for_a_pull_request(&mut people, directory).await;
    let sovereign = power_cut(sovereign, &data, &mut people).await;
    fleet::it_goes_on_after_a_power_cut(&sovereign, &mut people, directory, &begun).await;
    promotion::a_rollback_is_a_commit(&sovereign, &mut people).await;
    promotion::what_is_an_environments_own_stays(&sovereign, &mut people).await;
    secrets::a_secret_setting_is_nowhere(&sovereign, &mut people, &data).await;
    deletion::a_push_that_removes_the_folder_keeps_the_data(&sovereign, &mut people, directory)
        .await;
    deletion::kept_data_serves_an_application_of_the_same_name(&sovereign, &mut people).await;
    deletion::deletions_end_and_say_what_they_left(&sovereign, &mut people, &data).await;
    sovereign.terminate();
}
