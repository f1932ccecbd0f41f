//! The tools of the sample restaurant: an order becomes an item of the table, times are promised.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use voice_core::ports::{RecordStore, ToolRequest};
use voice_core::use_case::RestaurantTool;

const KEEP_ORDERS: Duration = Duration::from_hours(7 * 24);
/// Minutes until a pick-up order is ready.
const PICK_UP: [u32; 3] = [15, 30, 45];
const DELIVERY: [&str; 3] = ["45 minutes", "1 hour", "1 hour and 15 minutes"];

#[derive(Debug, Deserialize)]
struct Order {
    #[serde(default, rename = "current_order")]
    items: Vec<Value>,
    #[serde(rename = "order_type")]
    kind: String,
    #[serde(rename = "order_total")]
    total: f64,
    delivery_address: Option<String>,
}

pub(super) async fn handle(
    tool: RestaurantTool,
    records: &dyn RecordStore,
    request: &ToolRequest,
) -> Result<Value, String> {
    match tool {
        RestaurantTool::PlaceOrder => place_order(records, request).await,
        RestaurantTool::PickUpTime => Ok(pick_up_time(request)),
        RestaurantTool::DeliveryTime => Ok(delivery_time(request)),
    }
}

async fn place_order(records: &dyn RecordStore, request: &ToolRequest) -> Result<Value, String> {
    let order: Order =
        serde_json::from_value(request.input.clone()).map_err(|error| format!("Wrong arguments. {error}"))?;
    if order.items.is_empty() {
        return Err("The order has no items. Ask the caller what they would like.".to_owned());
    }
    let address = order.delivery_address.as_deref().map(str::trim).filter(|address| !address.is_empty());
    if order.kind == "delivery" && address.is_none() {
        return Err("A delivery needs an address. Ask the caller for it.".to_owned());
    }
    match records.put_record(item(request, &order, address), Some(KEEP_ORDERS)).await {
        Ok(()) => Ok(json!({ "message": "Your order has been accepted." })),
        Err(error) => {
            tracing::error!(call.sid = %request.call.call_sid, error = %crate::telemetry::causes(&error), "an order was not saved");
            Err("The order could not be saved. Apologise, and ask the caller to try again in a moment."
                .to_owned())
        }
    }
}

fn item(request: &ToolRequest, order: &Order, address: Option<&str>) -> Map<String, Value> {
    let call = &request.call;
    let owner = call.caller.as_ref().map_or(call.call_sid.as_str(), |caller| caller.number.expose().as_str());
    let last_four: String =
        call.call_sid.chars().skip(call.call_sid.chars().count().saturating_sub(4)).collect();
    // The run's id keeps two orders of one second apart.
    let sort_key =
        format!("restaurantOrder::{last_four}::{}::{}", Timestamp::now().as_second(), request.run.call.0);
    let mut saved = json!({
        "order_items": order.items,
        "order_type": order.kind,
        "order_total": order.total,
    });
    if let Some(address) = address {
        saved["delivery_address"] = json!(address);
    }
    let item = [
        ("pk", json!(owner)),
        ("sk", json!(sort_key)),
        ("pk1", json!("restaurantOrder")),
        // A key of the index must not be empty.
        ("sk1", json!(if call.to.expose().is_empty() { "unknown" } else { call.to.expose().as_str() })),
        ("callSid", json!(call.call_sid)),
        ("order", saved),
    ];
    item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn pick_up_time(request: &ToolRequest) -> Value {
    let minutes = PICK_UP[promise(request) % PICK_UP.len()];
    json!({
        "pickupTime": format!("{minutes} minutes"),
        "message": format!("The order will be ready for pick-up in {minutes} minutes."),
    })
}

fn delivery_time(request: &ToolRequest) -> Value {
    let time = DELIVERY[promise(request) % DELIVERY.len()];
    json!({ "deliveryTime": time, "message": format!("The order will be delivered in {time}.") })
}

/// The kitchen is imaginary, but what it promises within a call does not change.
fn promise(request: &ToolRequest) -> usize {
    request.call.call_sid.bytes().map(usize::from).sum()
}
