//! Sessions and turns: the durable record of calls.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::builders::ConditionCheckBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
};
use jiff::Timestamp;
use voice_core::history::Sequence;
use voice_core::message::Message;
use voice_core::ports::{
    BoxFuture, CallStore, Claim, EndedBecause, Journaled, JournaledTurn, KnownSession, Ownership, Session,
    SessionChange, SpokenLanguage, StoreError, StoreErrorKind, TurnTrace,
};

use super::chat::{from_chat, to_chat};
use super::failure::{store_error, unless_conflict};
use super::reports::from_report;
use super::runs::{is_run, outcome};
use super::session_item::{SESSION, known};
use super::{
    DynamoDbStore, Item, expire_at, from_attribute, is_expired, now_seconds, number, text, to_attribute,
};

const TURN_PREFIX: &str = "chat::";
pub(super) const RUN_PREFIX: &str = "tool::";

impl CallStore for DynamoDbStore {
    fn open_session(&self, session: Session) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let result = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(self.session_item(&session)))
                .condition_expression("attribute_not_exists(pk) OR expireAt < :now")
                .expression_attribute_values(":now", number(now_seconds()))
                .send()
                .await;
            // Twilio repeats a webhook whose answer it did not get.
            unless_conflict(result.map(drop).map_err(store_error))
        })
    }

    fn claim_session<'a>(
        &'a self,
        call_sid: &'a str,
        owner: &'a str,
        claim: Claim,
    ) -> BoxFuture<'a, Result<Ownership, StoreError>> {
        Box::pin(async move {
            let (update, condition) = match claim {
                // A claim whose answer was lost is repeated, and must not count twice.
                Claim::First => (
                    "SET epoch = :one, #owner = :owner, #status = :live REMOVE endedAt, endedBecause",
                    "epoch = :zero OR (epoch = :one AND #owner = :owner)",
                ),
                // Every session has a name of its own, so that a repeated claim finds itself.
                Claim::Next => (
                    "SET epoch = epoch + :one, #owner = :owner, #status = :live REMOVE endedAt, endedBecause",
                    "epoch >= :zero AND (attribute_not_exists(#owner) OR #owner <> :owner)",
                ),
            };
            let result = self
                .update_session(call_sid)
                .update_expression(update)
                .condition_expression(format!("({condition}) AND expireAt >= :now"))
                .expression_attribute_names("#owner", "owner")
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":zero", number(0))
                .expression_attribute_values(":one", number(1))
                .expression_attribute_values(":owner", text(owner))
                .expression_attribute_values(":live", text("in-progress"))
                .expression_attribute_values(":now", number(now_seconds()))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .send()
                .await;
            match result {
                Ok(output) => {
                    Ok(output.attributes.map_or(Ownership::NoSuchCall, |item| Ownership::Ours(known(&item))))
                }
                Err(error) => match error.as_service_error() {
                    Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                        let Some(item) = failed.item().filter(|item| !is_expired(item)) else {
                            return Ok(Ownership::NoSuchCall);
                        };
                        let is_ours = item.get("owner").is_some_and(|of| *of == text(owner));
                        // The first answer to this claim was lost.
                        Ok(if is_ours && claim == Claim::Next {
                            Ownership::Ours(known(item))
                        } else {
                            Ownership::Overtaken
                        })
                    }
                    _ => Err(store_error(error)),
                },
            }
        })
    }

    fn count_resume<'a>(
        &'a self,
        call_sid: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownSession>, StoreError>> {
        Box::pin(async move {
            let result = self
                .update_session(call_sid)
                .update_expression("ADD resumes :one")
                .condition_expression("attribute_exists(pk) AND expireAt >= :now")
                .expression_attribute_values(":one", number(1))
                .expression_attribute_values(":now", number(now_seconds()))
                .send()
                .await;
            match result.map_err(store_error) {
                Ok(output) => Ok(output.attributes.map(|item| known(&item))),
                Err(StoreError { kind: StoreErrorKind::Conflict, .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn read_session<'a>(
        &'a self,
        call_sid: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownSession>, StoreError>> {
        Box::pin(async move { Ok(self.read(call_sid, SESSION).await?.map(|item| known(&item))) })
    }

    fn close_session<'a>(
        &'a self,
        call_sid: &'a str,
        epoch: u64,
        because: EndedBecause,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let update = match because {
                // The carrier's last report of a call may come before its session has written why it ended, or after.
                EndedBecause::Lost => {
                    "SET #status = :ended, endedAt = :now, endedBecause = if_not_exists(endedBecause, :because)"
                }
                _ => "SET #status = :ended, endedAt = :now, endedBecause = :because",
            };
            let result = self
                .update_session(call_sid)
                .update_expression(update)
                .expression_attribute_values(":because", text(because.as_str()))
                .condition_expression("epoch = :epoch")
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":ended", text("ended"))
                .expression_attribute_values(":now", text(Timestamp::now().to_string()))
                .expression_attribute_values(":epoch", number(epoch))
                .send()
                .await;
            unless_conflict(result.map(drop).map_err(store_error))
        })
    }

    fn write_turn<'a>(
        &'a self,
        call_sid: &'a str,
        epoch: u64,
        turn: JournaledTurn,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let still_ours = self
                .session_check(call_sid)
                .condition_expression("epoch = :epoch")
                .expression_attribute_values(":epoch", number(epoch));
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(self.turn_item(call_sid, epoch, &turn)?));
            self.write_if(still_ours, put).await.map(drop)
        })
    }

    fn change_session<'a>(
        &'a self,
        call_sid: &'a str,
        epoch: u64,
        change: SessionChange,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let update = self.update_session(call_sid);
            let update = match change {
                SessionChange::UseCase(name) => update
                    .update_expression("SET useCase = :name")
                    .expression_attribute_values(":name", text(name)),
                SessionChange::Language(SpokenLanguage { code, heard }) => update
                    .update_expression("SET #language = :code, languageHeard = :heard")
                    .expression_attribute_names("#language", "language")
                    .expression_attribute_values(":code", text(code))
                    .expression_attribute_values(":heard", AttributeValue::Bool(heard)),
                SessionChange::Verified => update
                    .update_expression("SET verified = :yes")
                    .expression_attribute_values(":yes", AttributeValue::Bool(true)),
                SessionChange::Rested => update.update_expression("SET restedEpoch = :epoch"),
            };
            let result = update
                .condition_expression("epoch = :epoch")
                .expression_attribute_values(":epoch", number(epoch))
                .send()
                .await;
            result.map(drop).map_err(store_error)
        })
    }

    fn write_traces<'a>(
        &'a self,
        call_sid: &'a str,
        traces: &'a [TurnTrace],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.put_traces(call_sid, traces))
    }

    fn read_journal<'a>(&'a self, call_sid: &'a str) -> BoxFuture<'a, Result<Journaled, StoreError>> {
        Box::pin(async move {
            let mut pages = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :call AND sk BETWEEN :first AND :last")
                .expression_attribute_values(":call", text(call_sid))
                .expression_attribute_values(":first", text(TURN_PREFIX))
                .expression_attribute_values(":last", text(format!("{RUN_PREFIX}\u{10ffff}")))
                .consistent_read(true)
                .into_paginator()
                .items()
                .send();
            let mut journaled = Journaled::default();
            while let Some(item) = pages.next().await {
                let item = item.map_err(store_error)?;
                if !is_expired(&item) {
                    // What cannot be read must not cost the rest.
                    journaled.turns.extend(turn(&item));
                    journaled.outcomes.extend(outcome(&item));
                    journaled.spent.tokens = journaled.spent.tokens.saturating_add(tokens(&item));
                    journaled.spent.tool_runs += u32::from(is_run(&item));
                }
            }
            Ok(journaled)
        })
    }
}

impl DynamoDbStore {
    fn update_session(&self, call_sid: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(call_sid))
            .key("sk", text(SESSION))
            .return_values(ReturnValue::AllNew)
    }

    /// A condition on a call's session, to be part of a transaction.
    pub(super) fn session_check(&self, call_sid: &str) -> ConditionCheckBuilder {
        ConditionCheck::builder().table_name(&self.table).key("pk", text(call_sid)).key("sk", text(SESSION))
    }

    fn turn_item(&self, call_sid: &str, epoch: u64, turn: &JournaledTurn) -> Result<Item, StoreError> {
        let record = &turn.record;
        let mut item = Item::from([
            ("pk".to_owned(), text(call_sid)),
            ("sk".to_owned(), text(format!("{TURN_PREFIX}{:08}", record.sequence))),
            ("epoch".to_owned(), number(epoch)),
            ("at".to_owned(), text(&turn.at)),
            ("writtenAt".to_owned(), text(Timestamp::now().to_string())),
            ("expireAt".to_owned(), expire_at(self.keep_calls)),
        ]);
        if let Some(message) = &record.message {
            item.insert("chat".to_owned(), to_attribute(&to_chat(message))?);
        }
        if let Some(said) = &record.said {
            let heard = match record.message.as_deref() {
                Some(Message::Agent { text, .. }) => text.as_str(),
                _ => "",
            };
            item.insert("said".to_owned(), text(said.as_ref()));
            item.insert("heard".to_owned(), text(heard));
        }
        if let Some(report) = &turn.generation {
            item.insert("generation".to_owned(), to_attribute(&from_report(report))?);
        }
        Ok(item)
    }
}

/// A message of which nothing was heard has no `chat` and is no part of the dialogue; its place is taken all the same.
pub(super) fn turn(item: &Item) -> Option<(Sequence, Option<Message>)> {
    let sequence = item.get("sk")?.as_s().ok()?.strip_prefix(TURN_PREFIX)?.parse().ok()?;
    let chat = item.get("chat").cloned().and_then(|chat| from_attribute(chat).ok());
    Some((sequence, chat.as_ref().and_then(from_chat)))
}

/// What the generation behind a message cost: tokens read, cached ones included, and written.
fn tokens(item: &Item) -> u64 {
    let usage = item.get("generation").and_then(|value| value.as_m().ok()?.get("usage")?.as_m().ok());
    let counts = usage.into_iter().flat_map(HashMap::values);
    counts.filter_map(|count| count.as_n().ok()?.parse::<u64>().ok()).fold(0, u64::saturating_add)
}
